"""Text files: their encoding and line ends, found from a large sample, and their lines."""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from indexer.sources.files.byte_streams import ByteSource
from indexer.sources.files.encodings import detect_encoding, transcode
from indexer.sources.files.lines import CarriageReturns, Line, ends_with_carriage_returns, read_lines
from indexer.sources.files.options import ReadOptions
from mappings.errors import CatalogueError

_SAMPLE_BYTES = 1 << 19
_SCANNED_BYTES = 1 << 27
"""A file that begins with ASCII is looked through so far for its first other character."""


@dataclass(frozen=True, slots=True)
class TextFormat:
    """How the bytes of a file become lines. `sample` is the decoded beginning, with its own line ends.

    `encoding` is the codec that lines are in once they are split: UTF-16 has been made UTF-8 by then.
    """

    stored_encoding: str
    encoding: str
    mark_bytes: int
    carriage_returns: bool
    sample: str
    sample_complete: bool

    @property
    def line_ends(self) -> str:
        """What ends the lines: CR, CRLF or LF."""
        return "CR" if self.carriage_returns else "CRLF" if "\r\n" in self.sample else "LF"


def detect_text(source: ByteSource, options: ReadOptions) -> TextFormat:
    """Find the encoding and line ends of a file. Raises CatalogueError where it is not text."""
    with source.open() as stream:
        head = block = stream.file.read(_SAMPLE_BYTES)
        complete = len(head) < _SAMPLE_BYTES
        rest = b""
        while block.isascii() and stream.file.tell() < _SCANNED_BYTES:
            block = stream.file.read(_SAMPLE_BYTES)
            if not block:
                break
            rest = block[block.find(b"\n") + 1 :]
    encoding, mark_bytes = detect_encoding(head if not head.isascii() else head + b"\n" + rest)
    if options.encoding:
        mark_bytes = mark_bytes if encoding == options.encoding else 0
        encoding = options.encoding
    if not encoding:
        raise CatalogueError(
            f"{source.name} is not text in a known encoding. Save it as UTF-8, or name its encoding: "
            '--read-as "encoding=NAME"'
        )
    text = head[mark_bytes:].decode(encoding, "replace")
    if not complete:
        text = text[: max(text.rfind("\n"), text.rfind("\r")) + 1] or text
    wide = encoding.startswith(("utf-16", "utf-32"))
    return TextFormat(
        stored_encoding=encoding,
        encoding="utf-8" if wide else encoding,
        mark_bytes=mark_bytes,
        carriage_returns=ends_with_carriage_returns(text.encode("utf-8", "replace")),
        sample=text,
        sample_complete=complete,
    )


@contextmanager
def open_lines(source: ByteSource, text: TextFormat) -> Iterator[Iterator[Line]]:
    """Open the lines of a file, split at its line ends and encoded in `text.encoding`."""
    with source.open() as stream, open_utf8(stream.file, text) as file:
        yield read_lines(file, stream.share)


@contextmanager
def open_utf8(file: io.BufferedReader, text: TextFormat) -> Iterator[io.BufferedReader]:
    """Return the stream without its byte order mark, with line feeds, and not in UTF-16 any more."""
    file.read(text.mark_bytes)
    if text.stored_encoding != text.encoding:
        file = transcode(file, text.stored_encoding)
    if text.carriage_returns:
        file = io.BufferedReader(CarriageReturns(file), 1 << 16)
    yield file
