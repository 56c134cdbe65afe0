"""Prefetching: one stage of a pipeline runs in a thread, a bounded number of elements ahead of its reader."""

import queue
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from typing import Generic, Self, TypeVar

from indexer.store.worker_thread import WorkerThread

_Element = TypeVar("_Element")

_POLL_SECONDS = 0.1
"""How soon a thread that waits notices that it should end."""


@dataclass(frozen=True, slots=True)
class EndOfStream:
    """Follows the last element. `error` is what ended the elements early, if anything did."""

    error: BaseException | None


class Prefetcher(Generic[_Element]):
    """Iterates `source` in a thread of its own, at most `depth` elements ahead of its reader.

    An error in the source is raised in the reader after the elements that came before it. Use it as a context
    manager. Leaving it ends the thread at its next element, even when the reader stops half way, and closes a
    source that is a generator. Leaving waits for the thread, at most `close_seconds` where given.
    """

    def __init__(self, source: Iterator[_Element], depth: int, close_seconds: float | None = None) -> None:
        self._queue: queue.Queue[_Element | EndOfStream] = queue.Queue(maxsize=depth)
        self._source = source
        self._close_seconds = close_seconds
        # A thread that is not waited for only reads: it may be cut off, as while it waits for standard input.
        self._thread = WorkerThread(self._run, daemon=close_seconds is not None)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.close(self._close_seconds)

    def __iter__(self) -> Iterator[_Element]:
        while not isinstance(element := self.get(), EndOfStream):
            yield element
        if element.error is not None:
            raise element.error

    def get(self, seconds: float | None = None) -> _Element | EndOfStream:
        """Return the next element, or EndOfStream once. Raises queue.Empty where none comes in `seconds`."""
        if seconds is not None:
            return self._queue.get(timeout=seconds)
        while True:
            try:
                return self._queue.get(timeout=_POLL_SECONDS)
            except queue.Empty:
                if self._thread.stopping:
                    raise RuntimeError("this prefetcher was closed: no further element comes") from None

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
        self._put(EndOfStream(error))

    def _put(self, element: _Element | EndOfStream) -> bool:
        """Hand over one element; return False when the reader has left."""
        while not self._thread.stopping:
            try:
                self._queue.put(element, timeout=_POLL_SECONDS)
            except queue.Full:
                continue
            return True
        return False
