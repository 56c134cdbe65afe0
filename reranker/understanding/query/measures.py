"""Numbers with a unit, and the attributes that may hold them: 16 GB RAM, under 2 m, 27 inch."""

import re
from functools import cache
from typing import NamedTuple

from reranker.understanding.demands import MeasureDemand, QuerySpan
from reranker.understanding.lexicon import alternatives, load_lexicon
from reranker.understanding.measures import Measure
from reranker.understanding.patterns import load_operators
from reranker.understanding.query.state import ParserState
from reranker.understanding.words import Word, list_words

_MOST_ATTRIBUTES = 12

_BOUNDS = frozenset({"minimum", "maximum", "min", "max", "maxim", "minim", "mindest", "maximal"})
"""Stems of attributes' names that tell a bound, not what a product has: `maximum internal memory`."""


class _Holder(NamedTuple):
    """An attribute that may hold a measure, the likeliest the greatest. `words` of the query say so."""

    score: float
    has_scale: bool
    products: int
    name: str
    factor: float
    words: frozenset[Word]


def parse_measures(state: ParserState) -> None:
    """Read the numbers with a unit, and their bounds."""
    for measure in state.measures:
        if not state.is_free(measure.start, measure.end):
            continue
        bound, words = _find_bound(state.query[: measure.start])
        holders = _find_holders(state, measure)
        used = sorted({word for each in holders for word in each.words}, key=lambda word: word.start)
        state.attribute_words |= {word.start for word in used if word.start - measure.end in (0, 1)}
        state.demands.append(
            MeasureDemand(
                QuerySpan(measure.start - len(words), measure.end),
                0.0 if bound == "under" else measure.value,
                float("inf") if bound == "over" else measure.value,
                measure.unit.dimension,
                tuple((each.name, each.factor) for each in holders[:_MOST_ATTRIBUTES]),
                named=bool(used),
                beside=tuple(word.stem for word in used),
                tolerance=measure.tolerance,
            )
        )


def _find_holders(state: ParserState, measure: Measure) -> list[_Holder]:
    """Return the attributes that may hold a measure, the likeliest first.

    They are those that words beside it name, where it has any, else those of its unit's scale.
    """
    before, after = _list_beside(state, measure)
    numbers, holders = state.vocabulary.numbers, []
    for name, unit in state.vocabulary.units.get(measure.unit.dimension, ()):
        if abs(unit.scale - measure.unit.scale) > 1:
            continue
        own = {word.stem for word in list_words(name)}
        in_name = [word for word in (*after, *before) if word.stem in own]
        in_company = [
            word for word in after if word.stem in numbers[name].beside and _may_accompany(state, word)
        ]
        score: float = 2 * len(in_name) + len(in_company)
        if score and _BOUNDS & own:
            score = 0.5
        has_scale = unit.scale == measure.unit.scale
        words = frozenset((*in_name, *in_company)) if score else frozenset()
        holders.append(_Holder(score, has_scale, numbers[name].count, name, unit.factor, words))
    holders.sort(key=lambda each: each[:3], reverse=True)
    named = [each for each in holders if each.score]
    return named or [each for each in holders if each.has_scale] or holders


def _list_beside(state: ParserState, measure: Measure) -> tuple[list[Word], list[Word]]:
    """Return the word before a measure and the two behind it that may say what is measured."""
    words = [word for word in state.list_free_words() if not any(map(str.isdigit, word.text))]
    start = max((m.end for m in state.measures if m.end <= measure.start), default=0)
    end = min((m.start for m in state.measures if m.start >= measure.end), default=len(state.query))
    before = [word for word in words if start <= word.start and word.end <= measure.start]
    before = before[-1:] if not start or len(before) > 2 else []  # the RAM of `16 GB RAM 512 GB` is of 16 GB
    after = [word for word in words if measure.end <= word.start < end][:2]
    after = after[: next((i for i, word in enumerate(after) if word.text in load_operators()), 2)]
    names = _list_name(state)
    return [w for w in before if w.start not in names], [w for w in after if w.start not in names]


def _may_accompany(state: ParserState, word: Word) -> bool:
    """Return whether a word may tell what is measured: not where it alone names the product."""
    types = state.vocabulary.types
    return word.stem not in types or any(w.stem in types and w.stem != word.stem for w in state.words)


def _list_name(state: ParserState) -> set[int]:
    """Return where the words of the product's name start, where it is a type of several words.

    The memory of `64 GB memory card` is no attribute: nothing but the card remains to be sought.
    """
    free, types = state.list_free_words(), state.vocabulary.types
    for length in (3, 2):
        for i in range(len(free) - length + 1):
            if " ".join(word.stem for word in free[i : i + length]) in types:
                others = [*free[:i], *free[i + length :]]
                own = {word.start for word in free[i : i + length]}
                return set() if any(word.stem in types for word in others) else own
    return set()


def _find_bound(text: str) -> tuple[str, str]:
    """Return "under" or "over" where a text ends so, and the words that say it."""
    for name, pattern in _make_bound_patterns():
        match = pattern.search(text)
        if match:
            return name, match.group()
    return "", ""


@cache
def _make_bound_patterns() -> tuple[tuple[str, re.Pattern[str]], ...]:
    words = load_lexicon().words
    return tuple(
        (name, re.compile(rf"(?:{alternatives(words[name])})\s*$", re.IGNORECASE))
        for name in ("under", "over")
    )
