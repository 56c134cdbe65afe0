"""Parquet files, read by pyarrow in batches."""

import io
import json
from collections.abc import Iterator
from typing import Any

from indexer.catalogue.records import Record, Reject
from indexer.sources.files.nesting import check_levels
from mappings.errors import CatalogueError

_BATCH_ROWS = 512


def parquet_columns(file: io.BufferedReader, name: str) -> tuple[str, ...]:
    """Return the columns; `name` is the file's, for errors. Raises CatalogueError for a damaged file."""
    return tuple(_open(file, name).schema_arrow.names)


def parquet_records(file: io.BufferedReader, name: str) -> Iterator[Record | Reject]:
    """Yield the rows. The line of a record is its row. Raises CatalogueError for a damaged file."""
    opened = _open(file, name)
    total = max(1, opened.metadata.num_rows)
    row = 0
    batches = opened.iter_batches(batch_size=_BATCH_ROWS)
    while True:
        try:
            values = next(batches).to_pylist()
        except StopIteration:
            return
        except Exception as error:  # pyarrow raises OSError, ArrowException and ValueError alike
            raise CatalogueError(f"{name} is damaged after row {row}: {error}") from error
        for value in values:
            row += 1
            raw = json.dumps(value, ensure_ascii=False, default=str)
            try:
                check_levels(value)
            except ValueError as error:
                yield Reject(row, str(error), raw)
            else:
                yield Record(row, value, raw, row / total)


def _open(file: io.BufferedReader, name: str) -> Any:
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError as error:
        raise CatalogueError(f"reading {name} needs pyarrow: pip install 'attune[parquet]'") from error
    try:
        return parquet.ParquetFile(file)
    except (OSError, pyarrow.ArrowException) as error:
        raise CatalogueError(f"{name} is not a readable Parquet file: {error}") from error
