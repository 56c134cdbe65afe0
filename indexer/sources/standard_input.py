"""Changes from standard input: JSON Lines as they come, from a producer that may pause for hours."""

import io
import select
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator
from typing import BinaryIO

from indexer.catalogue.records import Record, Reject
from indexer.sources.json_lines import json_records
from indexer.sources.lines import stream_lines

NAME = "standard input"
LOOK_SECONDS = 0.2
"""How soon a reader that waits for the next line notices that it should stop."""


class StandardInput:
    """A `Source` of JSON Lines on an open pipe, terminal or file; a line is there as soon as it is complete.

    Setting `stop` ends the stream as its end does. Records are there once: `records` goes on where it
    stopped before. `moment_ms` is when the newest record came, before the first one when reading began.
    """

    def __init__(self, stream: BinaryIO, stop: threading.Event | None = None) -> None:
        waiting = io.BufferedReader(_Waiting(stream.fileno(), stop or threading.Event()), 1 << 16)
        self._lines = json_records(stream_lines(waiting, NAME), NAME)
        self._ahead: deque[Record | Reject] = deque()
        self._moment_ms = time.time_ns() // 1_000_000

    @property
    def name(self) -> str:
        """Always "standard input"."""
        return NAME

    @property
    def moment_ms(self) -> int:
        """When the newest record came."""
        return self._moment_ms

    def records(self) -> Iterator[Record | Reject]:
        """Yield each record, or a Reject for a bad line, as it comes. Raises CatalogueError for an array."""
        while True:
            if self._ahead:
                yield self._ahead.popleft()
                continue
            record = next(self._lines, None)
            if record is None:
                return
            self._moment_ms = time.time_ns() // 1_000_000
            yield record

    def columns(self) -> tuple[str, ...]:
        """Return the keys of the first record, waiting for it: more would hold back a slow producer's."""
        for record in self._ahead:
            if isinstance(record, Record):
                return tuple(record.values)
        for record in self._lines:
            self._moment_ms = time.time_ns() // 1_000_000
            self._ahead.append(record)
            if isinstance(record, Record):
                return tuple(record.values)
        return ()

    def missing(self, wanted: Iterable[str]) -> tuple[str, ...]:
        """Return nothing: any column may still come."""
        del wanted
        return ()


class _Waiting(io.RawIOBase):
    """A file descriptor that is waited for in small steps: a reader is never stuck, it can be stopped."""

    def __init__(self, descriptor: int, stop: threading.Event) -> None:
        self._raw = io.FileIO(descriptor, closefd=False)
        self._stop = stop

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview, /) -> int | None:  # type: ignore[override]
        while not self._stop.is_set():
            if select.select([self._raw], [], [], LOOK_SECONDS)[0]:
                return self._raw.readinto(buffer)
        return 0
