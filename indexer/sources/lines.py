"""Lines of a plain or gzipped file, in constant memory, with their numbers."""

import codecs
import errno
import gzip
import os
import stat
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol

from mappings.errors import CatalogueError

MAX_LINE_BYTES = 1_000_000
"""A product record longer than this is a mistake; its line is rejected instead of filling the memory."""


@dataclass(frozen=True, slots=True)
class Line:
    """One line with its end; `data` is cut when `too_long`. `share` is how much of the file is read, 0..1."""

    number: int
    data: bytes
    too_long: bool
    share: float


def read_lines(path: Path, follow_links: bool = True) -> Iterator[Line]:
    """Yield the lines of `path`, unzipped when its name ends in .gz, without a UTF-8 byte order mark.

    Raises CatalogueError when the file can't be read, its gzip stream is damaged, or it is UTF-16.
    """
    number = 0
    try:
        size = max(1, path.stat().st_size)
        with open_regular(path, follow_links) as file:
            # GzipFile and BufferedReader share readline(limit); gzip.open would hide the position in `file`.
            stream = gzip.GzipFile(fileobj=file) if path.suffix.lower() == ".gz" else file
            for line in stream_lines(stream, str(path), lambda: min(1.0, file.tell() / size)):
                number = line.number
                yield line
    except FileNotFoundError as error:
        raise CatalogueError(f"catalogue file {path} does not exist") from error
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise CatalogueError(
            f"{path} is damaged after line {number} ({error}): copy it again, or unpack it and index the rest"
        ) from error
    except OSError as error:
        raise CatalogueError(f"{path} can't be read: {error.strerror or error}") from error


def open_regular(path: Path, follow_links: bool = True) -> BinaryIO:
    """Open a file for reading. Raises OSError, without `follow_links` also for a link or a device."""
    if follow_links:
        return path.open("rb")
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "it is not a regular file")
    return os.fdopen(descriptor, "rb")


class LineStream(Protocol):
    """What lines are read from: an open binary file, or a pipe."""

    def readline(self, limit: int, /) -> bytes:
        """Return at most `limit` bytes up to and with the next line end, none at the end of the stream."""


def stream_lines(stream: LineStream, name: str, share: Callable[[], float] = lambda: 0.0) -> Iterator[Line]:
    """Yield each line of `stream` as soon as it is complete; `name` is for errors."""
    number = 0
    while data := stream.readline(MAX_LINE_BYTES):
        number += 1
        too_long = len(data) == MAX_LINE_BYTES and not data.endswith(b"\n")
        if too_long:
            while (rest := stream.readline(MAX_LINE_BYTES)) and not rest.endswith(b"\n"):
                pass
        if number == 1:
            data = _without_mark(data, name)
        yield Line(number, data, too_long, share())


def _without_mark(data: bytes, name: str) -> bytes:
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise CatalogueError(f"{name} is UTF-16: save it as UTF-8 (in a spreadsheet: “CSV UTF-8”)")
    return data.removeprefix(codecs.BOM_UTF8)
