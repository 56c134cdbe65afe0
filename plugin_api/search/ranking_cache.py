"""Rankings of a moment ago: for the next page of the same query, and for the same query again.

A ranking belongs to one caller and is used only while the index has the fingerprint that it had when the
ranking was made; the fingerprint is requested together with the page's hits. So a cached ranking never shows
a change late, nor to anyone what OpenSearch would not. Copies of a shard show a change at different moments,
up to a second apart by OpenSearch's defaults: a ranking made so soon after a change is not cached.
"""

import hashlib
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

import msgspec
from cachetools import LRUCache, TTLCache

from plugin_api.opensearch.raw_json import dumps
from plugin_api.search.query.request import RerankRequest
from plugin_api.search.ranking import RankedHits

SETTLE_SECONDS = 2.0
"""For how long an index must have had one fingerprint for rankings to be cached."""

_MAX_RANKING_BYTES = 1_000_000
"""Bytes of the largest ranking that is cached: its answer may have aggregations of any size."""

_MAX_BYTES = 32_000_000
"""Bytes of all rankings of a process. The least recently used go first."""

_MAX_VIEWS = 1024
"""Indexes, as one caller each sees them, whose fingerprints are remembered."""

_HIT_BYTES = 400
"""Bytes of a hit beside its index and id."""

_RETRY_SECONDS = 60.0
"""For how long a fingerprint is not requested again where OpenSearch had none to give."""

_IMPURE = (b'"now', b'"script', b'"random_score"')
"""Parts of searches whose hits may change though the index does not."""


@dataclass(frozen=True, slots=True)
class RankingKey:
    """What a ranking depends on. `view` is the index as one caller sees it, `search` all of the search."""

    view: str
    search: str


@dataclass(frozen=True, slots=True)
class CachedRanking:
    """A ranking and the fingerprint of the index that it holds for."""

    ranked: RankedHits
    fingerprint: bytes


@dataclass(frozen=True, slots=True)
class _Observation:
    """The last fingerprint of an index, empty where OpenSearch had none to give, and since when it holds."""

    fingerprint: bytes
    since: float


class RankingCache:
    """Rankings by key. Thread-safe; share one among all requests. With `seconds` of 0 nothing is cached."""

    def __init__(
        self,
        seconds: float,
        settle_seconds: float = SETTLE_SECONDS,
        clock: Callable[[], float] = time.monotonic,
        max_bytes: int = _MAX_BYTES,
        max_ranking_bytes: int = _MAX_RANKING_BYTES,
    ) -> None:
        self._seconds, self._settle_seconds, self._clock = seconds, settle_seconds, clock
        self._max_ranking_bytes = max_ranking_bytes
        self._lock = threading.Lock()
        self._rankings: TTLCache[str, CachedRanking] = TTLCache(
            max_bytes, seconds, clock, lambda cached: _size(cached.ranked)
        )
        self._observations: LRUCache[str, _Observation] = LRUCache(_MAX_VIEWS)

    def key(self, request: RerankRequest, caller_key: str) -> RankingKey | None:
        """Return the key of a search's ranking; None where it can't be cached."""
        if not self._seconds or not request.allows_vector_hits or request.end > request.settings.window:
            return None
        body = dumps(request.body)
        if any(part in body for part in _IMPURE):
            return None
        view = _digest(caller_key.encode(), repr(sorted(request.params.items())).encode())
        with self._lock:
            last = self._observations.get(view)
        if last and not last.fingerprint and self._clock() < last.since + _RETRY_SECONDS:
            return None
        options = msgspec.json.encode(request.options)
        return RankingKey(view, _digest(view.encode(), request.text.encode(), options, body))

    def get(self, key: RankingKey) -> CachedRanking | None:
        """Return the ranking unless it is too old, or its index is known to have changed since."""
        with self._lock:
            cached = self._rankings.get(key.search)
            last = self._observations.get(key.view)
            if cached is None or (last and cached.fingerprint == last.fingerprint):
                return cached
            self._rankings.pop(key.search, None)
            return None

    def settled_fingerprint(self, key: RankingKey) -> bytes:
        """Return the fingerprint that the index has had for a while; empty where there is none."""
        with self._lock:
            last = self._observations.get(key.view)
            return last.fingerprint if last and self._clock() >= last.since + self._settle_seconds else b""

    def observe(self, key: RankingKey, fingerprint: bytes) -> None:
        """Record the fingerprint that the index had just now."""
        with self._lock:
            last = self._observations.get(key.view)
            if not fingerprint or last is None or fingerprint != last.fingerprint:
                self._observations[key.view] = _Observation(fingerprint, self._clock())

    def put(self, key: RankingKey, ranked: RankedHits, fingerprint: bytes) -> None:
        """Cache a ranking that was made while the index had that fingerprint from beginning to end."""
        if _size(ranked) <= self._max_ranking_bytes:
            with self._lock:
                self._rankings[key.search] = CachedRanking(ranked, fingerprint)


def _size(ranked: RankedHits) -> int:
    """Return about how many bytes a ranking takes."""
    size = sum(len(bytes(part)) for part in ranked.shell.values())
    return size + sum(_HIT_BYTES + len(hit.index) + len(hit.id) for hit in ranked.hits)


def _digest(*parts: bytes) -> str:
    lengths = b",".join(b"%d" % len(part) for part in parts)
    return hashlib.sha256(b"\n".join((lengths, *parts))).hexdigest()
