"""Rankings of a moment ago: for the next page of the same query, and for the same query again.

Only the order is cached, and the total with it. A ranking belongs to one caller and is used only while the
index has the fingerprint that it had before the ranking was made; the fingerprint is requested together with
the page's hits and aggregations. A fingerprint that an index no longer has comes back only with an alias that
is moved back, which ends all rankings: one that is the same before and after was the same between. So a
cached ranking never shows a change late, nor to anyone what OpenSearch would not. Copies of a shard show a
change at different moments, up to a second apart by OpenSearch's defaults: a ranking made so soon after a
change is not cached.
"""

import hashlib
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import msgspec
from cachetools import LRUCache, TTLCache

from plugin_api.opensearch.raw_json import decoded, dumps
from plugin_api.search.query.purity import is_pure
from plugin_api.search.query.types import RerankRequest, TextSearch
from plugin_api.search.ranking import Additions, RankedHits
from plugin_api.search.retrieval.index_fingerprint import IndexFingerprint

_T = TypeVar("_T", bound="RankedHits | Additions")

SETTLE_SECONDS = 2.0
"""For how long an index must have had one fingerprint for rankings to be cached."""

_KNOWN_SECONDS = 1.0
"""For how long a fingerprint is known: rankings made meanwhile need not request it."""

_MAX_BYTES = 32_000_000
"""Bytes of all rankings of a process. The least recently used go first."""

_MAX_VIEWS = 1024
"""Indexes, as one caller each sees them, whose fingerprints are remembered."""

_RANKING_BYTES = 1000
"""Bytes of a ranking beside its hits."""

_HIT_BYTES = 400
"""Bytes of a hit beside its index and id."""

_REASON_BYTES = 300
"""Bytes of what behaviour added to a hit."""

_KEY_BYTES = 200
"""Bytes of a hit's key beside its index and id."""

_RETRY_SECONDS = 60.0
"""For how long a fingerprint is not requested again where OpenSearch had none to give."""


@dataclass(frozen=True, slots=True)
class RankingKey:
    """What a ranking depends on. `view` is the index as one caller sees it, `search` all of the search.

    `shards` is in how many shards' searches the fingerprint of the index is requested.
    """

    view: str
    search: str
    shards: int


@dataclass(frozen=True, slots=True)
class Cached(Generic[_T]):
    """A ranking, or the additions to a text, the fingerprint of the index that it holds for, and since when
    the index had that.
    """

    value: _T
    digest: bytes
    since: float


@dataclass(frozen=True, slots=True)
class NewRanking:
    """What is made now, for the cache where it has a `key`.

    `digest` is the one that the index has had for a while, empty where there is none. The fingerprint is to
    be requested in so many `shards`' searches; in none, for 0, where it is known. `since` is when the index
    was first seen to have it.
    """

    key: RankingKey | None = None
    digest: bytes = b""
    shards: int = 0
    since: float = 0.0


@dataclass(frozen=True, slots=True)
class _Observation:
    """The last fingerprint of an index, since when it holds, and when it was last seen."""

    fingerprint: IndexFingerprint
    since: float
    seen: float


class RankingCache:
    """Rankings by key. Thread-safe; share one among all requests. With `seconds` of 0 nothing is cached."""

    def __init__(
        self,
        seconds: float,
        settle_seconds: float = SETTLE_SECONDS,
        clock: Callable[[], float] = time.monotonic,
        max_bytes: int = _MAX_BYTES,
    ) -> None:
        self._seconds, self._settle_seconds, self._clock = seconds, settle_seconds, clock
        self._lock = threading.Lock()
        self._cached: TTLCache[str, Cached[Any]] = TTLCache(
            max_bytes, seconds, clock, lambda cached: _size(cached.value)
        )
        self._observations: LRUCache[str, _Observation] = LRUCache(_MAX_VIEWS)

    def key(self, request: RerankRequest) -> RankingKey | None:
        """Return the key of a search's ranking; None where it can't be cached."""
        if request.fixed or request.collapse_field or request.end > request.settings.window:
            return None
        if not all(is_pure(decoded(request.body.get(name))) for name in ("query", "post_filter", "rescore")):
            return None
        return self._key(request, dumps(request.body))

    def additions_key(self, search: TextSearch) -> RankingKey | None:
        """Return the key of what the vectors add to a text; None where it can't be cached."""
        if search.pit:  # it does not change, but has no fingerprint
            return None
        return self._key(search, b"")

    def _key(self, search: TextSearch, body: bytes) -> RankingKey | None:
        if not self._seconds:
            return None
        view = _digest(search.call.caller_key.encode(), repr(sorted(search.params.items())).encode())
        with self._lock:
            last = self._observations.get(view)
        if last and not last.fingerprint.shards and self._clock() < last.since + _RETRY_SECONDS:
            return None
        parts = (
            view.encode(),
            search.text.encode("utf-8", "surrogatepass"),
            msgspec.json.encode(search.options),
            dumps(search.required),
            body,
        )
        return RankingKey(view, _digest(*parts), last.fingerprint.shards or 1 if last else 1)

    def get(self, key: RankingKey) -> Cached[RankedHits] | None:
        """Return the ranking unless it is too old, or its index is known to have changed since."""
        return self._get(key)

    def get_additions(self, key: RankingKey) -> Cached[Additions] | None:
        """Return the additions unless they are too old, or their index is known to have changed since."""
        return self._get(key)

    def _get(self, key: RankingKey) -> Cached[Any] | None:
        with self._lock:
            cached = self._cached.get(key.search)
            last = self._observations.get(key.view)
            if cached is None or (
                last and (cached.digest, cached.since) == (last.fingerprint.digest, last.since)
            ):
                return cached
            self._cached.pop(key.search, None)
            return None

    def begin(self, key: RankingKey | None) -> NewRanking:
        """Return what is to be known of the index of a ranking, or of additions, that are made now."""
        if key is None:
            return NewRanking()
        with self._lock:
            last = self._observations.get(key.view)
        now = self._clock()
        if last is None or now < last.since + self._settle_seconds:
            return NewRanking(key, b"", key.shards)
        is_known = last.fingerprint.digest and now < last.seen + _KNOWN_SECONDS
        return NewRanking(key, last.fingerprint.digest, 0 if is_known else key.shards, last.since)

    def observe(self, key: RankingKey, fingerprint: IndexFingerprint) -> None:
        """Record the fingerprint that the index had just now."""
        with self._lock:
            last, now = self._observations.get(key.view), self._clock()
            is_new = not fingerprint.digest or last is None or fingerprint != last.fingerprint
            since = now if is_new or last is None else last.since
            self._observations[key.view] = _Observation(fingerprint, since, now)

    def finish(self, new: NewRanking, fingerprint: IndexFingerprint, value: RankedHits | Additions) -> None:
        """Cache what was made, unless the index has just changed.

        `fingerprint` is the one that was requested with it, if one was.
        """
        if new.key is None:
            return
        if new.shards:
            self.observe(new.key, fingerprint)
        if new.digest and (not new.shards or fingerprint.digest == new.digest):
            self._put(new.key.search, Cached(value, new.digest, new.since))

    def _put(self, search: str, cached: Cached[Any]) -> None:
        if _size(cached.value) <= self._cached.maxsize:
            with self._lock:
                self._cached[search] = cached


def _size(value: RankedHits | Additions) -> int:
    """Return about how many bytes a ranking takes, or the additions to a text."""
    if isinstance(value, Additions):
        return _RANKING_BYTES + sum(_KEY_BYTES + len(index) + len(id_) for index, id_ in value.keys)
    hits = sum(_HIT_BYTES + len(hit.index) + len(hit.id) for hit in value.hits)
    return hits + _REASON_BYTES * len(value.behaviour) + _size(value.additions)


def _digest(*parts: bytes) -> str:
    lengths = b",".join(b"%d" % len(part) for part in parts)
    return hashlib.sha256(b"\n".join((lengths, *parts))).hexdigest()
