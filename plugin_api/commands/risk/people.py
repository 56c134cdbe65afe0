"""Tables that `attune risk` reads: people with named numbers, and transactions of people."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np

from indexer.catalogue.records import Record
from indexer.sources.files import open_catalogue
from mappings.errors import LabelsError
from reranker.risk.cash_flow import Transaction
from reranker.types import Doubles

_FLAGS = {"yes": 1.0, "true": 1.0, "no": 0.0, "false": 0.0}


@dataclass(frozen=True, slots=True, eq=False)
class People:
    """One row a person: their names, and numbers (n, F) by column, NaN where a cell is empty."""

    names: tuple[str, ...]
    columns: tuple[str, ...]
    numbers: Doubles


def read_people(path: Path, person: str, columns: Sequence[str] = (), left_out: str = "") -> People:
    """Read a table. Without `columns`, all that hold numbers, but for `left_out` and the person's.

    Yes and no, true and false are 1 and 0. Raises LabelsError for a column that is missing or holds texts,
    and CatalogueError as `open_catalogue` does.
    """
    records = list(_read_records(path))
    if not records:
        raise LabelsError(f"{path} has no rows")
    present = list(dict.fromkeys(key for record in records for key in record.values))
    if missing := [name for name in columns if name not in present]:
        raise LabelsError(f"{path} has no column {', '.join(missing)}; it has {', '.join(present)}")
    chosen = list(columns) or [
        name
        for name in present
        if name not in (person, left_out) and all(_is_number(record.values.get(name)) for record in records)
    ]
    if not chosen:
        raise LabelsError(f"{path} has no column of numbers")
    numbers = np.array([[_parse(record, name, path) for name in chosen] for record in records])
    names = tuple(str(record.values.get(person) or f"row {at}") for at, record in enumerate(records, 1))
    return People(names, tuple(chosen), numbers)


def read_transactions(path: Path, person: str) -> Mapping[str, list[Transaction]]:
    """Read bookings by person: columns `date` (ISO), `amount`, and `text` where there is one.

    Without the person's column all are of one person. Raises LabelsError naming the line that can't be read.
    """
    booked: dict[str, list[Transaction]] = {}
    for record in _read_records(path):
        values = record.values
        try:
            day = date.fromisoformat(str(values["date"])[:10])
            amount = _parse(record, "amount", path)
        except (KeyError, ValueError) as error:
            raise LabelsError(f"{path}, line {record.line}: a booking needs a date and an amount") from error
        if math.isnan(amount):
            raise LabelsError(f"{path}, line {record.line}: the amount is empty")
        name = str(values.get(person) or "all")
        booked.setdefault(name, []).append(Transaction(day, amount, str(values.get("text") or "")))
    if not booked:
        raise LabelsError(f"{path} has no rows")
    return booked


def _read_records(path: Path) -> Iterator[Record]:
    for record in open_catalogue(path).records():
        if not isinstance(record, Record):
            raise LabelsError(f"{path}, line {record.line}: {record.reason}")
        yield record


def _is_number(cell: object) -> bool:
    try:
        _to_number(cell)
    except ValueError:
        return False
    return True


def _parse(record: Record, name: str, path: Path) -> float:
    try:
        return _to_number(record.values.get(name))
    except ValueError as error:
        cell = str(record.values.get(name))[:40]
        raise LabelsError(f"{path}, line {record.line}: {name} is {cell!r}, which is not a number") from error


def _to_number(cell: object) -> float:
    if cell is None or cell == "":
        return math.nan
    text = str(cell).strip().casefold()
    number = _FLAGS[text] if text in _FLAGS else float(text)
    if math.isinf(number):
        raise ValueError(text)
    return number
