"""Reading the query DSL: which words the shopper typed, and what a hit must satisfy besides.

The query is read as what remains of it once its words are let go: words become "anything", all else stays as
it came. What remains is the filter of the k-NN candidates, so that they break nothing but the words.
"""

import base64
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from mappings.types import JsonObject
from plugin_api.search.query.syntax import Words, lucene_words, simple_words

MAX_TEXT = 2000
"""Characters of the text that are read; more than any query encoder takes in."""

MAX_DEPTH = 50
"""Queries within queries that are read."""

WORD_TYPES = ("best_fields", "most_fields", "cross_fields")
"""Types of multi_match and query_string that look for words. Others look for phrases or prefixes."""

CONDITIONS = frozenset({
    "exists", "fuzzy", "geo_bounding_box", "geo_distance", "geo_polygon", "geo_shape", "ids", "intervals",
    "match_all", "match_none", "parent_id", "percolate", "prefix", "range", "regexp", "script",
    "span_containing", "span_field_masking", "field_masking_span", "span_first", "span_gap",
    "span_multi", "span_near",
    "span_not", "span_or", "span_term", "span_within", "term", "terms", "terms_set", "wildcard", "xy_shape",
})  # fmt: skip
"""Queries without a text: a hit satisfies them or does not. Spans and intervals hold terms, not a text."""

RANKINGS = frozenset({"distance_feature", "knn", "more_like_this", "rank_feature", "sltr"})
"""Queries without a text by which the caller ranks. Hits that they don't score can't be put among theirs."""


@dataclass(frozen=True, slots=True)
class QueryText:
    """The text to rerank by.

    `widens` says whether vectors may add hits that the caller's query does not find; `conditions` is what
    those have to satisfy as well.
    """

    text: str
    conditions: tuple[JsonObject, ...]
    widens: bool


@dataclass(frozen=True, slots=True)
class Unranked:
    """Why a request goes to OpenSearch as it came."""

    reason: str


def read_query(query: object) -> QueryText | Unranked:
    """Find the text of a query. Never fails: what can't be read is for OpenSearch to judge."""
    if query is None:
        return Unranked("the query has no text to rerank by")
    try:
        reading = _read(query, 1)
    except _Unreadable as error:
        return Unranked(str(error))
    text = " ".join(dict.fromkeys(reading.texts))[:MAX_TEXT]
    if not text:
        types = ", ".join(dict.fromkeys(reading.textless))
        return Unranked(f"the query has no text to rerank by{types and f', only {types}'}"[:MAX_TEXT])
    widens = reading.loose and not reading.ranks
    return QueryText(text, reading.rest if widens else (), widens)


class _Unreadable(Exception):
    """The query, or a part of it, is of no kind that is reranked; the message says which."""


@dataclass(frozen=True, slots=True)
class _Reading:
    """What one clause comes to.

    `texts` it looks for; `rest` must still be satisfied once its words are let go, and `loose` says that some
    were. It `ranks` where its score is the caller's own; it is `aside` where its words are not the
    shopper's if others are. `textless` are the types in it that have no text.
    """

    texts: tuple[str, ...] = ()
    rest: tuple[JsonObject, ...] = ()
    loose: bool = False
    ranks: bool = False
    aside: bool = False
    textless: tuple[str, ...] = ()


def _read(clause: object, depth: int) -> _Reading:
    if depth > MAX_DEPTH:
        raise _Unreadable(f"a query nested more than {MAX_DEPTH} deep is not reranked")
    if not isinstance(clause, dict) or len(clause) != 1:
        raise _Unreadable("the query is malformed: each clause is an object with one key, its type")
    ((name, body),) = clause.items()
    if name not in _READERS:
        raise _Unreadable(f"a query of type {name} is not reranked")
    if not isinstance(body, dict):
        raise _Unreadable(f"the {name} query is malformed: it is no object")
    return _READERS[name](clause, body, depth + 1)


def _textless(clause: JsonObject, *_: object, ranks: bool = False) -> _Reading:
    return _Reading(rest=(clause,), ranks=ranks, textless=tuple(clause))


def _bool(_: JsonObject, body: JsonObject, depth: int) -> _Reading:
    if unknown := body.keys() - {
        "must", "filter", "should", "must_not", "minimum_should_match", "boost", "adjust_pure_negative",
        "_name",
    }:  # fmt: skip
        raise _Unreadable(f"the bool query is malformed: it knows no {min(unknown)}")
    filters, should, must_not = (_clauses(body.get(key)) for key in ("filter", "should", "must_not"))
    must = [_read(inner, depth) for inner in _clauses(body.get("must"))]
    optional = [_read(inner, depth) for inner in should]
    # Words in should beside words in must are a boost of the caller's, not what the shopper typed.
    typed = [reading for reading in must if reading.texts and not reading.aside] or _with_texts(must)
    in_must = bool(typed)
    typed = typed or _with_texts(optional)
    # Whatever is in filter and must_not goes on: if k-NN refuses it, the first stage stands.
    rest = [condition for reading in must for condition in reading.rest] + filters
    if must_not:
        rest.append({"bool": {"must_not": must_not}})
    at_least = body.get("minimum_should_match", 0 if must or filters else 1)
    if at_least not in (0, "0") or not (must or filters):
        rest += _any(should if in_must else [_all(reading.rest) for reading in optional], at_least)
    return _Reading(
        _texts(typed),
        tuple(rest),
        any(reading.loose for reading in typed),
        any(reading.ranks for reading in (*must, *optional)),
        bool(typed) and all(reading.aside for reading in typed),
        _types((*must, *optional)) or ("bool",),
    )


def _dis_max(_: JsonObject, body: JsonObject, depth: int) -> _Reading:
    arms = [_read(inner, depth) for inner in _clauses(body.get("queries"))]
    return _Reading(
        _texts(arms),
        tuple(_any([_all(arm.rest) for arm in arms], 1)),
        any(arm.loose for arm in arms),
        any(arm.ranks for arm in arms),
        bool(arms) and all(arm.aside for arm in arms),
        _types(arms) or ("dis_max",),
    )


def _hybrid(clause: JsonObject, body: JsonObject, depth: int) -> _Reading:
    arms = [_read(inner, depth) for inner in _clauses(body.get("queries"))]
    return _Reading(_texts(arms), (clause,), ranks=True, textless=_types(arms) or ("hybrid",))


def _inner(
    clause: JsonObject, body: JsonObject, depth: int, key: str, ranks: bool = False, aside: bool = False
) -> _Reading:
    """A query around one other, under `key`: its words are read, but which hits it finds is its affair."""
    if body.get(key) is None:
        return _textless(clause, ranks=ranks)
    inner = _read(body[key], depth)
    return _Reading(inner.texts, (clause,), False, ranks or inner.ranks, aside, inner.textless)


def _wrapper(_: JsonObject, body: JsonObject, depth: int) -> _Reading:
    try:
        inner = json.loads(base64.b64decode(str(body.get("query")), validate=True))
    except (ValueError, RecursionError) as error:
        raise _Unreadable("the wrapper query is malformed: its query is no base64 of JSON") from error
    return _read(inner, depth)


def _of_field(
    clause: JsonObject, body: JsonObject, _: int, key: str = "query", loose: bool = False, ranks: bool = False
) -> _Reading:
    """The text of `{field: text}` or `{field: {key: text}}`."""
    value = next(iter(body.values())) if len(body) == 1 else None
    return _words(clause, value.get(key) if isinstance(value, dict) else value, loose, ranks)


def _of_fields(clause: JsonObject, body: JsonObject, _: int) -> _Reading:
    return _words(clause, body.get("query"), body.get("type", WORD_TYPES[0]) in WORD_TYPES)


def _in_syntax(clause: JsonObject, body: JsonObject, _: int, read: Callable[[str], Words]) -> _Reading:
    query = body.get("query")
    words = read(query if isinstance(query, str) else "")
    return _words(clause, words.text, words.plain and body.get("type", WORD_TYPES[0]) in WORD_TYPES)


def _words(clause: JsonObject, value: object, loose: bool, ranks: bool = False) -> _Reading:
    text = " ".join(value.split()) if isinstance(value, str) else ""
    if not text:
        return _textless(clause, ranks=ranks)
    return _Reading((text,), () if loose else (clause,), loose, ranks)


_Reader = Callable[[JsonObject, JsonObject, int], _Reading]

_READERS: Mapping[str, _Reader] = {
    **dict.fromkeys(CONDITIONS, _textless),
    **dict.fromkeys(RANKINGS, partial(_textless, ranks=True)),
    "match": partial(_of_field, loose=True),
    "common": partial(_of_field, loose=True),
    "multi_match": _of_fields,
    "combined_fields": _of_fields,
    "match_phrase": _of_field,
    "match_phrase_prefix": _of_field,
    "match_bool_prefix": _of_field,
    "query_string": partial(_in_syntax, read=lucene_words),
    "simple_query_string": partial(_in_syntax, read=simple_words),
    "bool": _bool,
    "dis_max": _dis_max,
    "constant_score": partial(_inner, key="filter", aside=True),
    "nested": partial(_inner, key="query", aside=True),
    "has_child": partial(_inner, key="query", aside=True),
    "has_parent": partial(_inner, key="query", aside=True),
    "function_score": partial(_inner, key="query", ranks=True),
    "script_score": partial(_inner, key="query", ranks=True),
    "boosting": partial(_inner, key="positive", ranks=True),
    "hybrid": _hybrid,
    "neural": partial(_of_field, key="query_text", ranks=True),
    "neural_sparse": partial(_of_field, key="query_text", ranks=True),
    "wrapper": _wrapper,
}
"""How each type is read. Types that are not here, a plugin's or one to come, are not reranked."""


def _with_texts(readings: Sequence[_Reading]) -> list[_Reading]:
    return [reading for reading in readings if reading.texts]


def _texts(readings: Sequence[_Reading]) -> tuple[str, ...]:
    return tuple(text for reading in readings for text in reading.texts)


def _types(readings: Sequence[_Reading]) -> tuple[str, ...]:
    return tuple(name for reading in readings for name in reading.textless)


def _all(conditions: Sequence[JsonObject]) -> JsonObject | None:
    """One query for all conditions; None where there are none, and so anything will do."""
    if len(conditions) > 1:
        return {"bool": {"filter": list(conditions)}}
    return conditions[0] if conditions else None


def _any(arms: Sequence[JsonObject | None], at_least: object) -> list[JsonObject]:
    """The condition that at least so many of the arms hold; none at all where one that holds is enough."""
    if not arms or (at_least in (0, "0", 1, "1") and None in arms):
        return []
    anything: JsonObject = {"match_all": {}}
    should = [anything if arm is None else arm for arm in arms]
    return [{"bool": {"should": should, "minimum_should_match": at_least}}]


def _clauses(value: object) -> list[JsonObject]:
    if value is None:
        return []
    return value if isinstance(value, list) else [value]  # type: ignore[list-item]  # OpenSearch judges the shape
