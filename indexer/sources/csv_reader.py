"""CSV and its relatives (semicolons, tabs, pipes), read so that one broken record costs one record."""

import csv
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

from indexer.catalogue.records import Record, Reject
from indexer.sources.lines import MAX_LINE_BYTES, Line
from mappings.errors import CatalogueError

_DELIMITERS = ",;\t|"


def csv_columns(lines: Iterator[Line], name: str) -> tuple[str, ...]:
    """Return the header's columns, none for an empty file. Raises CatalogueError like csv_records."""
    header = _Header.read(lines, name)
    return tuple(column for column in header.columns if column) if header else ()


def csv_records(lines: Iterator[Line], name: str) -> Iterator[Record | Reject]:
    """Yield the records below the header line; `name` is the file's, for errors.

    The delimiter is the one that the header uses most. Quoted fields may hold line ends. A quote that never
    closes rejects the line it opens on, and reading goes on at the next line. Raises CatalogueError for
    a header that can't be one.
    """
    header = _Header.read(lines, name)
    source = _Source(lines)
    while header and (first := source.take()) is not None:
        outcome = _record(first, source, header)
        if outcome is not None:
            yield outcome


@dataclass(frozen=True, slots=True)
class _Header:
    columns: tuple[str, ...]
    delimiter: str

    @classmethod
    def read(cls, lines: Iterator[Line], name: str) -> "_Header | None":
        line = next(lines, None)
        if line is None:
            return None
        text = _text(line)
        delimiter = max(_DELIMITERS, key=text.count)
        columns = tuple(column.strip() for column in next(csv.reader([text], delimiter=delimiter), []))
        if not any(columns) or "\x00" in text:
            raise CatalogueError(f"{name}: line 1 is no CSV header")
        repeated = sorted({column for column in columns if column and columns.count(column) > 1})
        if repeated:
            raise CatalogueError(f"{name}: the header names these columns twice: {', '.join(repeated)}")
        return cls(columns, delimiter)


class _Source:
    """Lines that can be handed back: what an unclosed quote swallowed is read again."""

    def __init__(self, lines: Iterator[Line]) -> None:
        self._lines = lines
        self._returned: deque[Line] = deque()

    def take(self) -> Line | None:
        return self._returned.popleft() if self._returned else next(self._lines, None)

    def give_back(self, lines: list[Line]) -> None:
        self._returned.extendleft(reversed(lines))


def _record(first: Line, source: _Source, header: _Header) -> Record | Reject | None:
    taken = [first]
    unclosed = False

    def feed() -> Iterator[str]:
        nonlocal unclosed
        yield _text(first)
        size = len(first.data)
        while (line := source.take()) is not None:
            taken.append(line)
            size += len(line.data)
            if size > MAX_LINE_BYTES or line.too_long:
                break
            yield _text(line)
        unclosed = True  # the reader asked for more than the record may have

    if first.too_long:
        return Reject(first.number, f"line longer than {MAX_LINE_BYTES} bytes", _shown(first.data))
    problem = ""
    row: list[str] = []
    try:
        row = next(csv.reader(feed(), delimiter=header.delimiter, strict=True), [])
    except csv.Error as error:
        problem = str(error)
    if unclosed:
        problem = "a quoted field never closes"
    if problem:
        source.give_back(taken[1:])
        return Reject(first.number, f"broken CSV: {problem}", _shown(first.data))
    data = b"".join(line.data for line in taken)
    try:
        raw = data.decode("utf-8")
    except UnicodeDecodeError as error:
        return Reject(first.number, f"not UTF-8: byte {data[error.start]:#04x}", _shown(data))
    if not any(cell.strip() for cell in row):
        return None  # a blank line, or the row of bare delimiters that spreadsheets leave at the end
    width = len(header.columns)
    if any(cell.strip() for cell in row[width:]):
        return Reject(first.number, f"{len(row)} fields where the header has {width}", raw)
    values = {column: cell for column, cell in zip(header.columns, row, strict=False) if column}
    return Record(first.number, values, raw, taken[-1].share)


def _text(line: Line) -> str:
    # Bad bytes survive as surrogates until the record is complete, so only that record is rejected.
    return line.data.decode("utf-8", errors="surrogateescape")


def _shown(data: bytes) -> str:
    return data.decode("utf-8", errors="replace")
