"""Tell whether a query finds the same hits for as long as the index stays the same.

A ranking may be cached only then. Queries are pure by an allow list: what is not on it, such as scripts,
terms looked up in another index, or a plugin's query, may depend on something else than the index.
"""

import re
from collections.abc import Mapping
from typing import Any

from plugin_api.search.query.syntax import lucene_words, simple_words

_PURE_TYPES = frozenset({
    "bool", "combined_fields", "constant_score", "dis_max", "exists", "ids", "match", "match_all",
    "match_bool_prefix", "match_none", "match_phrase", "match_phrase_prefix", "multi_match", "nested",
    "prefix", "query_string", "range", "simple_query_string", "term", "terms", "wildcard",
})  # fmt: skip

_INNER = {
    "bool": ("must", "filter", "should", "must_not"),
    "constant_score": ("filter",),
    "dis_max": ("queries",),
    "nested": ("query",),
}
"""Query types around other queries, and the keys under which those stand."""

_DATE_MATH = re.compile(r"now([-+/|].*)?", re.DOTALL)
"""A moment that moves with the clock, in a field of dates."""


def is_pure(query: object) -> bool:
    """Return whether a query, or a list of queries, depends on nothing but the index."""
    if query is None:
        return True
    if isinstance(query, list):
        return all(map(is_pure, query))
    if not isinstance(query, dict) or len(query) != 1:
        return False
    ((kind, body),) = query.items()
    if kind not in _PURE_TYPES or not isinstance(body, dict):
        return False
    if kind in _INNER:
        rest = {key: value for key, value in body.items() if key not in _INNER[kind]}
        return all(is_pure(body.get(key)) for key in _INNER[kind]) and _is_constant(rest)
    if kind in ("query_string", "simple_query_string"):
        return _has_plain_text(kind, body) and _is_constant(body)
    if kind == "terms":
        return all(not isinstance(value, dict) for value in body.values()) and _is_constant(body)
    return _is_constant(body)


def _has_plain_text(kind: str, body: Mapping[str, Any]) -> bool:
    text = body.get("query")
    if not isinstance(text, str):
        return False
    words = lucene_words(text) if kind == "query_string" else simple_words(text)
    return words.is_plain and not any(map(_DATE_MATH.fullmatch, text.split()))


def _is_constant(value: object) -> bool:
    """Return whether a value holds no moment that moves with the clock, and no script."""
    if isinstance(value, str):
        return not _DATE_MATH.fullmatch(value.strip())
    if isinstance(value, list):
        return all(map(_is_constant, value))
    if isinstance(value, dict):
        return "script" not in value and all(map(_is_constant, value.values()))
    return True
