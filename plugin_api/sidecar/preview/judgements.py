"""The judgements that people make on the preview page: one CSV file, shared by all workers.

`attune evaluate --judgements` and `attune train --judgements` read it. A new judgement is appended as a row.
A pair that is judged again gets its new grade within its row. So a save costs the same however long the file
is, and a full disk leaves neither half a row nor a temporary file.
"""

import csv
import fcntl
import hashlib
import io
import os
import re
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from mappings.errors import LabelsError
from reranker.evaluation.judgements import COLUMN_NAMES, JUDGEMENT_DELIMITERS, normalise_query

MAX_FILE_BYTES = 20_000_000
"""Size of the largest judgements file that is written to: some 500,000 judgements."""

_GRADES = (b"0", b"1", b"2", b"3")


class JudgementsFile:
    """Grades by query and product. Safe to use from several threads and processes at once.

    Columns and the delimiter of an existing file stay as they are. Every method raises LabelsError.
    """

    def __init__(self, path: Path, max_bytes: int = MAX_FILE_BYTES) -> None:
        self._path = path
        self._max_bytes = max_bytes
        self._lock = threading.Lock()
        self._table: _Table | None = None

    def grades(self, query: str, product_ids: Sequence[str]) -> dict[str, int]:
        """Return the grades of those of `product_ids` that are judged for `query`."""
        if not self._path.exists():
            return {}
        with self._open(fcntl.LOCK_SH, os.O_RDONLY) as (file, table):
            grade_by_product: dict[str, int] = {}
            for product_id in product_ids:
                for offset, length in table.find(query, product_id):
                    grade = os.pread(file, length, offset).strip()
                    if grade in _GRADES:
                        grade_by_product[product_id] = int(grade)
            return grade_by_product

    def save(self, query: str, product_id: str, grade: int | None) -> None:
        """Save one judgement in place of an earlier one; None takes it back."""
        if grade is None and not self._path.exists():
            return
        text = b"" if grade is None else str(grade).encode()
        with self._open(fcntl.LOCK_EX, os.O_RDWR | os.O_CREAT) as (file, table):
            cells = table.find(query, product_id)
            for number, (offset, length) in enumerate(cells):
                # Blanks in the cell of a grade count as no grade.
                os.pwrite(file, (text if number == 0 else b"").ljust(length), offset)
            if not cells and text:
                self._append(file, table, table.row(" ".join(query.split()), product_id, text.decode()))
            os.fsync(file)

    def _append(self, file: int, table: "_Table", row: bytes) -> None:
        size = os.fstat(file).st_size
        if size + len(row) > self._max_bytes:
            raise LabelsError(
                f"{self._path} would be larger than {self._max_bytes:,} bytes: "
                "set preview.judgements to a new file"
            )
        try:
            if os.pwrite(file, row, size) < len(row):
                raise OSError(None, "the disk is full")
        except OSError:
            os.ftruncate(file, size)
            raise
        table.read(row, size)

    @contextmanager
    def _open(self, lock: int, flags: int) -> Iterator[tuple[int, "_Table"]]:
        """Yield the open file and what is known of it, locked against other threads and processes.

        The lock file beside it holds the file's state after the last save, and a generation, which changes
        when somebody else has edited the file. Then all rows are read anew.
        """
        with self._lock:
            try:
                self._path.parent.mkdir(parents=True, exist_ok=True)
                with self._path.with_name(f".{self._path.name}.lock").open("a+b") as stamp:
                    fcntl.flock(stamp, lock)
                    file = os.open(self._path, flags, 0o644)
                    try:
                        stamp.seek(0)
                        table = self._refresh(file, stamp.read())
                        try:
                            yield file, table
                        finally:
                            table.state = _state(file)
                            if lock == fcntl.LOCK_EX:
                                with suppress(OSError):  # a full disk: others read the file anew
                                    stamp.truncate(0)
                                    stamp.write(table.state + b" " + table.generation)
                                    stamp.flush()
                    finally:
                        os.close(file)
            except (OSError, UnicodeDecodeError) as error:
                why = getattr(error, "strerror", None) or error
                raise LabelsError(
                    f"judgements can't be saved in {self._path}: {why}; set preview.judgements to a CSV file "
                    "that the sidecar may write"
                ) from error

    def _refresh(self, file: int, stamp: bytes) -> "_Table":
        """Return what the file holds, and read no more than what is new since the last call."""
        table, state, size = self._table, _state(file), os.fstat(file).st_size
        saved, _, generation = stamp.rpartition(b" ")
        if saved != state:
            generation = os.urandom(8).hex().encode()
        if table is None or (table.state != state and table.generation != generation):
            table = _Table(self._path, generation)
        self._table = None
        if size > self._max_bytes:
            raise LabelsError(
                f"{self._path} is larger than {self._max_bytes:,} bytes: "
                "set preview.judgements to another file"
            )
        if size > table.size:
            table.read(os.pread(file, size - table.size, table.size), table.size)
        self._table = table
        return table


class _Table:
    """The file's columns, and where the grade of each pair is. `state` tells whether the file has changed."""

    def __init__(self, path: Path, generation: bytes) -> None:
        self._path = path
        self.generation = generation
        self._delimiter = ""
        self._header: list[str] = []
        self._columns: tuple[int, int, int] = (0, 0, 0)
        self._cells: dict[
            bytes, int | tuple[int, ...]
        ] = {}  # hash of a pair → offset and length as one number
        self._ends_in_line = True
        self.size = 0
        self.state = b""

    def find(self, query: str, product_id: str) -> list[tuple[int, int]]:
        """Return offset and length of each cell with a grade of the pair."""
        cells = self._cells.get(_hash(query, product_id), ())
        return [divmod(cell, 256) for cell in (cells if isinstance(cells, tuple) else (cells,))]

    def row(self, query: str, product_id: str, grade: str) -> bytes:
        """Return a new row of the file, with what has to come before it."""
        header = self._header or list(COLUMN_NAMES)
        columns = self._columns if self._header else (0, 1, 2)
        row = [""] * len(header)
        for column, cell in zip(columns, (query, product_id, grade), strict=True):
            row[column] = cell
        out = io.StringIO(newline="")
        if not self._ends_in_line:
            out.write("\n")
        writer = csv.writer(out, delimiter=self._delimiter or ",", lineterminator="\n")
        writer.writerows([row] if self._header else [header, row])
        return out.getvalue().encode()

    def read(self, data: bytes, start: int) -> None:
        """Take in the rows from `start` on. Raises LabelsError and UnicodeDecodeError."""
        data.decode()  # fail before anything is taken in
        for row in self._rows(data):
            cells = [_text(data, begin, end) for begin, end in row]
            if not self._header:
                self._read_header(cells)
            elif len(row) > max(self._columns):
                query, product_id, _ = (cells[column] for column in self._columns)
                begin, end = row[self._columns[2]]
                if 0 < end - begin < 256:
                    self._add(_hash(query, product_id), (start + begin) * 256 + end - begin)
        self.size = start + len(data)
        self._ends_in_line = data.endswith((b"\n", b"\r")) if data else self._ends_in_line

    def _add(self, pair: bytes, cell: int) -> None:
        known = self._cells.get(pair, ())
        more = known if isinstance(known, tuple) else (known,)
        self._cells[pair] = (*more, cell) if more else cell

    def _rows(self, data: bytes) -> Iterator[list[tuple[int, int]]]:
        """Yield the cells of each row that is not empty, as begin and end in `data` without their quotes."""
        at = 3 if not self._header and data.startswith(b"\xef\xbb\xbf") else 0
        if not self._delimiter:
            header = data.partition(b"\n")[0].decode()
            self._delimiter = max(JUDGEMENT_DELIMITERS, key=header.count)
        delimiter = self._delimiter.encode()
        cell = re.compile(
            rb'(?:"([^"]*(?:""[^"]*)*)"|((?!")[^%b\r\n]*))(%b|\r\n|\r|\n|\Z)' % (delimiter, delimiter)
        )
        row: list[tuple[int, int]] = []
        while at < len(data):
            match = cell.match(data, at)
            if not match:
                raise LabelsError(
                    f"{self._path} is broken CSV at byte {at:,}: correct it or use another file"
                )
            row.append(match.span(1) if match[1] is not None else match.span(2))
            at = match.end()
            if match[3] != delimiter:
                if any(begin < end for begin, end in row):
                    yield row
                row = []
        if row:  # the file ends with a delimiter
            yield [*row, (at, at)]

    def _read_header(self, cells: list[str]) -> None:
        names = ["_".join(cell.split()).lower() for cell in cells]
        columns = [
            next((names.index(name) for name in known if name in names), -1)
            for known in COLUMN_NAMES.values()
        ]
        if min(columns) < 0:
            raise LabelsError(
                f"{self._path}: the header ({', '.join(cells)}) must name {', '.join(COLUMN_NAMES)}: "
                "correct it or set preview.judgements to another file"
            )
        self._header, self._columns = cells, (columns[0], columns[1], columns[2])


def _text(data: bytes, begin: int, end: int) -> str:
    """Return the text of a cell; in quoted cells a double quote is written twice."""
    text = data[begin:end].decode().strip()
    return text.replace('""', '"') if data[begin - 1 : begin] == b'"' else text


def _hash(query: str, product_id: str) -> bytes:
    pair = f"{normalise_query(query)}\0{product_id.strip()}"
    return hashlib.blake2b(pair.encode("utf-8", "surrogatepass"), digest_size=12).digest()


def _state(file: int) -> bytes:
    state = os.fstat(file)
    return f"{state.st_ino} {state.st_size} {state.st_mtime_ns}".encode()
