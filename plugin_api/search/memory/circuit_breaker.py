"""A circuit breaker: what failed several times in a row is not tried again for a while."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from cachetools import LRUCache

from plugin_api.search.reasons import Cause, Reason

FAILURES_TO_OPEN = 5
OPEN_SECONDS = 10.0
MAX_KEYS = 1024
"""Keys that are remembered. The least recently used are forgotten first."""


@dataclass(frozen=True, slots=True)
class _Circuit:
    failures: int
    closed_from: float
    sentence: str


class CircuitBreaker:
    """Counts failures by key: an index as one caller sees it. Thread-safe.

    After FAILURES_TO_OPEN in a row the circuit is open for `open_seconds`; then one caller at a time may try
    again, and the first success closes it (Nygard, Release It!, 2007).
    """

    def __init__(
        self, open_seconds: float = OPEN_SECONDS, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._open_seconds, self._clock = open_seconds, clock
        self._lock = threading.Lock()
        self._circuits: LRUCache[str, _Circuit] = LRUCache(MAX_KEYS)

    def cause_to_skip(self, key: str) -> Cause | None:
        """Return why the key may not be tried now; None where it may."""
        with self._lock:
            circuit = self._circuits.get(key)
            if circuit is None or circuit.failures < FAILURES_TO_OPEN:
                return None
            now = self._clock()
            if now >= circuit.closed_from:  # this caller tries, the others wait for its success
                self._circuits[key] = _Circuit(circuit.failures, now + self._open_seconds, circuit.sentence)
                return None
        return Reason.CIRCUIT_OPEN.because(failures=circuit.failures, last=circuit.sentence)

    def record_success(self, key: str) -> None:
        """Forget the key's failures."""
        with self._lock:
            self._circuits.pop(key, None)

    def record_failure(self, key: str, cause: Cause) -> None:
        """Count a failure."""
        with self._lock:
            circuit = self._circuits.get(key)
            failures = circuit.failures + 1 if circuit else 1
            self._circuits[key] = _Circuit(failures, self._clock() + self._open_seconds, cause.sentence)

    @property
    def open_circuits(self) -> int:
        """How many circuits are open."""
        with self._lock:
            return sum(circuit.failures >= FAILURES_TO_OPEN for circuit in list(self._circuits.values()))
