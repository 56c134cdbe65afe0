"""Running one stage of a pipeline ahead of the next."""

import queue
import threading
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from typing import Generic, Self, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Ended:
    """Comes after the last element, with the error that ended them."""

    error: BaseException | None


class Ahead(Generic[T]):
    """Iterates `source` in a thread of its own, at most `depth` elements ahead of its reader.

    An error in the source is raised in the reader, at its place in the order. Use it as a context
    manager: leaving it ends the thread at its next element, also when the reader stops half way, and closes
    the source if it is a generator. Leaving waits for the thread, at most `leaving_seconds` where given.
    """

    def __init__(self, source: Iterator[T], depth: int, leaving_seconds: float | None = None) -> None:
        self._queue: queue.Queue[T | Ended] = queue.Queue(maxsize=depth)
        self._source = source
        self._leaving_seconds = leaving_seconds
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(self._leaving_seconds)

    def __iter__(self) -> Iterator[T]:
        while not isinstance(element := self.get(), Ended):
            yield element
        if element.error is not None:
            raise element.error

    def get(self, seconds: float | None = None) -> T | Ended:
        """Return the next element, or Ended, once. Raises queue.Empty where none comes in `seconds`."""
        return self._queue.get(timeout=seconds)

    def _run(self) -> None:
        error: BaseException | None = None
        try:
            for element in self._source:
                if not self._put(element):
                    if isinstance(self._source, Generator):
                        self._source.close()
                    return
        except BaseException as raised:  # noqa: BLE001 - raised again in the reader
            error = raised
        self._put(Ended(error))

    def _put(self, element: T | Ended) -> bool:
        """Hand over one element; False when the reader has gone."""
        while not self._stop.is_set():
            try:
                self._queue.put(element, timeout=0.1)
            except queue.Full:
                continue
            return True
        return False
