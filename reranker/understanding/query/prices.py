"""Prices: under 20, over 50 euro, between 20 and 40, 100元以下, cheap."""

import re
from functools import cache
from itertools import pairwise

from reranker.understanding.demands import PriceDemand, QuerySpan
from reranker.understanding.lexicon import alternatives, load_lexicon
from reranker.understanding.measures import parse_number
from reranker.understanding.query.state import ParserState

_NUMBER = r"([0-9]{1,9}(?:[.,][0-9]{1,3})*)"


def parse_prices(state: ParserState) -> None:
    """Read the limits of the price."""
    for pattern, bounds in _make_patterns():
        for match in pattern.finditer(state.query):
            start, end = match.end() - len(match.group().lstrip()), match.end()
            if not state.is_free(start, end) or state.is_measured(start, end):
                continue
            if _continues_name(state, start):
                continue  # `air max 90`
            numbers = [parse_number(text) for text in match.groups() if text and text[0].isdigit()]
            if bounds != "cheap" and not numbers:
                continue
            low = numbers[0] if bounds in ("over", "between") else 0.0
            high = numbers[-1] if bounds in ("under", "between") else float("inf")
            if low <= high:
                state.demands.append(PriceDemand(QuerySpan(start, end), low, high, bounds == "cheap"))


def _continues_name(state: ParserState, start: int) -> bool:
    """Return whether titles have the word that starts here behind the one before it."""
    spellings = state.vocabulary.spellings
    return any(
        after.start == start and spellings.count_apart(before.text, after.text) > 0
        for before, after in pairwise(state.words)
    )


@cache
def _make_patterns() -> tuple[tuple[re.Pattern[str], str], ...]:
    """Return the patterns of prices, each with what it bounds: under, over, between or cheap."""
    words = load_lexicon().words
    symbols = [symbol for named in words["currencies"].values() for symbol in named]
    money = rf"(?:\s*(?:{alternatives(symbols)}))?"
    amount = rf"{money}\s*{_NUMBER}{money}"
    to = alternatives(words["to"])
    return tuple(
        (re.compile(pattern, re.IGNORECASE), bounds)
        for pattern, bounds in (
            (rf"(?:{alternatives(words['between'])}){amount}\s*(?:{to}){amount}", "between"),
            (rf"{amount}\s*(?:-|–|到|至){amount}(?:\s*(?:{alternatives(symbols)}))", "between"),
            (rf"(?:{alternatives(words['under'])}){amount}", "under"),
            (rf"{amount}\s*(?:{alternatives(words['under_after'])})", "under"),
            (rf"(?:{alternatives(words['over'])}){amount}", "over"),
            (rf"{amount}\s*(?:{alternatives(words['over_after'])})", "over"),
            (rf"(?:{alternatives(words['cheap'])})", "cheap"),
        )
    )
