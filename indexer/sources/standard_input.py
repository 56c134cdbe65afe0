"""Changes from standard input: JSON Lines from a producer that may pause for hours."""

import io
import select
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator
from typing import BinaryIO

from indexer.catalogue.records import Record, Reject
from indexer.sources.files.json.lines import json_line_records
from indexer.sources.files.lines import read_lines
from mappings.errors import CatalogueError
from mappings.types import JsonObject

_NAME = "standard input"
_POLL_SECONDS = 0.2
"""How soon a reader that waits for the next line notices a stop."""


class StandardInput:
    """A `Source` of JSON Lines on an open pipe, terminal or file. A line is read once it is complete.

    Setting `stop` ends the stream. Each record is yielded once: `records` goes on where it stopped before.
    """

    def __init__(self, stream: BinaryIO, stop: threading.Event | None = None) -> None:
        stoppable = io.BufferedReader(_StoppableFile(stream.fileno(), stop or threading.Event()), 1 << 16)
        self._lines = _refuse_array(json_line_records(read_lines(stoppable)))
        self._peeked: deque[Record | Reject] = deque()
        self._moment_ms = time.time_ns() // 1_000_000

    @property
    def name(self) -> str:
        """Always "standard input"."""
        return _NAME

    @property
    def moment_ms(self) -> int:
        """When the newest record came, or when reading began."""
        return self._moment_ms

    def records(self) -> Iterator[Record | Reject]:
        """Yield each record, or a Reject for a bad line, as it comes. Raises CatalogueError for an array."""
        while True:
            if self._peeked:
                yield self._peeked.popleft()
                continue
            record = next(self._lines, None)
            if record is None:
                return
            self._moment_ms = time.time_ns() // 1_000_000
            yield record

    def columns(self) -> tuple[str, ...]:
        """Wait for the first record and return its keys. Waiting for more would hold the first one back."""
        for record in self._peeked:
            if isinstance(record, Record):
                return tuple(record.values)
        for record in self._lines:
            self._moment_ms = time.time_ns() // 1_000_000
            self._peeked.append(record)
            if isinstance(record, Record):
                return tuple(record.values)
        return ()

    def missing(self, wanted: Iterable[str]) -> tuple[str, ...]:
        """Return nothing, since any column may still come."""
        del wanted
        return ()

    def details(self) -> list[JsonObject]:
        """Return nothing: a database or standard input has one format."""
        return []


class _StoppableFile(io.RawIOBase):
    """A file descriptor that is waited for in short steps, so that its reader can be stopped."""

    def __init__(self, descriptor: int, stop: threading.Event) -> None:
        self._raw = io.FileIO(descriptor, closefd=False)
        self._stop = stop

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview, /) -> int | None:  # type: ignore[override]
        while not self._stop.is_set():
            if select.select([self._raw], [], [], _POLL_SECONDS)[0]:
                return self._raw.readinto(buffer)
        return 0


def _refuse_array(records: Iterator[Record | Reject]) -> Iterator[Record | Reject]:
    """Yield the records. Raises CatalogueError where the first line begins a JSON array."""
    for record in records:
        if record.line == 1 and isinstance(record, Reject) and record.raw.lstrip().startswith("["):
            raise CatalogueError(f"{_NAME} is one JSON array, and must have one product a line: jq -c '.[]'")
        yield record
