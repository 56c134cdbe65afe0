"""Running one stage of a pipeline ahead of the next."""

import queue
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _Ended:
    error: BaseException | None


class Ahead(Generic[T]):
    """Iterates `source` in a thread of its own, at most `depth` elements ahead of its reader.

    An error in the source is raised in the reader, at its place in the order. Use it as a context
    manager: leaving it ends the thread, also when the reader stops half way.
    """

    def __init__(self, source: Iterator[T], depth: int) -> None:
        self._queue: queue.Queue[T | _Ended] = queue.Queue(maxsize=depth)
        self._source = source
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Iterator[T]:
        self._thread.start()
        return self._elements()

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _elements(self) -> Iterator[T]:
        while not isinstance(element := self._queue.get(), _Ended):
            yield element
        if element.error is not None:
            raise element.error

    def _run(self) -> None:
        error: BaseException | None = None
        try:
            for element in self._source:
                if not self._put(element):
                    return
        except BaseException as raised:  # noqa: BLE001 - raised again in the reader
            error = raised
        self._put(_Ended(error))

    def _put(self, element: T | _Ended) -> bool:
        """Hand over one element; False when the reader has gone."""
        while not self._stop.is_set():
            try:
                self._queue.put(element, timeout=0.1)
            except queue.Full:
                continue
            return True
        return False
