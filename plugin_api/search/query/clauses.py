"""Parts of queries: where they stand, and the clauses that Attune itself writes."""

from collections.abc import Collection, Sequence
from typing import Any

from mappings.types import JsonObject
from plugin_api.opensearch.raw_json import as_list
from plugin_api.search.hit_key import HitKey

Path = tuple[str | int, ...]
"""Keys and places that lead from a query to a clause in it."""

_TRANSPARENT = frozenset({"function_score", "script_score", "constant_score", "boosting"})
"""Queries that find what the query inside them finds."""

MATCH_ALL: JsonObject = {"match_all": {}}


def value_at(query: JsonObject, path: Path) -> JsonObject:
    """Return the clause that stands at a path."""
    value: Any = query
    for key in path:
        value = value[key]
    clause: JsonObject = value
    return clause


def replace_at(query: JsonObject, path: Path, clause: JsonObject) -> JsonObject:
    """Return a copy of the query with another clause at a path. What is not on the path is shared."""
    changed: JsonObject = _replace(query, path, clause)
    return changed


def _replace(value: Any, path: Path, clause: JsonObject) -> Any:
    if not path:
        return clause
    key, *rest = path
    copy = value.copy()
    copy[key] = _replace(value[key], tuple(rest), clause)
    return copy


def fold_alternatives(query: JsonObject) -> JsonObject:
    """Return MATCH_ALL for alternatives of which one is MATCH_ALL; another query stays as it is."""
    ((kind, body),) = query.items()
    alternatives: object = None
    if kind == "dis_max":
        alternatives = body.get("queries")
    elif kind == "bool" and body.keys() == {"should"}:
        alternatives = body["should"]
    return MATCH_ALL if MATCH_ALL in as_list(alternatives) else query


def match_hits(keys: Sequence[HitKey]) -> JsonObject:
    """Return the query for these hits and no others: indexes may have the same ids."""
    by_index: dict[str, list[str]] = {}
    for index, id_ in keys:
        by_index.setdefault(index, []).append(id_)
    if len(by_index) == 1:
        return {"ids": {"values": [id_ for _, id_ in keys]}}
    of_each = [
        {"bool": {"filter": [{"term": {"_index": index}}, {"ids": {"values": ids}}]}}
        for index, ids in by_index.items()
    ]
    return {"bool": {"should": of_each, "minimum_should_match": 1}}


def needs_all_words(options: JsonObject, text: str) -> bool:
    """Return whether a text query wants every word of its text: by `operator`, or `minimum_should_match`."""
    operator = options.get("operator", options.get("default_operator"))
    if str(operator).lower() == "and":
        return True
    at_least = str(options.get("minimum_should_match", "")).strip()
    words = len(text.split())
    return "100%" in at_least or (at_least.isdigit() and int(at_least) >= words > 1)


def required_filters(query: JsonObject, names: Collection[str]) -> tuple[JsonObject, ...]:
    """Return the filters on the fields of these names that every hit of the query meets.

    `brand.keyword` is a field of the name `brand`.
    """
    if not names or not isinstance(query, dict) or len(query) != 1:
        return ()
    ((kind, body),) = query.items()
    if not isinstance(body, dict):  # OpenSearch judges it
        return ()
    if kind in ("term", "terms"):
        fields = [field.removesuffix(".keyword") for field in body if field not in ("boost", "_name")]
        return (query,) if any(field in names for field in fields) else ()
    if kind == "bool":
        inner = [clause for key in ("must", "filter") for clause in as_list(body.get(key))]
    else:
        inner = [body[key] for key in ("query", "filter", "positive") if isinstance(body.get(key), dict)]
        inner = inner if kind in _TRANSPARENT else []
    return tuple(required for clause in inner for required in required_filters(clause, names))  # type: ignore[arg-type]
