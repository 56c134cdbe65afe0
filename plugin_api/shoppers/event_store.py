"""Writes events once each, brings profiles up to date, and removes what is too old."""

import threading
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial

from mappings.types import JsonObject
from plugin_api.opensearch.raw_json import dumps
from plugin_api.shoppers.cluster import ClusterRequests, ShopperStoreError
from plugin_api.shoppers.events import (
    MAX_EVENTS,
    SECONDS_A_DAY,
    ShopperEvent,
    format_month,
    format_time,
    read_event,
)
from plugin_api.shoppers.profile_store import ProfileStore
from reranker.behaviour.counts import Profile, add_purchases, add_texts, add_views

EVENT_INDEXES = "attune-events-*"
QUERY_INDEXES = "attune-queries-*"

_DUPLICATE = "duplicate"

_WRITERS = 8
"""Threads that write events. Of 16 clients that post single events, on two busy cores, 1.5 times as many are
stored a second as where each call writes its own; with 4 threads 1.25 times as many.
"""

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


@dataclass(slots=True, eq=False)
class _Waiting:
    """Events of one call. Once it is `done`, `new` of them were not there before, or `error` is set."""

    events: Sequence[ShopperEvent]
    done: threading.Event = field(default_factory=threading.Event)
    new: int = 0
    error: Exception | None = None


class EventStore:
    """Stores events in indexes of a month each. Thread-safe.

    So many `writers` write at a time, each all that waits: writing takes three requests, however many calls
    brought the events.
    """

    def __init__(
        self, requests: ClusterRequests, key: str, retention_days: int, writers: int = _WRITERS
    ) -> None:
        self._requests, self._key, self._retention = requests, key, retention_days
        self._profiles = ProfileStore(requests)
        self._is_ready, self._preparing = False, threading.Lock()
        self._writer = ThreadPoolExecutor(writers, thread_name_prefix="attune-events")
        self._queue: deque[_Waiting] = deque()

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
        waiting = _Waiting(events)
        self._queue.append(waiting)
        self._writer.submit(self._write_queue, now)  # it may find that they were written with another call's
        waiting.done.wait()
        if waiting.error is not None:
            raise waiting.error
        return EventReport(waiting.new, len(events) - waiting.new, rejected)

    @property
    def waiting(self) -> int:
        """How many calls wait to be written."""
        return len(self._queue)

    def drop_old(self, now: float) -> list[str]:
        """Delete what is older than the retention: indexes of months, whose names are returned, and profiles
        that nothing changed since.
        """
        _, answer = self._requests.ask(
            "GET", f"/_cat/indices/{EVENT_INDEXES},{QUERY_INDEXES}?format=json&h=index"
        )
        oldest = now - self._retention * SECONDS_A_DAY
        old = sorted(row["index"] for row in answer["list"] if row["index"][-7:] < format_month(oldest))
        for name in old:
            self._requests.ask("DELETE", f"/{name}", also=(404,))
        self._profiles.drop_old(format_time(oldest))
        return old

    def _prepare(self) -> None:
        """Create the template and the index of profiles, once; other writers wait meanwhile."""
        with self._preparing:
            if not self._is_ready:
                self._requests.ask("PUT", "/_index_template/attune-behaviour", _TEMPLATE)
                self._profiles.create_index()
                self._is_ready = True

    def _write_queue(self, now: float) -> None:
        """Write what waits, and what it says of its shoppers."""
        group = self._take_group()
        if not group:
            return
        try:
            self._prepare()
            statuses = iter(self._create([event for waiting in group for event in waiting.events]))
            new: list[ShopperEvent] = []
            for waiting in group:
                own = list(zip(waiting.events, statuses, strict=False))
                created = [event for event, status in own if status == ""]
                waiting.new = len(created)
                new += created
                refused = [status for _, status in own if status not in ("", _DUPLICATE)]
                if refused:
                    waiting.error = ShopperStoreError(f"OpenSearch refused an event: {refused[0]}")
            changes = {
                shopper: partial(_update_profile, events=own)
                for shopper, own in _group_by_shopper(new).items()
            }
            self._profiles.change_all(changes, format_time(now))
        except Exception as error:  # noqa: BLE001  # each of the calls raises it
            for waiting in group:
                waiting.error = waiting.error or error
        finally:
            for waiting in group:
                waiting.done.set()

    def _take_group(self) -> list[_Waiting]:
        """Take calls off the queue, which other threads take from as well, until they have enough events."""
        group: list[_Waiting] = []
        while sum(len(waiting.events) for waiting in group) < MAX_EVENTS:
            try:
                group.append(self._queue.popleft())
            except IndexError:
                break
        return group

    def _create(self, events: Sequence[ShopperEvent]) -> list[str]:
        """Create the documents; return of each why it was not created: empty where it was."""
        if not events:
            return []
        lines = b"".join(
            dumps({"create": {"_index": event.index, "_id": event.id}}) + b"\n" + dumps(event.body) + b"\n"
            for event in events
        )
        _, answer = self._requests.ask("POST", "/_bulk", lines)
        results = [item["create"] for item in answer["items"]]
        return [
            "" if result["status"] == 201 else _DUPLICATE if result["status"] == 409 else str(result["error"])
            for result in results
        ]


def _update_profile(profile: Profile, events: Iterable[ShopperEvent]) -> Profile:
    """Return a profile after events that change it: purchases of one day and order count as one order."""
    orders: dict[tuple[int, str], list[str]] = {}
    for event in events:
        if event.action == "purchase":
            order = str(event.body["event_attributes"].get("order_id", ""))
            orders.setdefault((int(event.day), order), []).append(event.product)
        elif event.action:
            profile = add_texts(add_views(profile, [event.product], event.day), [event.text], event.day)
        else:
            profile = add_texts(profile, [event.text], event.day)
    for (day, _), products in sorted(orders.items()):
        profile = add_purchases(profile, products, day)
    return profile


def _group_by_shopper(events: Iterable[ShopperEvent]) -> dict[str, list[ShopperEvent]]:
    """Group the events that change a profile."""
    grouped: dict[str, list[ShopperEvent]] = {}
    for event in sorted(events, key=lambda event: event.day):
        acts = event.product and event.action in ("purchase", "click", "cart")
        if acts or "user_query" in event.body:
            grouped.setdefault(event.shopper, []).append(event)
    return grouped
