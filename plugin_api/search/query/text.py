"""Read the query DSL: the words that the shopper typed, and the clauses that look for them."""

import base64
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from mappings.types import JsonObject
from plugin_api.opensearch.raw_json import as_list
from plugin_api.search.query.clauses import Path, needs_all_words, replace_at
from plugin_api.search.query.field_types import FieldRank, FieldTypes, no_field_types, rank_fields
from plugin_api.search.query.query_text import QueryText, TextClause
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
    "distance_feature", "exists", "fuzzy", "geo_bounding_box", "geo_distance", "geo_polygon", "geo_shape",
    "ids", "intervals", "knn", "match_all", "match_none", "more_like_this", "parent_id", "percolate",
    "prefix", "range", "rank_feature", "regexp", "script", "sltr", "span_containing", "span_field_masking",
    "field_masking_span", "span_first", "span_gap", "span_multi", "span_near", "span_not", "span_or",
    "span_term", "span_within", "term", "terms", "terms_set", "wildcard", "xy_shape",
})  # fmt: skip
"""Queries without a text: a hit meets them or does not. Spans and intervals hold terms, not a text."""


def parse_query(query: object, types: FieldTypes = no_field_types) -> QueryText | Cause:
    """Return the text of a query, or why there is none to rerank by. Raises nothing.

    `types` gives the types of fields in the index: they tell a text from a match on a number.
    """
    if query is None:
        return Reason.NO_TEXT.because(types="")
    try:
        reader = _Reader(query, types)
        reading = reader.read(query, (), 1)
    except NotReranked as error:
        return error.cause
    text = " ".join(dict.fromkeys(reading.texts))[:MAX_TEXT]
    if not text:
        names = ", ".join(dict.fromkeys(reading.textless))[:MAX_TEXT]
        return Reason.NO_TEXT.because(types=names and f", only {names}")
    return QueryText(text, reader.query, reading.clauses, reading.optional)


@dataclass(frozen=True, slots=True)
class _Reading:
    """What one clause says.

    `texts` are those that it looks for, with `clauses`; `rank` is that of the fields that it looks in. Words
    are `secondary` that are not the shopper's if other clauses have words. `textless` names types without a
    text.
    """

    texts: tuple[str, ...] = ()
    clauses: tuple[TextClause, ...] = ()
    rank: FieldRank = FieldRank.TEXT
    optional: bool = False
    secondary: bool = False
    textless: tuple[str, ...] = ()


def _malformed(problem: str) -> NotReranked:
    return NotReranked(Reason.MALFORMED_QUERY.because(problem=problem))


class _Reader:
    """Reads clauses of one query, against the types of the index's fields. `query` has wrappers unfolded."""

    def __init__(self, query: Any, types: FieldTypes) -> None:
        self.query = query
        self._types = types

    def read(self, clause: object, path: Path, depth: int) -> _Reading:
        """Read a clause that stands at `path`. Raises NotReranked."""
        if depth > _MAX_DEPTH:
            raise NotReranked(Reason.NESTED_TOO_DEEP.because(levels=_MAX_DEPTH))
        if not isinstance(clause, dict) or len(clause) != 1:
            raise _malformed("each clause must be an object with one key, its type")
        ((name, body),) = clause.items()
        if name not in _READERS:
            raise NotReranked(Reason.UNSUPPORTED_QUERY.because(type=name[:_MAX_NAME]))
        if not isinstance(body, dict):
            raise _malformed(f"the {name} query is not an object")
        return _READERS[name](self, name, body, path, depth)

    def _read_all(self, name: str, body: JsonObject, key: str, path: Path, depth: int) -> list[_Reading]:
        """Read the clauses under a key, a list or one alone."""
        value = body.get(key)
        where = (*path, name, key)
        places = [(*where, n) for n in range(len(value))] if isinstance(value, list) else [where]
        clauses = as_list(value)
        return [self.read(inner, place, depth + 1) for inner, place in zip(clauses, places, strict=False)]

    def textless(self, name: str, *_: object) -> _Reading:
        """Read a query that has no text."""
        return _Reading(textless=(name,))

    def boolean(self, name: str, body: JsonObject, path: Path, depth: int) -> _Reading:
        """Read a `bool`: what must be there decides before what should be."""
        if unknown := body.keys() - {
            "must", "filter", "should", "must_not", "minimum_should_match", "boost", "adjust_pure_negative",
            "_name",
        }:  # fmt: skip
            raise _malformed(f"bool has no {min(unknown)[:_MAX_NAME]}")
        must, should = (self._read_all(name, body, key, path, depth) for key in ("must", "should"))
        types = _types((*must, *should)) or ("bool",)
        # Where must has words, words in should are a boost by the caller, not what the shopper typed.
        if typed := _typed(must):
            # What further texts look for, such as a brand, is a condition.
            return replace(min(typed, key=lambda reading: reading.rank), textless=types)
        has_others = bool(body.get("must") or body.get("filter"))
        at_least = str(body.get("minimum_should_match", 0 if has_others else 1))
        alternatives = _join_alternatives(_with_texts(should), at_least in ("0", "1"), types)
        return replace(alternatives, optional=alternatives.optional or (has_others and at_least == "0"))

    def dis_max(self, name: str, body: JsonObject, path: Path, depth: int) -> _Reading:
        """Read a `dis_max`, whose queries are alternatives."""
        readings = self._read_all(name, body, "queries", path, depth)
        return _join_alternatives(_with_texts(readings), True, _types(readings) or (name,))

    def hybrid(self, name: str, body: JsonObject, path: Path, depth: int) -> _Reading:
        """Read a `hybrid`: nothing may be added, since each of its lists is scored on its own."""
        readings = self._read_all(name, body, "queries", path, depth)
        joined = _join_alternatives(_with_texts(readings), True, _types(readings) or (name,))
        return replace(joined, clauses=())

    def inner(
        self,
        name: str,
        body: JsonObject,
        path: Path,
        depth: int,
        key: str,
        secondary: bool = False,
        closed: bool = False,
    ) -> _Reading:
        """Read a query around another one under `key`. Nothing can be added within a `closed` one."""
        if body.get(key) is None:
            return self.textless(name)
        inner = self.read(body[key], (*path, name, key), depth + 1)
        clauses = () if closed else inner.clauses
        return replace(inner, clauses=clauses, secondary=secondary or inner.secondary)

    def wrapper(self, _: str, body: JsonObject, path: Path, depth: int) -> _Reading:
        """Read what a `wrapper` wraps, and put it in the wrapper's place."""
        try:
            inner = json.loads(base64.b64decode(str(body.get("query")), validate=True))
        except (ValueError, RecursionError) as error:
            raise _malformed("the query of wrapper is not base64 of JSON") from error
        self.query = replace_at(self.query, path, inner)
        return self.read(inner, path, depth + 1)

    def field_text(
        self,
        name: str,
        body: JsonObject,
        path: Path,
        _: int,
        key: str = "query",
        precise: bool = True,
        closed: bool = False,
    ) -> _Reading:
        """Read the text of `{field: text}` or `{field: {key: text}}`."""
        field, value = next(iter(body.items())) if len(body) == 1 else ("", None)
        options = value if isinstance(value, dict) else {key: value}
        return self._words(name, options, key, path, [field], precise, closed)

    def fields_text(self, name: str, body: JsonObject, path: Path, _: int) -> _Reading:
        """Read the text of a query over several fields."""
        precise = body.get("type", _WORD_TYPES[0]) not in _WORD_TYPES
        return self._words(name, body, "query", path, as_list(body.get("fields")), precise)

    def syntax_text(
        self, name: str, body: JsonObject, path: Path, _: int, words: Callable[[str], SyntaxWords]
    ) -> _Reading:
        """Read the text of a query with a syntax of its own."""
        query = body.get("query")
        plain = words(query if isinstance(query, str) else "")
        precise = not plain.is_plain or body.get("type", _WORD_TYPES[0]) not in _WORD_TYPES
        fields = as_list(body.get("fields", body.get("default_field")))
        return self._words(name, {**body, "query": plain.text}, "query", path, fields, precise)

    def _words(
        self,
        name: str,
        options: JsonObject,
        key: str,
        path: Path,
        fields: Sequence[object],
        precise: bool,
        closed: bool = False,
    ) -> _Reading:
        value = options.get(key)
        text = " ".join(value.split()) if isinstance(value, str) else ""
        rank = rank_fields([str(field).partition("^")[0] for field in fields], self._types)
        if not text or rank is FieldRank.EXACT:
            return self.textless(name)
        clause = TextClause(path, precise or needs_all_words(options, text))
        return _Reading((text,), () if closed else (clause,), rank)


_Read = Callable[..., _Reading]

_READERS: Mapping[str, _Read] = {
    **dict.fromkeys(_CONDITIONS, _Reader.textless),
    "match": partial(_Reader.field_text, precise=False),
    "common": partial(_Reader.field_text, precise=False),
    "multi_match": _Reader.fields_text,
    "combined_fields": _Reader.fields_text,
    "match_phrase": _Reader.field_text,
    "match_phrase_prefix": _Reader.field_text,
    "match_bool_prefix": _Reader.field_text,
    "query_string": partial(_Reader.syntax_text, words=lucene_words),
    "simple_query_string": partial(_Reader.syntax_text, words=simple_words),
    "bool": _Reader.boolean,
    "dis_max": _Reader.dis_max,
    "constant_score": partial(_Reader.inner, key="filter", secondary=True),
    "nested": partial(_Reader.inner, key="query", secondary=True, closed=True),
    "has_child": partial(_Reader.inner, key="query", secondary=True, closed=True),
    "has_parent": partial(_Reader.inner, key="query", secondary=True, closed=True),
    "function_score": partial(_Reader.inner, key="query"),
    "script_score": partial(_Reader.inner, key="query"),
    "boosting": partial(_Reader.inner, key="positive"),
    "hybrid": _Reader.hybrid,
    "wrapper": _Reader.wrapper,
    "neural": partial(_Reader.field_text, key="query_text", closed=True),
    "neural_sparse": partial(_Reader.field_text, key="query_text", closed=True),
}
"""The reader of each query type. Types that are missing here, such as a plugin's, are not reranked."""


def _with_texts(readings: Sequence[_Reading]) -> list[_Reading]:
    return [reading for reading in readings if reading.texts]


def _typed(readings: Sequence[_Reading]) -> list[_Reading]:
    """Return the readings with words that the shopper typed; those of conditions only where no others are."""
    worded = _with_texts(readings)
    return [reading for reading in worded if not reading.secondary] or worded


def _join_alternatives(readings: Sequence[_Reading], one_is_enough: bool, types: tuple[str, ...]) -> _Reading:
    """Return the reading of clauses of which some must match.

    Where one is enough, all but one of the clauses are spare: the first that is not precise.
    """
    readings = [reading for reading in readings if not reading.secondary] or list(readings)
    clauses = [clause for reading in readings for clause in reading.clauses]
    if one_is_enough and clauses:
        chosen = next((clause for clause in clauses if not (clause.precise or clause.spare)), clauses[0])
        clauses = [replace(clause, spare=clause.spare or clause is not chosen) for clause in clauses]
    return _Reading(
        tuple(text for reading in readings for text in reading.texts),
        tuple(clauses),
        min((reading.rank for reading in readings), default=FieldRank.TEXT),
        any(reading.optional for reading in readings),
        bool(readings) and all(reading.secondary for reading in readings),
        types,
    )


def _types(readings: Sequence[_Reading]) -> tuple[str, ...]:
    return tuple(name for reading in readings for name in reading.textless)
