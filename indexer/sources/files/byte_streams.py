"""Files as streams of bytes: opened without following links, unpacked from gzip, bzip2, xz and ZIP."""

import bz2
import errno
import gzip
import io
import lzma
import os
import stat
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

from mappings.errors import CatalogueError

DAMAGE = (EOFError, zlib.error, gzip.BadGzipFile, lzma.LZMAError, zipfile.BadZipFile)
"""Errors of packed data that is cut off or changed."""

_ZIP = b"PK\x03\x04"
_MAX_LAYERS = 3
_MAX_MEMBERS = 10_000


@dataclass(frozen=True, slots=True)
class ByteStream:
    """An open stream of unpacked bytes. `share` returns how much of its file has been read, 0 to 1."""

    file: io.BufferedReader
    share: Callable[[], float]


@dataclass(frozen=True, slots=True)
class ByteSource:
    """Where bytes come from: a file, or a member of a ZIP archive.

    Without `follow_links` only a regular file is opened, never a link.
    """

    path: Path
    member: str = ""
    follow_links: bool = True

    @property
    def name(self) -> str:
        """The path, and the member in it."""
        return f"{self.path}: {self.member}" if self.member else str(self.path)

    @property
    def suffix(self) -> str:
        """The ending of the name without those of compression, in lower case."""
        name = Path(self.member or self.path.name)
        while name.suffix.lower() in (".gz", ".bz2", ".xz"):
            name = name.with_suffix("")
        return name.suffix.lower()

    @contextmanager
    def open(self) -> Iterator[ByteStream]:
        """Open the unpacked bytes. Raises CatalogueError where the file can't be read or is damaged."""
        try:
            with ExitStack() as stack:
                file = stack.enter_context(_open_file(self.path, self.follow_links))
                size = max(1, os.fstat(file.fileno()).st_size)
                stream = file
                if self.member:
                    archive = stack.enter_context(open_archive(file))
                    stream = _buffer(stack.enter_context(archive.open(self.member)))
                yield ByteStream(_unpack(stream, stack), lambda: min(1.0, file.tell() / size))
        except DAMAGE as error:
            raise CatalogueError(f"{self.name} is damaged ({error}): copy it again") from error
        except FileNotFoundError as error:
            raise CatalogueError(f"catalogue file {self.name} does not exist") from error
        except (OSError, KeyError, NotImplementedError, RuntimeError) as error:
            reason = error.strerror if isinstance(error, OSError) and error.strerror else error
            raise CatalogueError(f"{self.name} can't be read: {reason}") from error

    def members(self) -> list["ByteSource"]:
        """Return the members of a ZIP archive, largest names last, or the source itself where it is none.

        Hidden files, folders and Office documents, which are ZIP archives too, are not taken apart.
        """
        if self.member:
            return [self]
        with self.open() as stream:
            if not stream.file.peek(4).startswith(_ZIP) or not stream.file.seekable():
                return [self]
            with open_archive(stream.file) as archive:
                names = archive.namelist()
        if any(name in ("[Content_Types].xml", "mimetype") for name in names):
            return [self]
        if len(names) > _MAX_MEMBERS:
            raise CatalogueError(f"{self.name} has {len(names):,} members: pack at most {_MAX_MEMBERS:,}")
        plain = [name for name in names if not name.endswith("/")]
        shown = [name for name in plain if not _is_hidden(name)]
        return [ByteSource(self.path, name, self.follow_links) for name in sorted(set(shown))]


def open_archive(file: io.BufferedReader) -> zipfile.ZipFile:
    """Open a ZIP archive. Raises BadZipFile where its directory is damaged in any way."""
    try:
        return zipfile.ZipFile(cast(BinaryIO, file))
    except (UnicodeError, struct.error, ValueError, OverflowError) as error:
        raise zipfile.BadZipFile(f"its directory can't be read: {error}") from error


def _is_hidden(name: str) -> bool:
    return any(part.startswith((".", "__MACOSX")) for part in name.split("/"))


def _open_file(path: Path, follow_links: bool) -> io.BufferedReader:
    if follow_links:
        return path.open("rb")
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "it is not a regular file")
    return os.fdopen(descriptor, "rb")


def _buffer(stream: object) -> io.BufferedReader:
    return io.BufferedReader(cast(io.RawIOBase, stream), 1 << 16)


def _unpack(stream: io.BufferedReader, stack: ExitStack) -> io.BufferedReader:
    """Return the stream without its layers of compression, which its first bytes tell."""
    for _ in range(_MAX_LAYERS):
        start = stream.peek(6)[:6]
        if start.startswith(b"\x1f\x8b"):
            unpacked: object = gzip.GzipFile(fileobj=stream)
        elif start.startswith(b"BZh"):
            unpacked = bz2.BZ2File(stream)
        elif start.startswith(b"\xfd7zXZ"):
            unpacked = lzma.LZMAFile(stream)  # noqa: SIM115 - `stack` closes it
        else:
            break
        stream = stack.enter_context(_buffer(unpacked))
    return stream
