"""A circuit breaker: what failed several times in a row rests for a while instead of costing every search."""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

FAILURES = 5
PAUSE_SECONDS = 10.0
REMEMBERED = 1024
"""Keys held at most; the ones that failed longest ago are forgotten first."""


@dataclass(slots=True)
class _Circuit:
    failures: int = 0
    closed_from: float = 0.0
    reason: str = ""


class Breaker:
    """Counts failures by key: an index as one caller sees it (`views`). Thread-safe.

    After FAILURES in a row a key rests for PAUSE_SECONDS; then one caller at a time may try again, and the
    first success closes the circuit (Nygard, Release It!, 2007).
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._circuits: OrderedDict[str, _Circuit] = OrderedDict()

    def refusal(self, key: str) -> str:
        """Why the key may not be tried now; empty where it may."""
        circuit = self._circuits.get(key)
        if circuit is None or circuit.failures < FAILURES:
            return ""
        with self._lock:
            now = self._clock()
            if now >= circuit.closed_from:
                circuit.closed_from = now + PAUSE_SECONDS  # this caller tries, the others wait for it
                return ""
        return f"reranking failed {circuit.failures} times in a row, the last time because {circuit.reason}"

    def succeeded(self, key: str) -> None:
        """Forget the key's failures."""
        if key in self._circuits:
            with self._lock:
                self._circuits.pop(key, None)

    def failed(self, key: str, reason: str) -> None:
        """Count a failure."""
        with self._lock:
            circuit = self._circuits.setdefault(key, _Circuit())
            self._circuits.move_to_end(key)
            circuit.failures += 1
            circuit.reason = reason
            circuit.closed_from = self._clock() + PAUSE_SECONDS
            if len(self._circuits) > REMEMBERED:
                self._circuits.popitem(last=False)

    @property
    def open(self) -> int:
        """How many keys rest."""
        with self._lock:
            return sum(circuit.failures >= FAILURES for circuit in self._circuits.values())
