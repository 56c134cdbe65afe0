"""Watermarks: how far a table's changes have been read, as the value of a column that grows with each change.

A value is a whole number, a date, a moment, or a moment's ISO 8601 text, which is what SQLite has for one.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Protocol

from indexer.catalogue import values
from indexer.catalogue.values import BadValue
from mappings.errors import CatalogueError
from mappings.types import JsonObject

Watermark = int | date | str
"""A datetime is a date; text is a moment's."""

OVERLAP = 60.0
"""What is read again at each look, in seconds or units: a transaction that commits late is behind by that."""

ZONES = timedelta(hours=14)
"""The most that a clock without a time zone may be off UTC."""


_TEXT = re.compile(r"\d{4}-\d\d-\d\d([ T]\d\d:\d\d|$)", re.ASCII)
"""The forms that sort as their moments do."""


class Watermarks(Protocol):
    """Where watermarks are kept from run to run, for each alias its own."""

    def load(self, key: str) -> JsonObject | None:
        """Return what was saved under `key`, None where nothing was."""
        ...

    def save(self, key: str, value: JsonObject) -> None:
        """Keep `value` under `key`."""
        ...


def watermark(cell: object) -> Watermark:
    """Return a cell of the watermark column. Raises BadValue for what can't be one."""
    if isinstance(cell, Decimal) and cell == cell.to_integral_value():
        return int(cell)
    if isinstance(cell, datetime) and cell.tzinfo:
        return cell.astimezone(UTC)  # within one other zone, Python reckons by the clock on the wall
    if isinstance(cell, int | date) and not isinstance(cell, bool):
        return cell
    if isinstance(cell, str) and _moment(cell):
        return cell
    shown = repr(cell) if len(repr(cell)) <= 60 else repr(cell)[:57] + "..."
    raise BadValue(f"wrong type: watermark {shown} is neither a whole number nor a moment")


def earlier(value: Watermark, overlap: float) -> Watermark:
    """Return what is `overlap` seconds, or units, before a value."""
    if isinstance(value, int):
        return value - int(overlap)
    if isinstance(value, str):
        # Cut, at the latest at the second: it must sort before the same moment written more exactly.
        return _written(earlier(_moment(value) or datetime.min, overlap), value)[: len(value)]
    try:
        return value - timedelta(seconds=overlap)
    except OverflowError:
        return value.min


def not_after(value: Watermark, now: datetime) -> Watermark:
    """Return a value, or `now` where it lies in the future: one wrong row must not hide all that come.

    `now` is in UTC; a moment without a time zone may be up to 14 hours ahead of it.
    """
    if isinstance(value, int):
        return value
    latest = now + ZONES
    if isinstance(value, datetime):
        return min(value, now if value.tzinfo else latest.replace(tzinfo=None))
    if isinstance(value, str):
        moment = _moment(value) or datetime.max
        late = latest.replace(tzinfo=moment.tzinfo) if moment.tzinfo else latest.replace(tzinfo=None)
        return value if moment <= late else _written(late, value)
    return min(value, latest.date())


def is_past(value: Watermark, now: datetime, overlap: float) -> bool:
    """Whether all changes with this watermark can be seen by `now` in UTC, late as they may have committed.

    So it is after twice the overlap and a minute, for clocks that differ and columns that hold seconds only.
    Of a number it can't be said.
    """
    if isinstance(value, int):
        return False
    moment = _moment(value) or datetime.max if isinstance(value, str) else value
    if not isinstance(moment, datetime) or (isinstance(value, str) and len(value) <= 10):
        moment = datetime.combine(moment, time.max)
    before = now - timedelta(seconds=2 * overlap + 60)
    return moment < (before if moment.tzinfo else (before - ZONES).replace(tzinfo=None))


@dataclass(frozen=True, slots=True)
class SavedWatermark:
    """A watermark as it is saved: `kind` tells a moment from the text of one."""

    value: Watermark

    def as_json(self) -> JsonObject:
        """Return it as JSON: {"kind", "value"}, moments in ISO 8601."""
        value = self.value
        if isinstance(value, int | str):
            return {"kind": "number" if isinstance(value, int) else "text", "value": value}
        return {"kind": "moment" if isinstance(value, datetime) else "date", "value": value.isoformat()}

    @classmethod
    def of_json(cls, saved: Mapping[str, object]) -> "SavedWatermark":
        """Return what `as_json` made. Raises CatalogueError for anything else."""
        kind, value = saved.get("kind"), saved.get("value")
        try:
            if kind == "number" and isinstance(value, int):
                return cls(value)
            if kind == "text" and isinstance(value, str):
                return cls(value)
            if kind == "moment" and isinstance(value, str):
                return cls(datetime.fromisoformat(value))
            if kind == "date" and isinstance(value, str):
                return cls(date.fromisoformat(value))
        except ValueError:
            pass
        raise CatalogueError(f"the saved watermark {dict(saved)!r} is none: remove it, and all rows are read")


def version_of(value: Watermark) -> int:
    """Return the version that a row with this watermark has. Raises BadValue where it is negative."""
    return values.parse_version(value)


def utc_now() -> datetime:
    """Return this moment."""
    return datetime.now(UTC)


def _moment(text: str) -> datetime | None:
    if not _TEXT.match(text):
        return None
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None


def _written(moment: Watermark, like: str) -> str:
    return f"{moment:%Y-%m-%d{like[10:11] or ' '}%H:%M:%S}"
