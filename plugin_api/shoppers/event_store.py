"""Writes events once each, brings profiles up to date, and removes what is too old."""

import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

from mappings.types import JsonObject
from plugin_api.opensearch.raw_json import dumps
from plugin_api.shoppers.cluster import ClusterRequests, ShopperStoreError
from plugin_api.shoppers.events import SECONDS_A_DAY, ShopperEvent, format_month, format_time, read_event
from plugin_api.shoppers.profile_store import ProfileStore
from reranker.behaviour.counts import Profile, add_purchases, add_views

EVENT_INDEXES = "attune-events-*"
QUERY_INDEXES = "attune-queries-*"

_KEYWORD = {"type": "keyword", "ignore_above": 512}
_TEMPLATE: JsonObject = {
    "index_patterns": [EVENT_INDEXES, QUERY_INDEXES],
    "template": {
        "settings": {
            "index": {"number_of_shards": 1, "auto_expand_replicas": "0-1", "codec": "best_compression"}
        },
        "mappings": {
            "dynamic": False,
            "properties": {
                "timestamp": {"type": "date"},
                "action_name": _KEYWORD,
                "client_id": _KEYWORD,
                "user_id": _KEYWORD,
                "query_id": _KEYWORD,
                "user_query": {"type": "keyword", "ignore_above": 1000},
                "event_attributes": {
                    "properties": {"object": {"properties": {"object_id": _KEYWORD}}, "order_id": _KEYWORD}
                },
            },
        },
    },
}


@dataclass(frozen=True, slots=True)
class EventReport:
    """What became of documents. `duplicates` were there before; `rejected` says why, by place from 0 on."""

    stored: int = 0
    duplicates: int = 0
    rejected: Mapping[int, str] = field(default_factory=dict)


class EventStore:
    """Stores events in indexes of a month each. Thread-safe."""

    def __init__(self, requests: ClusterRequests, key: str, retention_days: int) -> None:
        self._requests, self._key, self._retention = requests, key, retention_days
        self._profiles = ProfileStore(requests)
        self._ready = False
        self._preparing = threading.Lock()

    def store(self, documents: Sequence[Mapping[str, object]], now: float) -> EventReport:
        """Store documents, each once, then what they say of their shoppers. `now` is seconds since 1970.

        Raises ShopperStoreError, and BadRequest without a key.
        """
        events: list[ShopperEvent] = []
        rejected: dict[int, str] = {}
        oldest = now - self._retention * SECONDS_A_DAY
        for place, document in enumerate(documents):
            try:
                events.append(read_event(document, self._key, now, oldest))
            except (ValueError, OverflowError) as error:
                rejected[place] = str(error)
        self._prepare()
        new = self._write(events)
        changes = {
            shopper: partial(_update_profile, events=own) for shopper, own in _group_by_shopper(new).items()
        }
        self._profiles.change_all(changes, format_time(now))
        return EventReport(len(new), len(events) - len(new), rejected)

    def drop_old(self, now: float) -> list[str]:
        """Delete the indexes of months that ended before the retention; return their names."""
        _, answer = self._requests.ask(
            "GET", f"/_cat/indices/{EVENT_INDEXES},{QUERY_INDEXES}?format=json&h=index"
        )
        oldest = format_month(now - self._retention * SECONDS_A_DAY)
        old = sorted(row["index"] for row in answer["list"] if row["index"][-7:] < oldest)
        for name in old:
            self._requests.ask("DELETE", f"/{name}", also=(404,))
        return old

    def _prepare(self) -> None:
        with self._preparing:
            if not self._ready:
                self._requests.ask("PUT", "/_index_template/attune-behaviour", _TEMPLATE)
                self._profiles.create_index()
                self._ready = True

    def _write(self, events: Sequence[ShopperEvent]) -> list[ShopperEvent]:
        """Create the documents; return those that were not there yet."""
        if not events:
            return []
        lines = b"".join(
            dumps({"create": {"_index": event.index, "_id": event.id}}) + b"\n" + dumps(event.body) + b"\n"
            for event in events
        )
        _, answer = self._requests.ask("POST", "/_bulk", lines)
        new = []
        for event, item in zip(events, answer["items"], strict=True):
            status = item["create"]["status"]
            if status == 201:
                new.append(event)
            elif status != 409:
                reason = item["create"]["error"]["reason"]
                raise ShopperStoreError(f"OpenSearch refused an event with {status}: {reason}")
        return new


def _update_profile(profile: Profile, events: Iterable[ShopperEvent]) -> Profile:
    """Return a profile after events that change it: purchases of one day and order count as one order."""
    orders: dict[tuple[int, str], list[str]] = {}
    for event in events:
        if event.action == "purchase":
            order = str(event.body["event_attributes"].get("order_id", ""))
            orders.setdefault((int(event.day), order), []).append(event.product)
        else:
            profile = add_views(profile, [event.product], event.day)
    for (day, _), products in sorted(orders.items()):
        profile = add_purchases(profile, products, day)
    return profile


def _group_by_shopper(events: Iterable[ShopperEvent]) -> dict[str, list[ShopperEvent]]:
    """Group the events that change a profile."""
    grouped: dict[str, list[ShopperEvent]] = {}
    for event in sorted(events, key=lambda event: event.day):
        if event.product and event.action in ("purchase", "click", "cart"):
            grouped.setdefault(event.shopper, []).append(event)
    return grouped
