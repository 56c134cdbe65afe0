"""How much one client may send a minute."""

import threading
import time
from collections.abc import Callable

from cachetools import LRUCache

_CLIENTS = 100_000


class RateLimiter:
    """Lets each client spend `per_minute`, saved up for a minute at most. Thread-safe."""

    def __init__(self, per_minute: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._most, self._clock = float(per_minute), clock
        self._clients: LRUCache[str, tuple[float, float]] = LRUCache(_CLIENTS)
        self._lock = threading.Lock()

    def spend(self, client: str, amount: int) -> bool:
        """Return whether the client may, and spend it. A first request may be as large as the limit."""
        now = self._clock()
        with self._lock:
            saved, at = self._clients.get(client, (self._most, now))
            saved = min(self._most, saved + (now - at) * self._most / 60)
            if amount > saved:
                self._clients[client] = (saved, now)
                return False
            self._clients[client] = (saved - amount, now)
            return True
