"""The patterns of what queries say: limits, exclusions, what things fit."""

import re
from functools import cache

from reranker.text.word_tokens import CJK
from reranker.understanding.lexicon import alternatives, load_lexicon

_NUMBER = r"([0-9]{1,9}(?:[.,][0-9]{1,3})*)"

DIMENSIONS = re.compile(r"[0-9]+(?:x[0-9]+)+")

_SIZE_SYSTEMS = ("eu", "uk", "us")
"""Systems of sizes: EU 42."""

BOUNDS = frozenset({"minimum", "maximum", "min", "max", "maxim", "minim", "mindest", "maximal"})
"""Stems of attributes' names that tell a bound, not what a product has: `maximum internal memory`."""

_SIGN, _LETTER = rf"[^\W_{CJK}]", rf"[^\W\d_{CJK}]"
MODEL_NUMBER = re.compile(
    rf"(?<!{_SIGN})(?:({_LETTER}{{1,4}})[ -])?((?:{_SIGN}+[-/.])*{_SIGN}*[0-9]{_SIGN}*(?:[-/.]{_SIGN}+)*)"
)


@cache
def operators() -> frozenset[str]:
    """Return the words that limit, exclude and join: they end what stands before them."""
    words = load_lexicon().words
    groups = ("under", "over", "with", "for", "without", "between")
    return frozenset(phrase for group in groups for phrase in words[group]) | {"and", "or"}


@cache
def price_patterns() -> tuple[tuple[re.Pattern[str], str], ...]:
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


@cache
def absence_pattern() -> re.Pattern[str]:
    """Return the pattern of what excludes: without, no, ohne, 不要."""
    return re.compile(alternatives(load_lexicon().words["without"]), re.IGNORECASE)


@cache
def free_pattern() -> re.Pattern[str]:
    """Return the pattern of words such as sugar-free."""
    after = "|".join(load_lexicon().words["free_after"])
    return re.compile(rf"(?<!\w)([^\W\d_]{{3,}})-(?:{after})(?!\w)", re.IGNORECASE)


@cache
def number_patterns() -> tuple[tuple[re.Pattern[str], str], ...]:
    """Return the patterns of numbers without a unit that a word names, each with its kind: size 42, age 5."""
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
def fits_pattern() -> re.Pattern[str]:
    """Return the pattern of what asks for a fit: for, compatible with."""
    return re.compile(alternatives(load_lexicon().words["for"]), re.IGNORECASE)


@cache
def _bound_patterns() -> tuple[tuple[str, re.Pattern[str]], ...]:
    words = load_lexicon().words
    return tuple(
        (name, re.compile(rf"(?:{alternatives(words[name])})\s*$", re.IGNORECASE))
        for name in ("under", "over")
    )


def bound_before(text: str) -> tuple[str, str]:
    """Return "under" or "over" where a text ends so, and the words that say it."""
    for name, pattern in _bound_patterns():
        match = pattern.search(text)
        if match:
            return name, match.group()
    return "", ""
