"""Feeds: portions of changes, each settled when all of it is in the index, and how a slow one is batched."""

import queue
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeVar

from indexer.catalogue.records import Source
from indexer.sources.prefetcher import Ahead, Ended
from mappings.errors import CatalogueError

T = TypeVar("T")

LEAVING_SECONDS = 0.5
"""A reader that is left waits so long for its thread, which may be waiting for an element itself."""


def _refuse(error: CatalogueError) -> None:
    raise error


@dataclass(frozen=True, slots=True)
class Feed:
    """A portion of changes. Call `applied` or `failed` when done with it, before asking for the next one.

    A feed that is neither, because the job died, comes again: versions make repeating it harmless.
    """

    source: Source
    on_applied: Callable[[], None] = lambda: None
    on_failed: Callable[[CatalogueError], None] = _refuse

    def applied(self) -> None:
        """Say that every change of it is in the index, or in the reject file."""
        self.on_applied()

    def failed(self, error: CatalogueError) -> None:
        """Say that it can't be used. Raises `error` again where there is nothing to go on with."""
        self.on_failed(error)


def batches(elements: Iterator[T], size: int, seconds: float) -> Iterator[list[T]]:
    """Yield lists of up to `size` elements, each at the latest `seconds` after its first element came.

    The elements are read in a thread of their own, at most two batches ahead. An error in them is raised
    here, after all that came before it. Close the iterator to leave early: the thread ends at its next
    element, and closes what it reads.
    """
    batch: list[T] = []
    due = 0.0
    with Ahead(elements, 2 * size, LEAVING_SECONDS) as ahead:
        while True:
            try:
                element = ahead.get(max(0.0, due - time.monotonic()) if batch else None)
            except queue.Empty:
                yield batch
                batch = []
                continue
            if isinstance(element, Ended):
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
