"""Lines of a stream, in constant memory, with their numbers."""

import io
from collections.abc import Callable, Iterator
from typing import NamedTuple, Protocol

MAX_LINE_BYTES = 1_000_000
"""A product record longer than this is a mistake. Its line is rejected instead of filling the memory."""

_SHARE_LINES = 64
"""Behind the first lines, the share that has been read is looked up once in so many: it is a system call."""


class Line(NamedTuple):
    """One line with its end, cut when `too_long`. `share` is how much of the file has been read, 0 to 1."""

    number: int
    data: bytes
    too_long: bool
    share: float


class LineStream(Protocol):
    """What lines are read from: an open binary file, or a pipe."""

    def readline(self, limit: int, /) -> bytes:
        """Return at most `limit` bytes up to and with the next line end, none at the end of the stream."""


def read_lines(stream: LineStream, share: Callable[[], float] = lambda: 0.0) -> Iterator[Line]:
    """Yield each line of `stream` as soon as it is complete."""
    number = 0
    read = 0.0
    while data := stream.readline(MAX_LINE_BYTES):
        too_long = len(data) == MAX_LINE_BYTES and not data.endswith(b"\n")
        if too_long:
            while (rest := stream.readline(MAX_LINE_BYTES)) and not rest.endswith(b"\n"):
                pass
        if number < _SHARE_LINES or not number % _SHARE_LINES:
            read = share()
        number += 1
        yield Line(number, data, too_long, read)


class CarriageReturns(io.RawIOBase):
    """A stream whose lines end with a carriage return alone, read with line feeds in their place."""

    def __init__(self, stream: io.BufferedIOBase) -> None:
        self._stream = stream

    def readable(self) -> bool:
        """Whether it can be read: yes."""
        return True

    def readinto(self, buffer: bytearray | memoryview, /) -> int:  # type: ignore[override]
        """Read into the buffer, and return how many bytes."""
        data = self._stream.read1(len(buffer)).replace(b"\r", b"\n")
        buffer[: len(data)] = data
        return len(data)


def ends_with_carriage_returns(sample: bytes) -> bool:
    """Whether the lines of a text end with carriage returns alone."""
    return sample.count(b"\r") - sample.count(b"\r\n") > sample.count(b"\n")
