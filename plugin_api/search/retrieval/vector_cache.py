"""Token vectors of products that searches found before: OpenSearch need not send them again and again.

They are known by `attune.hash` and `attune.model`, which they depend on and nothing else: what is known is
never out of date. A caller's searches use them only where OpenSearch has lately shown that caller the
vectors of that index.
"""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

ALL_BYTES = 64_000_000
"""Of all vectors that a process keeps, about 50,000 products; those that came first go first."""

ENTRY_BYTES = 250
"""Of an entry beside its vectors."""

TRUSTED_SECONDS = 60.0
"""How long a caller need not be shown the vectors again."""

TRUSTED_VIEWS = 1024

TRUSTED_SHARE = 0.75
"""Of a search's hits so many must have been known for the next one to go by what is known."""

VectorKey = tuple[str, str]
"""Version of the model, and hash of what it read."""


class KnownVectors:
    """Thread-safe; share one among all requests of a process."""

    def __init__(self, most_bytes: int = ALL_BYTES, clock: Callable[[], float] = time.monotonic) -> None:
        self._most, self._clock = most_bytes, clock
        self._lock = threading.Lock()
        self._vectors: dict[VectorKey, bytes] = {}
        self._bytes = 0
        self._trusted: OrderedDict[str, float] = OrderedDict()

    def get(self, key: VectorKey) -> bytes | None:
        """Return a product's `attune.tokens`, None where they are not known."""
        return self._vectors.get(key)

    def put(self, key: VectorKey, stored: bytes) -> None:
        """Remember a product's `attune.tokens`."""
        with self._lock:
            if key in self._vectors:
                return
            self._vectors[key] = stored
            self._bytes += len(stored) + ENTRY_BYTES
            while self._bytes > self._most:
                first = next(iter(self._vectors))
                self._bytes -= len(self._vectors.pop(first)) + ENTRY_BYTES

    def trusts(self, view: str) -> bool:
        """Whether vectors were shown lately to the caller in the index of this view."""
        return self._trusted.get(view, 0.0) > self._clock()

    def trust(self, view: str) -> None:
        """Take note that vectors were just shown."""
        with self._lock:
            self._trusted[view] = self._clock() + TRUSTED_SECONDS
            self._trusted.move_to_end(view)
            if len(self._trusted) > TRUSTED_VIEWS:
                self._trusted.popitem(last=False)

    def distrust(self, view: str) -> None:
        """Take note that vectors were not shown."""
        with self._lock:
            self._trusted.pop(view, None)


@dataclass(frozen=True, slots=True)
class CallersVectors:
    """What is known, as far as one caller may use it in one index (`view`, as of `view_key`)."""

    known: KnownVectors
    view: str

    @property
    def trusted(self) -> bool:
        """Whether what is known may be used now."""
        return self.known.trusts(self.view)

    def get(self, key: VectorKey) -> bytes | None:
        """Return a product's `attune.tokens`, None where they are not known."""
        return self.known.get(key)

    def remember(self, shown: Sequence[tuple[VectorKey | None, bytes]]) -> None:
        """Remember vectors of hits as OpenSearch showed them; b"" for one without."""
        for key, stored in shown:
            if key and stored:
                self.known.put(key, stored)

    def judge(self, known: int, hits: int, shown: bool) -> None:
        """Take note of how many of a search's hits were known, and whether OpenSearch showed all the others.

        Where many are not, as in catalogues that do not fit into memory, all are better asked for at once.
        """
        if shown and known >= TRUSTED_SHARE * hits:
            self.known.trust(self.view)
        else:
            self.known.distrust(self.view)
