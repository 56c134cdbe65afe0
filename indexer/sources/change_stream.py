"""Change streams: portions of changes, acknowledged when the index has them, and batches by time."""

import queue
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeVar

from indexer.catalogue.records import Source
from indexer.sources.prefetcher import EndOfStream, Prefetcher
from mappings.errors import AttuneError

_Element = TypeVar("_Element")

_CLOSE_SECONDS = 0.5
"""How long closing waits for the reading thread, which may itself be waiting for an element."""


def _raise(error: AttuneError) -> None:
    raise error


@dataclass(frozen=True, slots=True)
class ChangeStream:
    """A portion of changes. Call `ack` or `nack` when done with it, before asking for the next stream.

    A stream with neither, because the job died, is delivered again. Versions make the repetition harmless.
    With `follows_catalogue` its changes count as newer than the catalogue, however old their file is.
    """

    source: Source
    on_ack: Callable[[], None] = lambda: None
    on_nack: Callable[[AttuneError], None] = _raise
    follows_catalogue: bool = False

    def ack(self) -> None:
        """Report that every change of the stream is in the index or in the reject file."""
        self.on_ack()

    def nack(self, error: AttuneError) -> None:
        """Report that the stream can't be used. Raises `error` where no other stream can follow."""
        self.on_nack(error)


def batch_by_time(elements: Iterator[_Element], size: int, seconds: float) -> Iterator[list[_Element]]:
    """Yield lists of up to `size` elements, each at most `seconds` after its first element came.

    A thread reads the elements, at most two batches ahead. An error in them is raised here, after the
    elements that came before it. Close the iterator to leave early: the thread ends at its next element and
    closes its source.
    """
    batch: list[_Element] = []
    due = 0.0
    with Prefetcher(elements, 2 * size, _CLOSE_SECONDS) as prefetcher:
        while True:
            try:
                element = prefetcher.get(max(0.0, due - time.monotonic()) if batch else None)
            except queue.Empty:
                yield batch
                batch = []
                continue
            if isinstance(element, EndOfStream):
                break
            if not batch:
                due = time.monotonic() + seconds
            batch.append(element)
            if len(batch) >= size or time.monotonic() >= due:
                yield batch
                batch = []
        if batch:
            yield batch
        if element.error is not None:
            raise element.error
