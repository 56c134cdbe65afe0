"""One cell of a catalogue → a price, a yes or no, a line of text. Each raises BadValue for a wrong type."""

import math
import re
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal, InvalidOperation

from mappings.types import AttributeValue
from reranker.text.product_text import format_number

_YES = "true yes y 1 t available in_stock instock preorder backorder onbackorder 有货 有"
_NO = "false no n 0 f unavailable out_of_stock outofstock sold_out soldout discontinued 无货 缺货 无"

_MAX_ATTRIBUTE = 8000
"""Characters kept of one attribute: OpenSearch refuses a document with a term above 32,766 bytes."""


_MAX_VERSION = 2**63 - 1
"""OpenSearch holds external versions as signed 64-bit numbers."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NUMBER = re.compile(r"[-+]?\d+(\.\d*)?(e[-+]?\d{1,3})?", re.ASCII | re.IGNORECASE)


class BadValue(Exception):
    """A cell is not of the kind that its field needs; the message says what it is instead."""


def parse_text(value: object, clean: Callable[[str], str], joint: str = ", ") -> str:
    """Return a cell as clean text; lists are joined by `joint`, absent values are empty."""
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, list | tuple):
        return joint.join(part for cell in value if (part := parse_text(cell, clean, joint)))
    if isinstance(value, dict | bytes | bool):
        raise BadValue(f"wrong type: {_show(value)} is not text")
    return "" if _absent(value) else clean(format_number(value) if isinstance(value, float) else str(value))


def parse_price(value: object, scale: float) -> float | None:
    """Return a price times `scale`, None where there is none.

    Text may carry a currency (`$1,299.00`, `15.00 USD`, `1.299,00 €`). Of two kinds of separators the last is
    the decimal one; a lone comma before exactly three digits separates thousands.
    """
    if isinstance(value, str):
        if not value.strip():
            return None
        amount = _amount(value)
    elif isinstance(value, int | float | Decimal) and not isinstance(value, bool):
        if _absent(value):
            return None
        amount = float(value)
    elif value is None:
        return None
    else:
        raise BadValue(f"wrong type: price {_show(value)} is not a number")
    if not (math.isfinite(amount) and amount >= 0):
        raise BadValue(f"price {_show(value)} is out of range")
    return round(amount * scale, 6)


def parse_available(value: object) -> bool | None:
    """Return whether a product can be bought; None where the cell is empty. A number is a stock level."""
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, int | float | Decimal):
        return None if _absent(value) else value > 0
    if isinstance(value, str):
        word = re.sub(r"[\s_-]+", "_", value.strip().casefold())
        if not word:
            return None
        if word in _YES.split():
            return True
        if word in _NO.split():
            return False
        if re.fullmatch(r"-?\d+(\.\d+)?", value.strip()):
            return float(value) > 0
    raise BadValue(f"wrong type: available {_show(value)} is neither yes nor no nor a stock level")


def parse_attribute(value: object, clean: Callable[[str], str]) -> AttributeValue | None:
    """Return an attribute's value, None where there is none. Lists become one text."""
    if isinstance(value, bool):
        return value
    if isinstance(value, int | float | Decimal):
        return None if _absent(value) else float(value)
    return parse_text(value, clean)[:_MAX_ATTRIBUTE].rstrip() or None


def parse_id(value: object, clean: Callable[[str], str]) -> str:
    """Return an id as text: whole numbers without a decimal point, text trimmed but otherwise as it is."""
    if isinstance(value, str):
        found = clean(value)
    elif value is None or (isinstance(value, float) and math.isnan(value)):
        found = ""
    elif isinstance(value, int) and not isinstance(value, bool):
        found = str(value)
    elif isinstance(value, float) and value.is_integer():
        found = str(int(value))
    else:
        raise BadValue(f"wrong type: id {_show(value)} is neither text nor a whole number")
    if not found:
        raise BadValue("no id")
    if len(found.encode()) > 512:
        raise BadValue("the id is longer than OpenSearch's 512 bytes")
    return found


def parse_version(value: object) -> int:
    """Return a record's version: a whole number as it stands, a moment as milliseconds since 1970.

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
    elif isinstance(cell, int | float | Decimal) and not isinstance(cell, bool):
        number = Decimal(cell)
    if not 0 <= number <= _MAX_VERSION or number != int(number):
        raise BadValue(
            f"wrong type: version {_show(value)} is neither a whole number of 0 to {_MAX_VERSION} "
            "nor a date since 1970"
        )
    return int(number)


def parse_url(value: object) -> str:
    """Return an address, the first of a list of them, as it is."""
    if isinstance(value, list | tuple):
        value = next((cell for cell in value if cell), None)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise BadValue(f"wrong type: {_show(value)} is not an address")
    return value.strip()


def _amount(value: str) -> float:
    digits = re.findall(r"[-−]?\d[\d.,'’\s]*", value)
    if len(digits) != 1:
        raise BadValue(f"wrong type: price {_show(value)} is not a number")
    plain = re.sub(r"['’\s−]", lambda match: "-" if match[0] == "−" else "", digits[0]).rstrip(".,")
    decimal = max(plain.rfind("."), plain.rfind(","))
    mark = plain[decimal] if decimal >= 0 else ""
    other = {".": ",", ",": ".", "": ""}[mark]
    thousands = plain.count(mark) > 1 or (mark == "," and other not in plain and re.search(r",\d{3}$", plain))
    if mark and thousands:
        plain = plain.replace(",", "").replace(".", "")
    elif mark:
        plain = plain[:decimal].replace(other, "") + "." + plain[decimal + 1 :]
    try:
        return float(Decimal(plain))
    except InvalidOperation as error:
        raise BadValue(f"wrong type: price {_show(value)} is not a number") from error


def _number_or_moment(value: str) -> Decimal | datetime | str | None:
    if not value:
        return None
    if _NUMBER.fullmatch(value):
        return Decimal(value)
    try:
        return datetime.fromisoformat(value)
    except ValueError:
        return value


def _absent(value: object) -> bool:
    if isinstance(value, float):
        return not math.isfinite(value)
    if isinstance(value, Decimal):
        return not value.is_finite()
    return value is None


def _show(value: object) -> str:
    shown = repr(str(value) if isinstance(value, date | Decimal) else value)
    return shown if len(shown) <= 60 else shown[:57] + "..."
