"""CatalogueFile files: JSON Lines, CSV and Parquet."""

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Literal

from indexer.catalogue.records import Record, Reject
from indexer.sources.csv_reader import csv_columns, csv_records
from indexer.sources.json_lines import json_records
from indexer.sources.lines import open_regular, read_lines
from mappings.errors import CatalogueError

Form = Literal["jsonl", "csv", "parquet"]

FORMS: dict[str, Form] = {
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "jsonl",
    ".csv": "csv",
    ".tsv": "csv",
    ".txt": "csv",
    ".parquet": "parquet",
}
"""File ending → form. All but Parquet may be followed by .gz."""

_SAMPLE_RECORDS = 2000
"""Records that the columns of a JSON Lines file are taken from: it has no header."""


@dataclass(frozen=True, slots=True)
class CatalogueFile:
    """A catalogue file of a known form, a `Source`. Make one with `open_catalogue`.

    Without `follow_links` only a regular file is opened, never a link.
    """

    path: Path
    form: Form
    follow_links: bool = True

    @property
    def name(self) -> str:
        """The file's path, as messages give it."""
        return str(self.path)

    @property
    def moment_ms(self) -> int:
        """When the file was last written to, in milliseconds since 1970: what it says was true then."""
        try:
            return self.path.stat().st_mtime_ns // 1_000_000
        except OSError as error:
            raise CatalogueError(f"{self.path} can't be read: {error.strerror or error}") from error

    def records(self) -> Iterator[Record | Reject]:
        """Yield every record, or a Reject for a bad line. Raises CatalogueError for a damaged file."""
        if self.form == "csv":
            return csv_records(read_lines(self.path, self.follow_links), str(self.path))
        if self.form == "jsonl":
            return json_records(read_lines(self.path, self.follow_links), str(self.path))
        return _parquet_records(self.path, self.follow_links)

    def columns(self) -> tuple[str, ...]:
        """Return the columns in file order; for JSON Lines, the keys of the first 2,000 lines."""
        if self.form == "parquet":
            return _parquet_columns(self.path, self.follow_links)
        if self.form == "csv":
            return csv_columns(read_lines(self.path, self.follow_links), str(self.path))
        sample = (record for record in islice(self.records(), _SAMPLE_RECORDS) if isinstance(record, Record))
        return tuple(dict.fromkeys(column for record in sample for column in record.values))

    def missing(self, wanted: Iterable[str]) -> tuple[str, ...]:
        """Return those of the `wanted` columns that the file lacks.

        A JSON Lines key may first appear far down: only when the sample lacks one is the file read through.
        """
        left = set(wanted).difference(self.columns())
        if left and self.form == "jsonl":
            for record in self.records():
                if isinstance(record, Record):
                    left.difference_update(record.values)
                if not left:
                    break
        return tuple(sorted(left))


def open_catalogue(path: Path, follow_links: bool = True) -> CatalogueFile:
    """Recognise a catalogue by its ending. Raises CatalogueError when it is missing or of no known form."""
    if not path.is_file():
        problem = "is a folder, not a file" if path.is_dir() else "does not exist"
        raise CatalogueError(f"catalogue file {path} {problem}")
    suffixes = [suffix.lower() for suffix in path.suffixes[-2:]]
    zipped = suffixes[-1:] == [".gz"]
    form = FORMS.get("".join(suffixes[-2:-1] if zipped else suffixes[-1:]))
    if form is None or (zipped and form == "parquet"):
        raise CatalogueError(
            f"{path} is of no known form: call it .jsonl, .csv, .tsv (each also .gz) or .parquet"
        )
    return CatalogueFile(path, form, follow_links)


@contextmanager
def _open_parquet(path: Path, follow_links: bool) -> Iterator[Any]:
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError as error:
        raise CatalogueError(f"reading {path} needs pyarrow: pip install 'attune[parquet]'") from error
    try:
        file = open_regular(path, follow_links)
    except OSError as error:
        raise CatalogueError(f"{path} can't be read: {error.strerror or error}") from error
    with file:
        try:
            opened = parquet.ParquetFile(file)
        except (OSError, pyarrow.ArrowException) as error:
            raise CatalogueError(f"{path} is not a readable Parquet file: {error}") from error
        yield opened


def _parquet_columns(path: Path, follow_links: bool) -> tuple[str, ...]:
    with _open_parquet(path, follow_links) as file:
        return tuple(file.schema_arrow.names)


def _parquet_records(path: Path, follow_links: bool) -> Iterator[Record | Reject]:
    with _open_parquet(path, follow_links) as file:
        total = max(1, file.metadata.num_rows)
        row = 0
        batches = file.iter_batches(batch_size=512)
        while True:
            try:
                values = next(batches).to_pylist()
            except StopIteration:
                return
            except Exception as error:  # pyarrow raises OSError, ArrowException and ValueError alike
                raise CatalogueError(f"{path} is damaged after row {row}: {error}") from error
            for value in values:
                row += 1
                yield Record(row, value, json.dumps(value, ensure_ascii=False, default=str), row / total)
