"""Read the query DSL: the words that the shopper typed, and the conditions that a hit must meet.

A query is read by relaxing it: its words may match anything, everything else stays as it came. The relaxed
query is the filter of the k-NN search, so that products found by vector meet every condition but the words.
"""

import base64
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from mappings.types import JsonObject
from plugin_api.opensearch.raw_json import as_list
from plugin_api.search.query.syntax import SyntaxWords, lucene_words, simple_words
from plugin_api.search.reasons import Cause, NotReranked, Reason

MAX_TEXT = 2000
"""Characters of the text that are read: more than any query encoder takes in."""

_MAX_DEPTH = 50
"""Levels of queries within queries that are read."""

_MAX_NAME = 100
"""Characters of an unknown type's name that a reason quotes."""

_WORD_TYPES = ("best_fields", "most_fields", "cross_fields")
"""Types of multi_match and query_string that look for words. Others look for phrases or prefixes."""

_CONDITIONS = frozenset({
    "exists", "fuzzy", "geo_bounding_box", "geo_distance", "geo_polygon", "geo_shape", "ids", "intervals",
    "match_all", "match_none", "parent_id", "percolate", "prefix", "range", "regexp", "script",
    "span_containing", "span_field_masking", "field_masking_span", "span_first", "span_gap",
    "span_multi", "span_near",
    "span_not", "span_or", "span_term", "span_within", "term", "terms", "terms_set", "wildcard", "xy_shape",
})  # fmt: skip
"""Queries without a text: a hit meets them or does not. Spans and intervals hold terms, not a text."""

_RANKINGS = frozenset({"distance_feature", "knn", "more_like_this", "rank_feature", "sltr"})
"""Queries without a text that rank hits. Hits that they don't score can't be ordered among the others."""


@dataclass(frozen=True, slots=True)
class QueryText:
    """The text to rerank by.

    `allows_vector_hits` says whether hits that only the vectors find may join; those must meet `conditions`.
    """

    text: str
    conditions: tuple[JsonObject, ...]
    allows_vector_hits: bool


def parse_query(query: object) -> QueryText | Cause:
    """Return the text of a query, or why there is none to rerank by. Raises nothing."""
    if query is None:
        return Reason.NO_TEXT.because(types="")
    try:
        reading = _read(query, 1)
    except NotReranked as error:
        return error.cause
    text = " ".join(dict.fromkeys(reading.texts))[:MAX_TEXT]
    if not text:
        types = ", ".join(dict.fromkeys(reading.textless))[:MAX_TEXT]
        return Reason.NO_TEXT.because(types=types and f", only {types}")
    allows_vector_hits = reading.relaxed and not reading.ranks
    return QueryText(text, reading.conditions if allows_vector_hits else (), allows_vector_hits)


@dataclass(frozen=True, slots=True)
class _Reading:
    """What one clause says.

    `texts` are those that it looks for. `conditions` must still be met once its words are relaxed; `relaxed`
    says that some words were. `ranks` is true where its score is the caller's own ranking, `secondary` where
    its words are not the shopper's if other clauses have words. `textless` names its types without a text.
    """

    texts: tuple[str, ...] = ()
    conditions: tuple[JsonObject, ...] = ()
    relaxed: bool = False
    ranks: bool = False
    secondary: bool = False
    textless: tuple[str, ...] = ()


def _read(clause: object, depth: int) -> _Reading:
    if depth > _MAX_DEPTH:
        raise NotReranked(Reason.NESTED_TOO_DEEP.because(levels=_MAX_DEPTH))
    if not isinstance(clause, dict) or len(clause) != 1:
        raise _malformed("each clause must be an object with one key, its type")
    ((name, body),) = clause.items()
    if name not in _READERS:
        raise NotReranked(Reason.UNSUPPORTED_QUERY.because(type=name[:_MAX_NAME]))
    if not isinstance(body, dict):
        raise _malformed(f"the {name} query is not an object")
    return _READERS[name](clause, body, depth + 1)


def _malformed(problem: str) -> NotReranked:
    return NotReranked(Reason.MALFORMED_QUERY.because(problem=problem))


def _textless(clause: JsonObject, *_: object, ranks: bool = False) -> _Reading:
    return _Reading(conditions=(clause,), ranks=ranks, textless=tuple(clause))


def _bool(_: JsonObject, body: JsonObject, depth: int) -> _Reading:
    if unknown := body.keys() - {
        "must", "filter", "should", "must_not", "minimum_should_match", "boost", "adjust_pure_negative",
        "_name",
    }:  # fmt: skip
        raise _malformed(f"bool has no {min(unknown)[:_MAX_NAME]}")
    filters, should, must_not = (_clauses(body.get(key)) for key in ("filter", "should", "must_not"))
    must_clauses = _clauses(body.get("must"))
    must = [_read(inner, depth) for inner in must_clauses]
    optional = [_read(inner, depth) for inner in should]
    # Where must has words, words in should are a boost by the caller, not what the shopper typed.
    typed = [reading for reading in must if reading.texts and not reading.secondary] or _with_texts(must)
    in_must = bool(typed)
    typed = typed or _with_texts(optional)
    # Only the first text in must is relaxed: what further ones look for, such as a brand, is a condition.
    first = next((reading for reading in typed if reading.relaxed), None)
    conditions: list[JsonObject] = []
    for clause, reading in zip(must_clauses, must, strict=True):
        is_further = reading.relaxed and reading is not first
        conditions += (clause,) if is_further else reading.conditions
    # filter and must_not are sent as they came: where k-NN refuses them, the keyword hits stay as they are.
    conditions += filters
    if must_not:
        conditions.append({"bool": {"must_not": must_not}})
    at_least = body.get("minimum_should_match", 0 if must or filters else 1)
    if at_least not in (0, "0") or not (must or filters):
        arms = should if in_must else [_all(reading.conditions) for reading in optional]
        conditions += _any(arms, at_least)
    return _Reading(
        _texts(typed),
        tuple(conditions),
        any(reading.relaxed for reading in typed),
        any(reading.ranks for reading in (*must, *optional)),
        bool(typed) and all(reading.secondary for reading in typed),
        _types((*must, *optional)) or ("bool",),
    )


def _dis_max(_: JsonObject, body: JsonObject, depth: int) -> _Reading:
    arms = [_read(inner, depth) for inner in _clauses(body.get("queries"))]
    return _Reading(
        _texts(arms),
        tuple(_any([_all(arm.conditions) for arm in arms], 1)),
        any(arm.relaxed for arm in arms),
        any(arm.ranks for arm in arms),
        bool(arms) and all(arm.secondary for arm in arms),
        _types(arms) or ("dis_max",),
    )


def _hybrid(clause: JsonObject, body: JsonObject, depth: int) -> _Reading:
    arms = [_read(inner, depth) for inner in _clauses(body.get("queries"))]
    return _Reading(_texts(arms), (clause,), ranks=True, textless=_types(arms) or ("hybrid",))


def _inner(
    clause: JsonObject, body: JsonObject, depth: int, key: str, ranks: bool = False, secondary: bool = False
) -> _Reading:
    """Read a query around another one under `key`: its words are read, but all of it stays a condition."""
    if body.get(key) is None:
        return _textless(clause, ranks=ranks)
    inner = _read(body[key], depth)
    return _Reading(inner.texts, (clause,), False, ranks or inner.ranks, secondary, inner.textless)


def _wrapper(_: JsonObject, body: JsonObject, depth: int) -> _Reading:
    try:
        inner = json.loads(base64.b64decode(str(body.get("query")), validate=True))
    except (ValueError, RecursionError) as error:
        raise _malformed("the query of wrapper is not base64 of JSON") from error
    return _read(inner, depth)


def _field_text(
    clause: JsonObject,
    body: JsonObject,
    _: int,
    key: str = "query",
    relaxed: bool = False,
    ranks: bool = False,
) -> _Reading:
    """Read the text of `{field: text}` or `{field: {key: text}}`."""
    value = next(iter(body.values())) if len(body) == 1 else None
    options = value if isinstance(value, dict) else {key: value}
    return _words(clause, options.get(key), relaxed and not _needs_all_words(options), ranks)


def _fields_text(clause: JsonObject, body: JsonObject, _: int) -> _Reading:
    relaxed = body.get("type", _WORD_TYPES[0]) in _WORD_TYPES and not _needs_all_words(body)
    return _words(clause, body.get("query"), relaxed)


def _syntax_text(
    clause: JsonObject, body: JsonObject, _: int, read: Callable[[str], SyntaxWords]
) -> _Reading:
    query = body.get("query")
    words = read(query if isinstance(query, str) else "")
    relaxed = body.get("type", _WORD_TYPES[0]) in _WORD_TYPES and not _needs_all_words(body)
    return _words(clause, words.text, relaxed and words.is_plain)


def _needs_all_words(options: JsonObject) -> bool:
    """Return whether a hit must have every word, so that vectors may not add any."""
    operator = options.get("operator", options.get("default_operator"))
    return str(operator).lower() == "and" or str(options.get("minimum_should_match")).strip() == "100%"


def _words(clause: JsonObject, value: object, relaxed: bool, ranks: bool = False) -> _Reading:
    text = " ".join(value.split()) if isinstance(value, str) else ""
    if not text:
        return _textless(clause, ranks=ranks)
    return _Reading((text,), () if relaxed else (clause,), relaxed, ranks)


_Reader = Callable[[JsonObject, JsonObject, int], _Reading]

_READERS: Mapping[str, _Reader] = {
    **dict.fromkeys(_CONDITIONS, _textless),
    **dict.fromkeys(_RANKINGS, partial(_textless, ranks=True)),
    "match": partial(_field_text, relaxed=True),
    "common": partial(_field_text, relaxed=True),
    "multi_match": _fields_text,
    "combined_fields": _fields_text,
    "match_phrase": _field_text,
    "match_phrase_prefix": _field_text,
    "match_bool_prefix": _field_text,
    "query_string": partial(_syntax_text, read=lucene_words),
    "simple_query_string": partial(_syntax_text, read=simple_words),
    "bool": _bool,
    "dis_max": _dis_max,
    "constant_score": partial(_inner, key="filter", secondary=True),
    "nested": partial(_inner, key="query", secondary=True),
    "has_child": partial(_inner, key="query", secondary=True),
    "has_parent": partial(_inner, key="query", secondary=True),
    "function_score": partial(_inner, key="query", ranks=True),
    "script_score": partial(_inner, key="query", ranks=True),
    "boosting": partial(_inner, key="positive", ranks=True),
    "hybrid": _hybrid,
    "neural": partial(_field_text, key="query_text", ranks=True),
    "neural_sparse": partial(_field_text, key="query_text", ranks=True),
    "wrapper": _wrapper,
}
"""The reader of each query type. Types that are missing here, such as a plugin's, are not reranked."""


def _with_texts(readings: Sequence[_Reading]) -> list[_Reading]:
    return [reading for reading in readings if reading.texts]


def _texts(readings: Sequence[_Reading]) -> tuple[str, ...]:
    return tuple(text for reading in readings for text in reading.texts)


def _types(readings: Sequence[_Reading]) -> tuple[str, ...]:
    return tuple(name for reading in readings for name in reading.textless)


def _all(conditions: Sequence[JsonObject]) -> JsonObject | None:
    """Return one query for all conditions; None where there are none."""
    if len(conditions) > 1:
        return {"bool": {"filter": list(conditions)}}
    return conditions[0] if conditions else None


def _any(arms: Sequence[JsonObject | None], at_least: object) -> list[JsonObject]:
    """Return the condition that at least so many arms match; none where an arm that matches all is enough."""
    if not arms or (at_least in (0, "0", 1, "1") and None in arms):
        return []
    anything: JsonObject = {"match_all": {}}
    should = [anything if arm is None else arm for arm in arms]
    return [{"bool": {"should": should, "minimum_should_match": at_least}}]


def _clauses(value: object) -> list[JsonObject]:
    return as_list(value)  # type: ignore[return-value]  # OpenSearch judges the shape
