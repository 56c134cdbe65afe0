"""Read one cell as text, attribute, id, version or address. Each function raises BadValue where it can't.

Prices, availability and status have modules of their own.
"""

import math
import re
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal, InvalidOperation

from indexer.catalogue.nested import (
    LISTING_STARTS,
    MAX_ELEMENTS,
    MAX_NESTING,
    choose_language,
    object_address,
    object_text,
    parse_listing,
)
from mappings.types import AttributeValue
from reranker.text.product_text import format_number

NUMBERS = (int, float, Decimal)
"""Types of numbers in cells. A bool is one too, for `isinstance`; a tuple is checked faster than a union."""

_MAX_ATTRIBUTE = 8000
"""Characters of one attribute value. OpenSearch refuses a document with a term above 32,766 bytes."""

_MAX_VERSION = 2**63 - 1
"""OpenSearch holds external versions as signed 64-bit numbers."""

_MAX_ID_BYTES = 512
_MAX_ADDRESS = 4096
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NUMBER = re.compile(r"[-+]?\d{1,400}(\.\d{0,400})?(e[-+]?\d{1,3})?", re.ASCII | re.IGNORECASE)
_NEXT_URL = re.compile(r"\s*[,;|\n]\s*(?=https?://|//)|\s+(?=https?://)")
_NEXT_PATH = re.compile(r"\s*[,;|\n]\s*")


class BadValue(Exception):
    """A cell can't be read as what its field needs. The message says what it holds."""


def parse_text(value: object, clean: Callable[[str], str], joint: str = ", ") -> str:
    """Return a cell as clean text. Lists are joined by `joint`; absent values are empty."""
    if isinstance(value, str) and value[:1] not in LISTING_STARTS:
        return clean(value)
    return joint.join(dict.fromkeys(_texts(value, clean, 0)))


def parse_attribute(value: object, clean: Callable[[str], str]) -> AttributeValue | None:
    """Return an attribute's value, None where there is none. Lists are several values."""
    if isinstance(value, str):
        return None if not value else parse_text(value, clean)[:_MAX_ATTRIBUTE].rstrip() or None
    if isinstance(value, bool):
        return value
    if isinstance(value, NUMBERS):
        return to_float(value)
    if isinstance(value, list | tuple):
        texts = [text for element in value for text in _texts(element, clean, 1)]
        values = tuple(dict.fromkeys(text[:_MAX_ATTRIBUTE].rstrip() for text in texts))
        return values if len(values) > 1 else next(iter(values), None)
    return parse_text(value, clean)[:_MAX_ATTRIBUTE].rstrip() or None


def parse_id(value: object, clean: Callable[[str], str]) -> str:
    """Return an id as text: whole numbers without a decimal point, text trimmed but otherwise unchanged."""
    if isinstance(value, str):
        identifier = clean(value)
    elif value is None or (isinstance(value, float) and math.isnan(value)):
        identifier = ""
    elif isinstance(value, int) and not isinstance(value, bool):
        identifier = _digits(value)
    elif (
        isinstance(value, float | Decimal) and (number := to_float(value)) is not None and number.is_integer()
    ):
        identifier = _digits(int(value))
    else:
        raise BadValue(f"wrong type: id {show_cell(value)} is neither text nor a whole number")
    if not identifier:
        raise BadValue("no id")
    if len(identifier.encode()) > _MAX_ID_BYTES:
        raise BadValue(f"the id is longer than OpenSearch's {_MAX_ID_BYTES} bytes")
    return identifier


def parse_version(value: object) -> int:
    """Return a record's version: a whole number as it is, a moment as milliseconds since 1970.

    Moments are dates and times or their ISO 8601 text; without a time zone they are UTC.
    """
    cell = _number_or_moment(value.strip()) if isinstance(value, str) else value
    if cell is None or (isinstance(cell, float | Decimal) and math.isnan(cell)):
        raise BadValue("no version")
    number = Decimal(-1)
    if isinstance(cell, date):
        moment = cell if isinstance(cell, datetime) else datetime.combine(cell, time())
        zoned = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        number = Decimal((zoned - _EPOCH) // timedelta(milliseconds=1))
    elif isinstance(cell, NUMBERS) and not isinstance(cell, bool):
        number = Decimal(cell)
    if not 0 <= number <= _MAX_VERSION or number != int(number):
        raise BadValue(
            f"wrong type: version {show_cell(value)} is neither a whole number of 0 to {_MAX_VERSION} "
            "nor a date since 1970"
        )
    return int(number)


def parse_url(value: object, clean: Callable[[str], str] = str.strip) -> str:
    """Return an address, or the first of several in a list, an object such as {src} or a joined text."""
    value = parse_listing(value)
    for _ in range(MAX_NESTING):
        if isinstance(value, list | tuple):
            value = next((cell for cell in value if cell), None)
        elif isinstance(value, dict):
            value = object_address(value)
        else:
            break
    if value is None:
        return ""
    if not isinstance(value, str):
        raise BadValue(f"wrong type: {show_cell(value)} is not an address")
    text = clean(value[: 10 * _MAX_ADDRESS])
    separator = _NEXT_URL if text.startswith(("http://", "https://", "//", "data:")) else _NEXT_PATH
    first = separator.split(text, maxsplit=1)[0].rstrip(",;| ")
    if len(first) > _MAX_ADDRESS or first.startswith("data:"):
        raise BadValue(f"{show_cell(first)} is longer than an address may be")
    return "" if first == "no_selection" else first


def parse_moment(value: object) -> datetime | None:
    """Return a date or time of a catalogue in UTC, None where the cell is empty.

    Text is ISO 8601, `2026-12-24 18:00`, `24.12.2026`, or seconds since 1970. Raises BadValue for other text.
    """
    if value is None or (
        isinstance(value, str) and value.strip() in ("", "0", "0000-00-00", "0000-00-00 00:00:00")
    ):
        return None
    cell: object = _number_or_moment(_iso_text(value.strip())) if isinstance(value, str) else value
    if isinstance(cell, date):
        moment = cell if isinstance(cell, datetime) else datetime.combine(cell, time())
        return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    if isinstance(cell, NUMBERS) and not isinstance(cell, bool):
        seconds = to_float(cell) or 0.0
        seconds = seconds / 1000 if seconds > 1e11 else seconds
        if 1e8 < seconds < 1e11:
            return _EPOCH + timedelta(seconds=seconds)
    raise BadValue(f"wrong type: {show_cell(value)} is not a date")


def to_float(value: float | Decimal) -> float | None:
    """Return a number as a float, None for infinity and not-a-number. Raises BadValue if it is too large."""
    try:
        number = float(value)
    except (OverflowError, ValueError) as error:
        raise BadValue(f"the number {show_cell(value)} is out of range") from error
    return number if math.isfinite(number) else None


def show_cell(value: object) -> str:
    """Return a cell for a message, at most 60 characters long."""
    if isinstance(value, int) and not isinstance(value, bool):
        shown = _digits(value)
    else:
        shown = repr(str(value) if isinstance(value, date | Decimal) else _head(value))
    return shown if len(shown) <= 60 else shown[:57] + "..."


def _texts(value: object, clean: Callable[[str], str], depth: int) -> list[str]:
    value = parse_listing(value)
    if isinstance(value, dict):
        inner = object_text(value)
        if inner is None and value:
            raise BadValue(f"wrong type: {show_cell(value)} is not text")
        return _texts(inner, clean, depth + 1) if depth < MAX_NESTING else []
    if isinstance(value, list | tuple):
        if depth >= MAX_NESTING:
            return []
        elements = choose_language(value[:MAX_ELEMENTS])
        return [text for cell in elements for text in _texts(cell, clean, depth + 1)]
    if isinstance(value, bytes | bool):
        raise BadValue(f"wrong type: {show_cell(value)} is not text")
    if isinstance(value, str):
        text = clean(value)
    elif value is None or (isinstance(value, float | Decimal) and not math.isfinite(value)):
        text = ""
    elif isinstance(value, int):
        text = _digits(value)
    else:
        text = clean(format_number(value) if isinstance(value, float) else str(value))
    return [text] if text else []


def _digits(number: int) -> str:
    """Return a whole number as text. Python refuses to print more than 4,300 digits."""
    if abs(number) >= 10**400:
        raise BadValue("a number of more than 400 digits is out of range")
    return str(number)


def _head(value: object) -> object:
    """Return as much of a cell as a message needs, so that a large one costs nothing."""
    if isinstance(value, str | bytes):
        return value[:100]
    if isinstance(value, list | tuple):
        return [_head(element) for element in value[:3]]
    if isinstance(value, dict):
        return {str(key)[:40]: _head(inner) for key, inner in list(value.items())[:3]}
    return (
        f"number of {value.bit_length()} bits" if isinstance(value, int) and abs(value) >= 10**400 else value
    )


def _number_or_moment(value: str) -> Decimal | datetime | str | None:
    if not value:
        return None
    if _NUMBER.fullmatch(value):
        try:
            return Decimal(value)
        except InvalidOperation:
            return value
    try:
        return datetime.fromisoformat(value)
    except ValueError:
        return value


def _iso_text(text: str) -> str:
    """Return a date with the day first, as 24.12.2026, in the order of ISO 8601."""
    if match := re.fullmatch(r"(\d{1,2})[./](\d{1,2})[./](\d{4})(?:\s+(\d{2}:\d{2}(?::\d{2})?))?", text):
        day, month, year, clock = match.groups()
        if int(month) > 12 and "/" in text:  # 12/24/2026, as in the United States
            day, month = month, day
        return f"{year}-{month:0>2}-{day:0>2}" + (f"T{clock}" if clock else "")
    return text.replace("/", "-") if re.match(r"\d{4}/", text) else text
