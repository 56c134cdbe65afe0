"""Events and queries in the UBI schema 1.3 (User Behavior Insights, https://ubisearch.dev), validated.

Of a document only what is named here is stored. Ids of shoppers are stored as pseudonyms.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated

import msgspec
from msgspec import Meta

from mappings.types import JsonObject
from plugin_api.shoppers.pseudonyms import hash_shopper
from reranker.training.clicks.click_log import ACTIONS, ActionKind

SECONDS_A_DAY = 86_400.0

MAX_EVENTS = 1_000
"""Documents of one request."""

_AHEAD_SECONDS = 86_400.0
"""How far a browser's clock may be ahead."""

_ShortText = Annotated[str, Meta(max_length=256)]
_Id = Annotated[str, Meta(max_length=512)]


class EventDetail(msgspec.Struct, frozen=True):
    """What is read of a product's details: the price paid."""

    price: Annotated[float, Meta(ge=0, le=1e9)] = 0.0


class EventObject(msgspec.Struct, frozen=True):
    """The product that an event is about. `description` is its title, as the page shows it."""

    object_id: _Id | int = ""
    internal_id: _Id | int = ""
    description: Annotated[str, Meta(max_length=1_000)] = ""
    object_detail: EventDetail = EventDetail()


class EventPosition(msgspec.Struct, frozen=True):
    """Where the product stood, from 1 on."""

    ordinal: Annotated[int, Meta(ge=0, le=1_000_000)] = 0


class EventAttributes(msgspec.Struct, frozen=True):
    """What is read of `event_attributes`. `order_id` tells the orders of one day apart."""

    object: EventObject = EventObject()
    position: EventPosition = EventPosition()
    order_id: _ShortText | int = ""


class UbiDocument(msgspec.Struct, frozen=True):
    """A document of `ubi_events` (with `action_name`) or of `ubi_queries` (with `user_query`).

    `user_id` is Attune's addition: who is logged in, where `client_id` is the browser.
    """

    action_name: Annotated[str, Meta(max_length=100)] = ""
    user_query: Annotated[str, Meta(max_length=1_000)] = ""
    query_id: _ShortText = ""
    client_id: _ShortText = ""
    user_id: _ShortText = ""
    application: _ShortText = ""
    timestamp: str | int | float = ""
    event_id: _ShortText = ""
    event_attributes: EventAttributes = EventAttributes()
    query_response_hit_ids: Annotated[list[_Id], Meta(max_length=1_000)] = []


@dataclass(frozen=True, slots=True)
class ShopperEvent:
    """A valid document: where it goes, its deterministic id, and what it says of a shopper.

    `product` is empty where it speaks of none; `action` is None for queries and for actions that say nothing
    of a product. `text` is the query, or the title of the product where the event has it.
    """

    index: str
    id: str
    body: JsonObject
    shopper: str
    day: float
    action: ActionKind | None
    product: str
    text: str


def read_event(document: Mapping[str, object], key: str, now: float, oldest: float) -> ShopperEvent:
    """Return a document as an event. `now` and `oldest` are seconds since 1970.

    A document that comes twice has one id: `event_id`, or a hash of what it says. Raises ValueError, saying
    what is wrong, and BadRequest without a key.
    """
    ubi = msgspec.convert(document, UbiDocument, strict=True)
    if not ubi.action_name and not ubi.user_query:
        raise ValueError("neither action_name nor user_query")
    if not ubi.client_id and not ubi.user_id:
        raise ValueError("neither client_id nor user_id")
    at = _read_seconds(ubi.timestamp, now)
    if not oldest <= at <= now + _AHEAD_SECONDS:
        raise ValueError("timestamp is in the future, or older than shoppers.retention_days")
    body: JsonObject = {"timestamp": format_time(at)}
    for name in ("client_id", "user_id"):
        if value := getattr(ubi, name):
            body[name] = hash_shopper(key, value)
    for name in ("query_id", "application"):
        if value := getattr(ubi, name):
            body[name] = value
    attributes = ubi.event_attributes
    product = str(attributes.object.object_id or attributes.object.internal_id)
    if ubi.action_name:
        kind = "events"
        body["action_name"] = ubi.action_name.lower()
        body["event_attributes"] = {"object": {"object_id": product}} if product else {}
        if price := attributes.object.object_detail.price:
            body["event_attributes"].setdefault("object", {})["object_detail"] = {"price": price}
        if attributes.position.ordinal:
            body["event_attributes"]["position"] = {"ordinal": attributes.position.ordinal}
        if attributes.order_id:
            body["event_attributes"]["order_id"] = str(attributes.order_id)
    else:
        kind = "queries"
        body |= {"user_query": ubi.user_query, "query_response_hit_ids": ubi.query_response_hit_ids}
    shopper = str(body.get("user_id") or body["client_id"])
    identity = ubi.event_id or msgspec.json.encode(body, order="deterministic").decode()
    return ShopperEvent(
        f"attune-{kind}-{format_month(at)}",
        hashlib.sha256(f"{shopper}\0{identity}".encode()).hexdigest()[:32],
        body,
        shopper,
        at / SECONDS_A_DAY,
        ACTIONS.get(ubi.action_name.lower()),
        product,
        ubi.user_query if kind == "queries" else attributes.object.description,
    )


def format_time(seconds: float) -> str:
    """Return seconds since 1970 as ISO 8601."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")


def format_month(seconds: float) -> str:
    """Return the month of seconds since 1970 as it ends the names of indexes, such as 2027.01."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y.%m")


def _read_seconds(value: str | float, now: float) -> float:
    """Return a timestamp as seconds since 1970: ISO 8601, UTC where it names no zone, or milliseconds."""
    if value == "":
        return now
    if isinstance(value, int | float):
        return float(value) / 1000
    moment = datetime.fromisoformat(value)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
