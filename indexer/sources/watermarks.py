"""Watermarks: how far a table's changes have been read.

A watermark is a value of the column that grows with each change: a whole number, a date, a moment, or the
ISO 8601 text of a moment, as SQLite stores it.
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
"""A datetime is a date in Python. Text is the ISO 8601 text of a moment."""

OVERLAP_SECONDS = 60.0
"""Each poll reads again so many seconds, or units of a number, since transactions may commit late."""

_LARGEST_ZONE = timedelta(hours=14)
"""The largest distance of a clock without a time zone from UTC."""

_TEXT = re.compile(r"\d{4}-\d\d-\d\d([ T]\d\d:\d\d|$)", re.ASCII)
"""The text forms that sort as their moments do."""


class WatermarkStore(Protocol):
    """Keeps the watermarks of one alias from run to run."""

    def load(self, key: str) -> JsonObject | None:
        """Return the value saved under `key`, None where there is none."""
        ...

    def save(self, key: str, value: JsonObject) -> None:
        """Save `value` under `key`."""
        ...


def parse_watermark(cell: object) -> Watermark:
    """Return the watermark in a cell. Raises BadValue where there is none."""
    if isinstance(cell, Decimal) and cell == cell.to_integral_value():
        return int(cell)
    if isinstance(cell, datetime) and cell.tzinfo:
        return cell.astimezone(UTC)  # Python compares moments of one other zone by wall clock
    if isinstance(cell, int | date) and not isinstance(cell, bool):
        return cell
    if isinstance(cell, str) and _moment(cell):
        return cell
    shown = repr(cell) if len(repr(cell)) <= 60 else repr(cell)[:57] + "..."
    raise BadValue(f"wrong type: watermark {shown} is neither a whole number nor a moment")


def earlier(value: Watermark, overlap: float) -> Watermark:
    """Return the watermark `overlap` seconds, or units, before a value."""
    if isinstance(value, int):
        return value - int(overlap)
    if isinstance(value, str):
        # Cut to the second at most: it must sort before the same moment written with more digits.
        return _format_like(earlier(_moment(value) or datetime.min, overlap), value)[: len(value)]
    try:
        return value - timedelta(seconds=overlap)
    except OverflowError:
        return value.min


def not_after(value: Watermark, now: datetime) -> Watermark:
    """Return the earlier of a value and `now`: a row dated in the future must not hide later rows.

    `now` is in UTC; a moment without a time zone may be up to 14 hours ahead of it.
    """
    if isinstance(value, int):
        return value
    latest = now + _LARGEST_ZONE
    if isinstance(value, datetime):
        return min(value, now if value.tzinfo else latest.replace(tzinfo=None))
    if isinstance(value, str):
        moment = _moment(value) or datetime.max
        late = latest.replace(tzinfo=moment.tzinfo) if moment.tzinfo else latest.replace(tzinfo=None)
        return value if moment <= late else _format_like(late, value)
    return min(value, latest.date())


def is_past(value: Watermark, now: datetime, overlap: float) -> bool:
    """Whether every change with this watermark is visible at `now` in UTC, however late it committed.

    That is the case after twice the overlap plus one minute, which allows for differing clocks and columns
    that hold whole seconds. It is never known of a number.
    """
    if isinstance(value, int):
        return False
    moment = _moment(value) or datetime.max if isinstance(value, str) else value
    if not isinstance(moment, datetime) or (isinstance(value, str) and len(value) <= 10):
        moment = datetime.combine(moment, time.max)
    before = now - timedelta(seconds=2 * overlap + 60)
    return moment < (before if moment.tzinfo else (before - _LARGEST_ZONE).replace(tzinfo=None))


@dataclass(frozen=True, slots=True)
class SavedWatermark:
    """A watermark as JSON. Its `kind` tells a moment from the text of a moment."""

    value: Watermark

    def as_json(self) -> JsonObject:
        """Return {"kind", "value"}, with moments in ISO 8601."""
        value = self.value
        if isinstance(value, int | str):
            return {"kind": "number" if isinstance(value, int) else "text", "value": value}
        return {"kind": "moment" if isinstance(value, datetime) else "date", "value": value.isoformat()}

    @classmethod
    def from_json(cls, saved: Mapping[str, object]) -> "SavedWatermark":
        """Read the result of `as_json`. Raises CatalogueError for anything else."""
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
        raise CatalogueError(f"the saved watermark {dict(saved)!r} is not valid: remove it to read all rows")


def watermark_version(value: Watermark) -> int:
    """Return the version of a row with this watermark. Raises BadValue where it is negative."""
    return values.parse_version(value)


def utc_now() -> datetime:
    """Return the present moment in UTC."""
    return datetime.now(UTC)


def _moment(text: str) -> datetime | None:
    if not _TEXT.match(text):
        return None
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None


def _format_like(moment: Watermark, like: str) -> str:
    return f"{moment:%Y-%m-%d{like[10:11] or ' '}%H:%M:%S}"
