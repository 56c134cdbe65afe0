"""Spreadsheets (.xlsx, .xlsm, .xls, .ods), read by calamine: the sheet that names most product fields."""

import io
import json
from collections.abc import Iterator
from datetime import date, datetime, time, timedelta

from python_calamine import CalamineError, CalamineWorkbook

from indexer.catalogue.guessing.headers import count_names, locate_header
from indexer.catalogue.presets import TEMPLATE_STARTS
from indexer.catalogue.records import Record, Reject
from indexer.sources.files.byte_streams import open_archive
from mappings.errors import CatalogueError

_MAX_BYTES = 1 << 29
"""The largest workbook, unpacked, since a sheet stays in memory."""

_Row = list[object]
_Sheet = tuple[str, tuple[str, ...], list[_Row], int]
"""A sheet's name, columns ("" for those without a name), rows, and the header's row number."""


def read_sheet(file: io.BufferedReader, name: str, max_bytes: int = _MAX_BYTES) -> _Sheet:
    """Return the sheet that names most product fields.

    Raises CatalogueError for a file that is not a workbook, has more than `max_bytes` unpacked, or has no
    sheet with a header.
    """
    _check_size(file, name, max_bytes)
    try:
        workbook = CalamineWorkbook.from_filelike(file)
        sheets = [sheet for name in workbook.sheet_names if (sheet := _read_rows(workbook, name))]
        if sheets:
            return max(sheets, key=lambda sheet: count_names(sheet[1]))
    except (CalamineError, OSError, ValueError, MemoryError) as error:
        raise CatalogueError(f"{name} is not a readable workbook: {error}") from error
    except BaseException as error:
        if type(error).__name__ != "PanicException":  # how errors within calamine end
            raise
        raise CatalogueError(f"{name} is not a readable workbook: {error}") from error
    raise CatalogueError(f"{name} has no sheet with a header and a record")


def _read_rows(workbook: CalamineWorkbook, name: str) -> _Sheet | None:
    """Return a sheet, None where it has no header with a record below it."""
    rows: list[_Row] = [
        list(map(_plain, row)) for row in workbook.get_sheet_by_name(name).to_python(skip_empty_area=False)
    ]
    start = locate_header(rows[:20]) or next(
        (n for n, row in enumerate(rows) if any(cell != "" for cell in row)), None
    )
    if start is None or len(rows) <= start + 1:
        return None
    return name, unique_columns(rows[start]), rows[start + 1 :], start + 1


def sheet_records(columns: tuple[str, ...], rows: list[_Row], header_row: int) -> Iterator[Record | Reject]:
    """Yield the records of a sheet. The line of a record is its row."""
    for index, row in enumerate(rows):
        if all(cell == "" for cell in row):
            continue
        values = {column: cell for column, cell in zip(columns, row, strict=False) if column}
        raw = json.dumps(values, ensure_ascii=False)
        line = header_row + index + 1
        yield Record(line, values, raw, (index + 1) / len(rows))


def unique_columns(cells: _Row) -> tuple[str, ...]:
    """Return the columns' names, a second `image` as `image.2`."""
    columns: list[str] = []
    is_template = str(cells[0]).startswith(TEMPLATE_STARTS)
    for position, cell in enumerate(cells, start=1):
        column = " ".join(str(cell).split()) or (f"column {position}" if is_template else "")
        unique, number = column, 1
        while column and unique in columns:
            number += 1
            unique = f"{column}.{number}"
        columns.append(unique)
    return tuple(columns)


def _check_size(file: io.BufferedReader, name: str, max_bytes: int) -> None:
    """Raise CatalogueError where a workbook would fill the memory: sizes that archives state may be wrong."""
    too_large = CatalogueError(f"{name} is larger than {max_bytes >> 20} MiB unpacked: save it as CSV")
    if file.peek(2)[:2] == b"PK":
        size = 0
        with open_archive(file) as archive:
            for member in archive.infolist():
                with archive.open(member) as unpacked:
                    while part := unpacked.read(1 << 16):
                        size += len(part)
                        if size > max_bytes:
                            raise too_large
        file.seek(0)
    elif file.seek(0, io.SEEK_END) > max_bytes:
        raise too_large
    file.seek(0)


def _plain(cell: object) -> object:
    if isinstance(cell, float) and cell.is_integer() and abs(cell) < 1e15:
        return int(cell)
    if isinstance(cell, datetime | date | time):
        return cell.isoformat()
    if isinstance(cell, timedelta):
        return str(cell)
    return cell
