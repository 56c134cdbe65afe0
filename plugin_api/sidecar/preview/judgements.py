"""The judgements that people make on the preview page: one CSV file, shared by all workers.

It is what `attune evaluate --judgements` and `attune train --judgements` read. A pair that is judged again
gets its new grade in place of the old one.
"""

import csv
import fcntl
import io
import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from mappings.errors import LabelsError
from reranker.evaluation.judgements import _DELIMITERS, COLUMN_NAMES, normalise_query

Row = list[str]


class JudgementsFile:
    """Grades by query and product. Safe to use from several threads and processes at once.

    Other columns of an existing file, and the delimiter it has, stay as they are.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def grades(self, query: str, product_ids: Sequence[str]) -> dict[str, int]:
        """Return the grades of those of `product_ids` that are judged for `query`. Raises LabelsError."""
        wanted, key = set(product_ids), normalise_query(query)
        table = self._read()
        return {
            product_id: int(grade)
            for of, product_id, grade in table.judgements()
            if product_id in wanted and normalise_query(of) == key and grade in ("0", "1", "2", "3")
        }

    def save(self, query: str, product_id: str, grade: int | None) -> None:
        """Save one judgement in place of an earlier one; None takes it back. Raises LabelsError."""
        spelt = " ".join(query.split())
        with self._locked():
            self._write(self._read().with_grade(spelt, product_id, grade))

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Hold the file alone. The lock is a file beside it, since the file itself is replaced."""
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            lock = self._path.with_name(f".{self._path.name}.lock").open("w")
        except OSError as error:
            raise self._unusable(error) from error
        with lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _read(self) -> "_Table":
        try:
            text = self._path.read_bytes().decode("utf-8-sig")
        except FileNotFoundError:
            text = ""
        except (OSError, UnicodeDecodeError) as error:
            raise self._unusable(error) from error
        return _Table.of(text, self._path)

    def _write(self, table: "_Table") -> None:
        """Replace the file whole: who reads it meanwhile sees the old one or the new one."""
        mode = self._path.stat().st_mode & 0o777 if self._path.exists() else 0o644
        try:
            with tempfile.NamedTemporaryFile(
                "w",
                encoding="utf-8",
                newline="",
                dir=self._path.parent,
                prefix=f".{self._path.name}.",
                delete=False,
            ) as written:
                written.write(table.text())
                written.flush()
                os.fsync(written.fileno())
            Path(written.name).chmod(mode)
            Path(written.name).replace(self._path)
        except OSError as error:
            raise self._unusable(error) from error

    def _unusable(self, error: Exception) -> LabelsError:
        why = getattr(error, "strerror", None) or error
        return LabelsError(
            f"judgements can't be kept in {self._path}: {why}; set preview.judgements to a CSV file "
            "that the sidecar may write"
        )


class _Table:
    """A judgements file's rows, and which columns are which."""

    def __init__(self, header: Row, rows: list[Row], at: tuple[int, int, int], delimiter: str) -> None:
        self._header, self._rows, self._at, self._delimiter = header, rows, at, delimiter

    @classmethod
    def of(cls, text: str, path: Path) -> "_Table":
        delimiter = max(_DELIMITERS, key=text.partition("\n")[0].count)
        try:
            header, *rows = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True) or [
                []
            ]
        except csv.Error as error:
            raise LabelsError(f"{path} is broken CSV ({error}): correct it, or name another file") from error
        except ValueError:  # nothing in it yet
            header, rows = list(COLUMN_NAMES), []
        names = ["_".join(cell.split()).lower() for cell in header]
        at = [
            next((names.index(name) for name in known if name in names), -1)
            for known in COLUMN_NAMES.values()
        ]
        if min(at) < 0:
            raise LabelsError(
                f"{path}: the header ({', '.join(header)}) must name {', '.join(COLUMN_NAMES)}: correct it "
                "or set preview.judgements to another file"
            )
        kept = [row + [""] * (len(header) - len(row)) for row in rows if any(row)]
        return cls(header, kept, (at[0], at[1], at[2]), delimiter)

    def judgements(self) -> Iterator[tuple[str, str, str]]:
        """Yield query, product id and grade of each row."""
        for row in self._rows:
            query, product_id, grade = (row[i].strip() for i in self._at)
            yield query, product_id, grade

    def with_grade(self, query: str, product_id: str, grade: int | None) -> "_Table":
        """Return the table with one pair's grade replaced where its first row is; None takes its rows out."""
        key = normalise_query(query)
        rows: list[Row] = []
        placed = grade is None
        for row, (of, judged, _) in zip(self._rows, self.judgements(), strict=True):
            if judged != product_id or normalise_query(of) != key:
                rows.append(row)
            elif not placed:
                placed = True
                rows.append(self._row(row, {self._at[2]: str(grade)}))
        if not placed:
            cells = dict(zip(self._at, (query, product_id, str(grade)), strict=True))
            rows.append(self._row([""] * len(self._header), cells))
        return _Table(self._header, rows, self._at, self._delimiter)

    def text(self) -> str:
        """Return the file's text."""
        out = io.StringIO(newline="")
        csv.writer(out, delimiter=self._delimiter, lineterminator="\n").writerows([self._header, *self._rows])
        return out.getvalue()

    def _row(self, row: Row, cells: dict[int, str]) -> Row:
        return [cells.get(i, cell) for i, cell in enumerate(row)]
