"""Windows that were ranked a moment ago: for the same query's next page, and for the same query again.

A window is kept for one caller, and goes out only while the index is in the state in which it was ranked
(`index_state`): that is asked for together with the page's hits. So a kept window never shows a change late,
nor to anyone what OpenSearch would not. Copies of a shard show a change at different moments, up to a second
apart by OpenSearch's defaults: what was ranked so soon after a change is not kept.
"""

import hashlib
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from plugin_api.opensearch.raw_json import dumps
from plugin_api.search.query.request import RerankRequest
from plugin_api.search.response import Ranking

WINDOW_BYTES = 1_000_000
"""The largest window that is kept: its answer may have aggregations of any size."""

ALL_BYTES = 32_000_000
"""Of all windows kept by a process; those not asked for longest go first."""

PLACES = 1024
"""Callers' views of indexes whose state is known; the ones not asked for longest are forgotten first."""

SETTLED_SECONDS = 2.0
"""How long an index must have been seen in one state for windows to be kept."""

UNASKED_SECONDS = 60.0
"""How long a state is not asked for again where OpenSearch had none to tell."""

BY_THEMSELVES = (b'"now', b'"script', b'"random_score"')
"""Parts of searches whose hits may change though the index does not."""


@dataclass(frozen=True, slots=True)
class Keys:
    """What a search is known by: what it looks at, as one caller sees it, and what decides its order."""

    place: str
    window: str


@dataclass(frozen=True, slots=True)
class Kept:
    """A ranked window, the state of the index that it holds for, and the model that ranked it."""

    ranking: Ranking
    state: bytes
    model: str
    scored: int
    until: float
    size: int
    """About how many bytes it takes."""


@dataclass(frozen=True, slots=True)
class _Seen:
    """The state in which an index was seen last, and since when; b"" where OpenSearch had none to tell."""

    state: bytes
    since: float


class RankedWindows:
    """Thread-safe; share one among all requests of a process. With `seconds` of 0 nothing is kept."""

    def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._seconds, self._clock = seconds, clock
        self._lock = threading.Lock()
        self._kept: OrderedDict[str, Kept] = OrderedDict()
        self._bytes = 0
        self._states: OrderedDict[str, _Seen] = OrderedDict()

    def keys(self, request: RerankRequest, view: str, window: int) -> Keys | None:
        """Return a search's keys (`view` as of `view_key`); None where its window can't be kept."""
        if not self._seconds or not request.widens or request.start + request.size > window:
            return None
        body = dumps(request.body)
        if any(part in body for part in BY_THEMSELVES):
            return None
        place = f"{view} {sorted(request.params.items())}"
        with self._lock:
            seen = self._states.get(place)
        if seen and not seen.state and self._clock() < seen.since + UNASKED_SECONDS:
            return None
        options = msgspec.json.encode(request.options)
        told = b"\n".join((place.encode(), request.text.encode(), options, body))
        return Keys(place, hashlib.sha256(told).hexdigest())

    def get(self, keys: Keys) -> Kept | None:
        """Return the search's window unless it is too old, or its index known to have changed since."""
        with self._lock:
            kept = self._kept.get(keys.window)
            if kept is None:
                return None
            seen = self._states.get(keys.place)
            if kept.until < self._clock() or seen is None or kept.state != seen.state:
                self._drop(keys.window)
                return None
            self._kept.move_to_end(keys.window)
            return kept

    def settled(self, keys: Keys) -> bytes:
        """Return the state in which the index has been seen for a while; b"" where there is none."""
        with self._lock:
            seen = self._states.get(keys.place)
            return seen.state if seen and self._clock() >= seen.since + SETTLED_SECONDS else b""

    def seen(self, keys: Keys, state: bytes) -> None:
        """Take note of the state in which the index was just seen."""
        with self._lock:
            before = self._states.get(keys.place)
            if not state or before is None or state != before.state:
                self._states[keys.place] = _Seen(state, self._clock())
            self._states.move_to_end(keys.place)
            if len(self._states) > PLACES:
                self._states.popitem(last=False)

    def keep(self, keys: Keys, ranking: Ranking, state: bytes, model: str, scored: int) -> None:
        """Keep a window that was ranked while the index was in that state from beginning to end."""
        size = sum(len(bytes(part)) for part in ranking.shell.values())
        size += sum(300 + len(index) + len(id_) for (index, id_), _ in ranking.hits)
        if size > WINDOW_BYTES:
            return
        kept = Kept(ranking, state, model, scored, self._clock() + self._seconds, size)
        with self._lock:
            self._drop(keys.window)
            self._kept[keys.window] = kept
            self._bytes += kept.size
            while self._bytes > ALL_BYTES:
                self._drop(next(iter(self._kept)))

    def _drop(self, window: str) -> None:
        kept = self._kept.pop(window, None)
        if kept is not None:
            self._bytes -= kept.size
