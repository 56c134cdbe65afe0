"""The patterns and words that divide a query: model numbers, and what limits, excludes and joins."""

import re
from functools import cache

from reranker.text.word_tokens import CJK
from reranker.understanding.lexicon import load_lexicon

_SIGN, _LETTER = rf"[^\W_{CJK}]", rf"[^\W\d_{CJK}]"
MODEL_NUMBER = re.compile(
    rf"(?<!{_SIGN})(?:({_LETTER}{{1,4}})[ -])?((?:{_SIGN}+[-/.])*{_SIGN}*[0-9]{_SIGN}*(?:[-/.]{_SIGN}+)*)"
)
"""A number that may name a model, and the letters that stand before it."""


@cache
def load_operators() -> frozenset[str]:
    """Return the words that limit, exclude and join: they end what stands before them."""
    words = load_lexicon().words
    groups = ("under", "over", "with", "for", "without", "between")
    return frozenset(phrase for group in groups for phrase in words[group]) | {"and", "or"}
