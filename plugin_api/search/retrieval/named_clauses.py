"""Named clauses: what a hit has of the caller's query, told by `matched_queries`. They change no score."""

from collections.abc import Iterable, Sequence
from typing import Any

from mappings.types import JsonObject
from plugin_api.opensearch.raw_json import decoded
from plugin_api.search.query.clauses import MATCH_ALL
from plugin_api.search.query.query_text import QueryText
from plugin_api.search.query.types import RerankRequest
from reranker.text.query_type import find_model_numbers

MEETS_CONDITIONS = "attune.meets_conditions"
"""Name in `matched_queries` of those neighbours that meet the conditions of the caller's query."""

HOLDS_NUMBER = "attune.holds_number"
"""Beginning of the names in `matched_queries` of the text's model numbers that a hit holds."""

_MAX_NUMBERS = 3
"""Model numbers of a text that hits are asked for."""


def number_clauses(query: QueryText, text: str) -> list[JsonObject]:
    """Return a named clause for each model number of the text, in the fields that the query looks in."""
    clauses = []
    for place, number in enumerate(find_model_numbers(text)[:_MAX_NUMBERS]):
        if holding := query.look_for(number):
            clauses.append(_name(f"{HOLDS_NUMBER}.{place}", {"should": holding}))
    return clauses


def count_numbers(matched_queries: Iterable[str]) -> int:
    """Return how many of the text's model numbers a hit holds, by the named clauses that it matches."""
    return sum(name.startswith(HOLDS_NUMBER) for name in matched_queries)


def find_conditions(request: RerankRequest) -> list[JsonObject]:
    """Return the conditions of the caller's query: what a product must meet, whatever its text."""
    post_filter: Any = decoded(request.body.get("post_filter"))
    queries = [query for query in (request.query.relax(), post_filter) if query and query != MATCH_ALL]
    return [strip_inner_hits(query) for query in queries]


def condition_clauses(conditions: Sequence[JsonObject]) -> list[JsonObject]:
    """Return the named clause for the conditions of the caller's query; none where it has none."""
    return [_name(MEETS_CONDITIONS, {"filter": list(conditions)})] if conditions else []


def _name(name: str, clauses: JsonObject) -> JsonObject:
    return {"bool": {**clauses, "boost": 0, "_name": name}}


def strip_inner_hits(value: Any) -> Any:
    """Return a query, or a part of one, without inner hits: they are of no use in a condition."""
    if isinstance(value, dict):
        return {key: strip_inner_hits(inner) for key, inner in value.items() if key != "inner_hits"}
    return [strip_inner_hits(inner) for inner in value] if isinstance(value, list) else value
