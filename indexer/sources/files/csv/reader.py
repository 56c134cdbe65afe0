"""CSV records, read so that a broken record costs that record and nothing behind it is read by mistake."""

import csv
from collections.abc import Iterator
from dataclasses import dataclass

from indexer.catalogue.presets import TEMPLATE_STARTS
from indexer.catalogue.records import Record, Reject
from indexer.sources.files.csv.dialect import Dialect, is_spaced
from indexer.sources.files.csv.first_cells import shape_of
from indexer.sources.files.csv.recovery import RecordEnd, Recovery
from indexer.sources.files.lines import MAX_LINE_BYTES, Line
from mappings.errors import CatalogueError

_MAX_NAME_CHARACTERS = 1000
_SHOWN_CHARACTERS = 2000


@dataclass(frozen=True, slots=True)
class Header:
    """The columns of a file, "" for those without a name, and the number of lines up to the first record.

    `renamed` has the columns whose name came before, by their new name.
    """

    columns: tuple[str, ...]
    lines: int
    renamed: dict[str, str]

    @property
    def names(self) -> tuple[str, ...]:
        """The columns that have a name."""
        return tuple(column for column in self.columns if column)


def read_header(lines: list[str], dialect: Dialect, name: str) -> Header:
    """Return the header of a file by its first lines; `name` is for errors.

    A column whose name came before is called `name.2`, and so on. Raises CatalogueError for a header that
    can't be one.
    """
    reader = dialect.read(lines[dialect.preamble :])
    try:
        cells = next(reader, [])
    except csv.Error as error:
        raise CatalogueError(
            f"{name}: line {dialect.preamble + 1} is not a CSV header: {error}. If quotes are plain "
            'characters in this file, say so: --read-as "quote=none"'
        ) from error
    taken = dialect.preamble + reader.line_num  # type: ignore[attr-defined]
    columns: list[str] = []
    is_template = bool(cells) and cells[0].startswith(TEMPLATE_STARTS)
    renamed: dict[str, str] = {}
    for position, cell in enumerate(cells, start=1):
        column = (
            f"column {position}"
            if is_template and not cell.strip()
            else " ".join(cell.replace("\0", "").replace("\ufeff", "").split())
        )
        if len(column) > _MAX_NAME_CHARACTERS:
            raise CatalogueError(
                f"{name}: line {dialect.preamble + 1} is not a CSV header: a column's name has "
                f"{len(column):,} characters"
            )
        unique, number = column, 1
        while column and unique in columns:
            number += 1
            unique = f"{column}.{number}"
        if unique != column:
            renamed[unique] = column
        columns.append(unique)
    if lines and not any(columns):
        raise CatalogueError(f"{name}: line {dialect.preamble + 1} is not a CSV header: no column has a name")
    return Header(tuple(columns), taken, renamed)


def csv_records(
    lines: Iterator[Line], header: Header, dialect: Dialect, encoding: str
) -> Iterator[Record | Reject]:
    """Yield the records behind the header.

    A record with another number of cells than the header is rejected, unless the cells beyond are empty. So
    is one whose quotes do not fit. Behind that, reading goes on at the first line that certainly begins a
    record, and lines that are left out until then are rejected as resynchronised.
    """
    for _ in range(header.lines):
        next(lines, None)
    reader = _CsvReader(lines, header, dialect, encoding)
    while not reader.ended:
        yield from reader.run()


class _CsvReader:
    def __init__(self, lines: Iterator[Line], header: Header, dialect: Dialect, encoding: str) -> None:
        self.ended = False
        self._header = header
        self._dialect = dialect
        self._encoding = encoding
        self._stray_quotes = dialect.stray_quotes or not dialect.quote
        self._recovery = Recovery(lines, dialect, len(header.columns))
        self._taken: list[Line] = []  # the lines of the record at hand
        self._texts: list[str] = []
        self._broken: str = ""  # why the record at hand can't be used, though its cells can be read
        self._size = 0
        self._behind_broken = False  # the record before was broken, and this may be the rest of it

    def run(self) -> Iterator[Record | Reject]:
        """Yield records until one breaks the reader, or to the end."""
        try:
            for cells in self._dialect.read(self._decode()):
                if outcome := self._outcome(cells):
                    yield outcome
                self._reset()
        except (csv.Error, _RecordTooLong) as error:
            yield self._recover(str(error))
            self._reset()
        else:
            self.ended = True

    def _reset(self) -> None:
        self._taken.clear()
        self._texts.clear()
        self._broken = ""
        self._size = 0

    def _decode(self) -> Iterator[str]:
        """Yield the text of each line, and note the lines of the record at hand."""
        encoding, taken, texts = self._encoding, self._taken, self._texts
        for line in self._recovery.lines():
            data = line.data
            try:
                text = data.decode(encoding)
            except UnicodeDecodeError as error:
                text = data.decode(encoding, "replace")
                self._broken = f"not {encoding.upper()}: byte {data[error.start]:#04x}"
            if "\r" in text or "\0" in text:
                text = text.removesuffix("\r\n").removesuffix("\n").removesuffix("\r")
                text = text.replace("\0", "").replace("\r", " ") + "\n"
            taken.append(line)
            texts.append(text)
            self._size += len(data)
            if line.too_long or self._size > MAX_LINE_BYTES:
                raise _RecordTooLong(f"longer than {MAX_LINE_BYTES:,} bytes")
            yield text

    def _outcome(self, cells: list[str]) -> Record | Reject | None:
        columns = self._header.columns
        first = self._taken[0]
        raw = self._texts[0] if len(self._texts) == 1 else "".join(self._texts)
        if len(cells) != len(columns):
            if not any(cell.strip() for cell in cells):
                return None  # a blank line
            short = len(cells) < len(columns)
            if (short and not self._dialect.ragged) or (
                not short and any(map(str.strip, cells[len(columns) :]))
            ):
                self._behind_broken = True
                return Reject(first.number, f"{len(cells)} cells where the header has {len(columns)}", raw)
        if self._behind_broken and self._dialect.first_shapes and any(map(str.strip, cells)):
            if shape_of(cells[0]) not in self._dialect.first_shapes:
                return Reject(
                    first.number, "behind a broken record, and its first cell looks like none before", raw
                )
            self._behind_broken = False
        if self._broken:
            return Reject(first.number, self._broken, raw)
        if reason := self._doubt(cells, raw):
            return Reject(first.number, f"broken CSV: {reason}", raw)
        if len(self._taken) > 1 and self._recovery.looks_like_records(self._texts):
            return Reject(
                first.number,
                f"a quote joins {len(self._taken)} lines that look like one record each. If quotes are plain "
                'characters in this file, say so: --read-as "quote=none"',
                raw[:_SHOWN_CHARACTERS],
                "resynchronised",
            )
        values: dict[str, object] = {
            column: cell for column, cell in zip(columns, cells, strict=False) if column
        }
        if not any(map(str.strip, cells)):
            return None  # a row of bare delimiters, as spreadsheets leave at the end
        return Record(first.number, values, raw, first.share)

    def _doubt(self, cells: list[str], raw: str) -> str:
        """Return why a record may be the text of a broken cell, "" where nothing speaks for that."""
        dialect = self._dialect
        if not self._stray_quotes and any(dialect.quote in cell for cell in cells):
            if dialect.has_stray_quote(raw):
                return "a quote in a cell without quotes around it"
        elif not dialect.spaced and is_spaced(cells):
            return "it reads like a line of text, with a blank behind each delimiter"
        return ""

    def _recover(self, problem: str) -> Reject:
        """Go on behind a broken record, and return it as a Reject."""
        self._behind_broken = True
        first = self._taken[0]
        raw = "".join(self._texts[:1])[:_SHOWN_CHARACTERS]
        if not self._dialect.quote:
            self._recovery.give_back(self._taken[1:])
            return Reject(first.number, f"broken CSV: {problem}", raw)
        end: RecordEnd = self._recovery.find_end(self._taken, self._encoding)
        if "end of data" in problem or (end.unclosed and "longer" in problem):
            problem = "a quoted cell never closes"
        if end.certain:
            return Reject(first.number, f"broken CSV: {problem}", raw)
        return Reject(
            first.number,
            f"broken CSV: {problem}, and it is not certain where the next record begins: "
            f"the lines up to {end.last_line} are left out",
            raw,
            "resynchronised",
        )


class _RecordTooLong(Exception):
    """A record has more bytes than one may have."""
