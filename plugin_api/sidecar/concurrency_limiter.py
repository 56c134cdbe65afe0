"""Limits how many calls run at a time and how many wait. Further calls are refused at once."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class AtCapacity(Exception):
    """As many calls run and wait as may, or none ended in time."""


class ConcurrencyLimiter:
    """Lets `running` calls run, and `waiting` more wait for at most `seconds`. Thread-safe."""

    def __init__(self, running: int, waiting: int, seconds: float) -> None:
        self._places = threading.BoundedSemaphore(running + waiting)
        self._slots = threading.BoundedSemaphore(running)
        self._seconds = seconds

    @contextmanager
    def slot(self) -> Iterator[None]:
        """Hold a slot while the block runs. Raises AtCapacity."""
        if not self._places.acquire(blocking=False):
            raise AtCapacity
        try:
            if not self._slots.acquire(timeout=self._seconds):
                raise AtCapacity
            try:
                yield
            finally:
                self._slots.release()
        finally:
            self._places.release()
