"""The vectors of products that earlier searches found, so that OpenSearch need not send them again.

The key has a digest of what is stored, which is checked before it is: so an entry is never out of date, and
no document can bring in vectors for another. An entry belongs to one index. A caller's searches use the cache
only where OpenSearch has lately shown that caller the vectors of that index.
"""

import threading
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass

from cachetools import LRUCache, TTLCache

from plugin_api.search.hit_key import HitKey
from plugin_api.search.retrieval.slim_hits import SlimHit, StoredVectors, VectorKey

ENTRY_BYTES = 400
"""Bytes of an entry beside its vectors: key, object headers and the cache's own tables."""

TRUST_SECONDS = 60.0
"""For how long a caller who was shown the vectors of an index need not be shown them again."""

_MAX_BYTES = 64_000_000
"""Bytes of all entries of a process, about 45,000 products. The least recently used go first."""

_MAX_CALLERS = 1024

_TRUST_SHARE = 0.75
"""Share of a search's hits that must have been in the cache for the next search to rely on it."""


class VectorCache:
    """Vectors by key, and which callers may use them. Thread-safe; share one among all requests."""

    def __init__(self, max_bytes: int = _MAX_BYTES, clock: Callable[[], float] = time.monotonic) -> None:
        self._lock = threading.Lock()
        self._vectors: LRUCache[VectorKey, StoredVectors] = LRUCache(max_bytes, _count_bytes)
        self._trusted: TTLCache[str, bool] = TTLCache(_MAX_CALLERS, TRUST_SECONDS, clock)

    def get(self, keys: Iterable[VectorKey]) -> dict[VectorKey, StoredVectors]:
        """Return those of the vectors that are in the cache."""
        with self._lock:
            return {key: self._vectors[key] for key in keys if key in self._vectors}

    def put(self, vectors: Mapping[VectorKey, StoredVectors]) -> None:
        """Store vectors."""
        with self._lock:
            for key, value in vectors.items():
                if _count_bytes(value) <= self._vectors.maxsize:
                    self._vectors[key] = value

    def is_trusted(self, caller_key: str) -> bool:
        """Return whether the caller may use the cache now."""
        with self._lock:
            return caller_key in self._trusted

    def trust(self, caller_key: str, trusted: bool) -> None:
        """Record whether OpenSearch has just shown the caller all vectors of a search's hits."""
        with self._lock:
            if trusted:
                self._trusted[caller_key] = True
            else:
                self._trusted.pop(caller_key, None)


@dataclass(frozen=True, slots=True)
class CallerVectors:
    """The vector cache as far as one caller may use it in one index (`caller_key`).

    Vectors that the model can't read (`is_readable`) are never stored: their products count as without.
    """

    cache: VectorCache
    caller_key: str
    is_readable: Callable[[bytes], bool]

    @property
    def is_trusted(self) -> bool:
        """Whether the caller may use the cache now."""
        return self.cache.is_trusted(self.caller_key)

    def recall(self, hits: Mapping[HitKey, SlimHit]) -> dict[HitKey, StoredVectors]:
        """Return the vectors of hits as far as they are cached, empty ones for hits that can have none."""
        keys = {key: hit.vector_key for key, hit in hits.items()}
        vectors = self.cache.get(key for key in keys.values() if key)
        known = {key: vectors[vector_key] for key, vector_key in keys.items() if vector_key in vectors}
        return known | {key: StoredVectors() for key, hit in hits.items() if not hit.model}

    def remember(self, cached_share: float, shown: Collection[SlimHit]) -> None:
        """Store the vectors that OpenSearch has shown of a search's hits, and judge whether to rely on them.

        `cached_share` of the hits were in the cache. Where many were not, as with catalogues that do not fit
        into memory, the next search had better request all vectors at once.
        """
        intact = [hit for hit in shown if hit.is_intact]
        readable = {
            key: hit.vectors
            for hit in intact
            if (key := hit.vector_key) and self.is_readable(hit.vectors.tokens)
        }
        self.cache.put(readable)
        all_shown = all(hit.shows_all for hit in shown if hit.model)
        self.cache.trust(self.caller_key, all_shown and cached_share >= _TRUST_SHARE)


def _count_bytes(vectors: StoredVectors) -> int:
    return len(vectors.tokens) + len(vectors.facts) + ENTRY_BYTES
