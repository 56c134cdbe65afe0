"""Turns at the model: no more calls at once than there are cores, a bounded line behind them, and no more."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Busy(Exception):
    """The line is full, or did not move in time."""


class Turns:
    """Lets `at_once` callers in, and `waiting` more wait for at most `seconds`. Thread-safe."""

    def __init__(self, at_once: int, waiting: int, seconds: float) -> None:
        self._places = threading.BoundedSemaphore(at_once + waiting)
        self._turns = threading.BoundedSemaphore(at_once)
        self._seconds = seconds

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Hold a turn while the block runs. Raises Busy."""
        if not self._places.acquire(blocking=False):
            raise Busy
        try:
            if not self._turns.acquire(timeout=self._seconds):
                raise Busy
            try:
                yield
            finally:
                self._turns.release()
        finally:
            self._places.release()
