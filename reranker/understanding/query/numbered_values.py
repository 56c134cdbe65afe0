"""Numbers and letters that have no unit but a name: size 42, EU 42, size M, age 5, and years of age."""

import re
from collections.abc import Sequence
from functools import cache

from reranker.understanding.demands import MeasureDemand, QuerySpan, ValueDemand
from reranker.understanding.lexicon import NUMBERED, alternatives, load_lexicon
from reranker.understanding.measures import parse_number
from reranker.understanding.query.state import ParserState
from reranker.understanding.words import list_words, stem_words

_SIZE_SYSTEMS = ("eu", "uk", "us")
"""Systems of sizes: EU 42."""

_MONTHS = frozenset(stem_words("month monat mois mes"))


def parse_numbered_values(state: ParserState) -> None:
    """Read sizes and ages that the catalogue has attributes for."""
    for pattern, kind in _make_patterns():
        names = state.vocabulary.kinds.get(NUMBERED + kind, ())
        for match in pattern.finditer(state.query) if names else ():
            span = QuerySpan(*match.span())
            if not state.is_free(span.start, span.end) or state.is_measured(span.start, span.end):
                continue
            if kind == "age":
                state.demands.append(_make_age(span, parse_number(match.group(1)), names))
            else:
                stems = frozenset({match.group(1).replace(",", ".")})
                state.demands.append(ValueDemand(span, kind, (stems,), names))
    for match in _make_letter_pattern().finditer(state.query):
        span = QuerySpan(*match.span())
        if state.is_free(span.start, span.end):
            stems = load_lexicon().synonyms["size", match.group(1).casefold()]
            state.demands.append(ValueDemand(span, "size", (stems,), state.vocabulary.kinds.get("size", ())))
    names = state.vocabulary.kinds.get(f"{NUMBERED}age", ())
    if names and not state.vocabulary.units.get("age"):
        for measure in state.measures:
            if measure.unit.dimension == "age":
                state.demands.append(_make_age(QuerySpan(measure.start, measure.end), measure.value, names))


def _make_age(span: QuerySpan, years: float, names: Sequence[str]) -> MeasureDemand:
    """Return the demand for what suits an age: from half as many years on, up to it."""
    in_months = [any(word.stem in _MONTHS for word in list_words(name)) for name in names]
    factors = tuple(zip(names, (1 / 12 if each else 1.0 for each in in_months), strict=True))
    return MeasureDemand(span, years / 2, years, "age", factors)


@cache
def _make_patterns() -> tuple[tuple[re.Pattern[str], str], ...]:
    kinds = (("size", _SIZE_SYSTEMS), ("age", ("ages", "aged", "alter")))
    return tuple(
        (
            re.compile(
                rf"(?:{alternatives([*load_lexicon().attribute_words[kind], *others])})\s*"
                r"([0-9]{1,3}(?:[.,][0-9])?)(?![\w.,]*[0-9])(?!\w)",
                re.IGNORECASE,
            ),
            kind,
        )
        for kind, others in kinds
    )


@cache
def _make_letter_pattern() -> re.Pattern[str]:
    """Return the pattern of sizes of a letter or two, which mean something else alone: size M."""
    lexicon = load_lexicon()
    letters = [name for kind, name in lexicon.synonyms if kind == "size" and name.isalpha()]
    named = alternatives([*lexicon.attribute_words["size"]])
    return re.compile(rf"(?:{named})\s*({alternatives(letters)})", re.IGNORECASE)
