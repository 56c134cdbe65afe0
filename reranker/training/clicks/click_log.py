"""A click log in the UBI schema (User Behavior Insights 1.0 to 1.3, https://ubisearch.dev) as typed values.

What is read, and nothing else:

ubi_queries   `query_id`, `client_id`, `user_query`, `timestamp`, and the ids shown, best first, in
              `query_response_hit_ids` (`query_response_object_ids` in logs older than 1.0)
ubi_events    `action_name`, `query_id`, `client_id`, `timestamp`, the product's id in
              `event_attributes.object.object_id` or `.internal_id`, and its place from 1 on in
              `event_attributes.position.ordinal`

A `timestamp` is ISO 8601 text, UTC where it names no zone, or milliseconds since 1970.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

ActionKind = Literal["impression", "click", "cart", "purchase"]

ACTIONS: Mapping[str, ActionKind] = {
    "impression": "impression",
    "item_impression": "impression",
    "product_impression": "impression",
    "click": "click",
    "item_click": "click",
    "product_click": "click",
    "result_click": "click",
    "select_item": "click",
    "add_to_cart": "cart",
    "add_to_basket": "cart",
    "cart": "cart",
    "purchase": "purchase",
    "buy": "purchase",
    "order": "purchase",
    "checkout": "purchase",
}
"""What the `action_name` of an event means; other names say nothing of a product's relevance."""


@dataclass(frozen=True, slots=True)
class LoggedSearch:
    """One search and the ids of what it returned, best first. `at` is seconds since 1970, NaN if unknown."""

    query_id: str
    client: str
    query: str
    shown: tuple[str, ...]
    at: float


@dataclass(frozen=True, slots=True)
class LoggedAction:
    """One event. `ids` are the names its product may go by, none where it speaks of no product.

    `position` counts from 1, 0 where the log does not say. `at` is seconds since 1970, NaN if unknown.
    """

    name: str
    query_id: str
    client: str
    ids: tuple[str, ...]
    position: int
    at: float


@dataclass(frozen=True, slots=True)
class UnusableRecord:
    """A line or document of the log that can't be used. `where` names it: file and line, or index and id."""

    where: str
    reason: str


@dataclass(frozen=True, slots=True)
class ClickLog:
    """A log as it is read: each iterator can be used once."""

    searches: Iterator[LoggedSearch | UnusableRecord]
    actions: Iterator[LoggedAction | UnusableRecord]


def parse_search(document: Mapping[str, object], where: str) -> LoggedSearch | UnusableRecord:
    """Return a document of `ubi_queries` as a LoggedSearch, or why it can't be one."""
    query_id, query = _text(document.get("query_id")), _text(document.get("user_query"))
    if not query_id or not query:
        return UnusableRecord(where, f"no {'user_query' if query_id else 'query_id'}")
    shown = document.get("query_response_hit_ids") or document.get("query_response_object_ids") or []
    if not isinstance(shown, list):
        return UnusableRecord(where, "query_response_hit_ids is not a list")
    ids = tuple(dict.fromkeys(text for cell in shown if (text := _text(cell))))
    return LoggedSearch(
        query_id, _text(document.get("client_id")), query, ids, _seconds(document.get("timestamp"))
    )


def parse_action(document: Mapping[str, object], where: str) -> LoggedAction | UnusableRecord:
    """Return a document of `ubi_events` as a LoggedAction, or why it can't be one."""
    name = _text(document.get("action_name"))
    if not name:
        return UnusableRecord(where, "no action_name")
    attributes = _object(document.get("event_attributes"))
    product = _object(attributes.get("object"))
    ordinal = _object(attributes.get("position")).get("ordinal")
    return LoggedAction(
        name,
        _text(document.get("query_id")),
        _text(document.get("client_id")),
        tuple(i for key in ("object_id", "internal_id") if (i := _text(product.get(key)))),
        ordinal if isinstance(ordinal, int) and ordinal > 0 else 0,
        _seconds(document.get("timestamp")),
    )


def _text(value: object) -> str:
    if isinstance(value, str):
        return value.strip()
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else ""


def _object(value: object) -> Mapping[str, object]:
    return value if isinstance(value, dict) else {}


def _seconds(value: object) -> float:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value) / 1000 if math.isfinite(value) else math.nan
    if not isinstance(value, str):
        return math.nan
    try:
        moment = datetime.fromisoformat(value)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return math.nan
