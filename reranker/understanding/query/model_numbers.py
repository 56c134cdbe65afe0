"""Model numbers, however written: HL-2140, hl2140, and the 2140 of `toner for 2140`."""

import re

from reranker.text.numbers import is_measure
from reranker.understanding.demands import ModelDemand, QuerySpan
from reranker.understanding.lexicon import load_lexicon
from reranker.understanding.patterns import MODEL_NUMBER, load_operators
from reranker.understanding.query.state import ParserState
from reranker.understanding.words import compact_words


def parse_model_numbers(state: ParserState) -> None:
    """Read the model numbers that the product has or fits."""
    for match in MODEL_NUMBER.finditer(state.query):
        start, end = match.start(1 if match.group(1) not in (None, *load_operators()) else 2), match.end()
        if not state.is_free(start, end) or state.is_measured(start, end):
            continue
        fits = state.fit is not None and state.fit.end() <= start
        names = dict.fromkeys((compact_words(state.query[start:end]), compact_words(match.group(2))))
        mixed = [n for n in names if len(n) > 2 and not n.isdecimal() and sum(map(str.isdigit, n)) >= 2]
        bare = [n for n in names if n.isdecimal() and len(n) > 2]
        if (mixed or (fits and bare)) and not _is_another(state, match, start, bool(bare) and not fits):
            state.demands.append(ModelDemand(QuerySpan(start, end), (*mixed, *bare), fits))


def _is_another(state: ParserState, match: re.Match[str], start: int, is_bare: bool) -> bool:
    """Return whether a number is a size, a measure or a value, or, where `is_bare`, stands beside a noun."""
    number = match.group(2).casefold()
    first = state.query[start : match.end()].partition(" ")[0].casefold()
    return (
        first in load_lexicon().attributes["size"]
        or compact_words(number) in state.vocabulary.values
        or is_measure(number)
        or (is_bare and first in state.vocabulary.noun_stems)
    )
