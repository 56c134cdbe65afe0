"""Read whether a product can be bought, and whether it is for sale at all."""

import re
import unicodedata
from datetime import datetime

from indexer.catalogue.nested import parse_listing
from indexer.catalogue.values import NUMBERS, BadValue, parse_moment, show_cell, to_float
from indexer.catalogue.wordings import (
    AVAILABLE_PARTS,
    AVAILABLE_WORDS,
    DELIVERY_PARTS,
    DURATION_UNITS,
    FOR_SALE_WORDS,
    NOT_FOR_SALE_WORDS,
    UNAVAILABLE_PARTS,
    UNAVAILABLE_WORDS,
)

_MAX_CHARACTERS = 200
_UNKNOWN = (
    "",
    "-",
    "--",
    "–",
    "—",
    "?",
    ".",
    "na",
    "null",
    "nan",
    "unknown",
    "unspecified",
    "notset",
    "undefined",
)
_KEYS = (
    "available",
    "availability",
    "in_stock",
    "is_in_stock",
    "stock_status",
    "quantity",
    "qty",
    "stock",
    "status",
)
_SCHEMA = re.compile(r"^(?:https?://)?(?:www\.)?schema(?:\.org/|:)", re.IGNORECASE)
_NUMBER = re.compile(r"-?\d[\d.,']*")
_QUANTITY_WORDS = (
    r"pcs?|pieces?|items?|units?|stück|stk|st|szt|sztuk\w*|pièces?|unidades|uds?|pezz[oi]|pz|stuks?|"
    r"个|個|件|点|台|left|x|more than|over|at least|up to|only|nur noch|noch|mehr als|über|plus de|más de|"
    r"più di|meer dan|ponad|qty|quantity|stock|bestand|and more|or more|in stock|on hand|available|"
    r"auf lager|verfügbar|en stock|disponibles?|op voorraad"
)
_LEVEL = r"-?\d[\d.,']*"
_QUANTITY = re.compile(
    rf"(?:{_QUANTITY_WORDS}|[<>≥≤~+=:()\s-])*"
    rf"(?:{_LEVEL}(?:\s*(?:-|–|to|bis)\s*\d[\d.,']*)?)"
    rf"(?:{_QUANTITY_WORDS}|[+.()\s])*"
)
_DURATION = re.compile(rf"\d+\s*(?:{DURATION_UNITS})(?![a-z])")
_ANY_DATE = re.compile(r"\b\d{4}-\d{2}-\d{2}|\b\d{1,2}[./]\d{1,2}[./]\d{4}\b")


def parse_available(value: object) -> bool | None:
    """Return whether a product can be bought or ordered, None where the cell is empty.

    A number is a stock level, `>100` and `5-10` are more than nothing. A delivery time or date means that the
    product can be ordered. Raises BadValue for a wording that is not known.
    """
    value = parse_listing(value)
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, NUMBERS):
        number = to_float(value)
        return None if number is None else number > 0
    if isinstance(value, str):
        return value.strip("0") != "" if value.isdigit() else _parse_text(value)
    if isinstance(value, dict):
        value = [value[key] for key in _KEYS if key in value][:1] or ["unknown object"]
    if isinstance(value, list | tuple):
        answers = [
            parse_available(element) for element in value[:1000] if not isinstance(element, list | tuple)
        ]
        return True if True in answers else False if False in answers else None
    raise BadValue(f"wrong type: available {show_cell(value)} is neither yes nor no nor a stock level")


def parse_for_sale(value: object) -> bool | None:
    """Return whether a product may be found by shoppers, None where the cell is empty.

    False for drafts, archived, hidden and disabled products. Raises BadValue for a wording that is not known.
    """
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, NUMBERS):
        number = to_float(value)
        return None if number is None else number > 0
    if isinstance(value, list | tuple):
        answers = [
            parse_for_sale(element) for element in value[:100] if isinstance(element, str | bool | int)
        ]
        return False if False in answers else True if True in answers else None
    if isinstance(value, str):
        if not value.strip():
            return None
        word = _compact(value)
        if word in NOT_FOR_SALE_WORDS or value.strip() == "-1":
            return False
        if word in FOR_SALE_WORDS:
            return True
    raise BadValue(f"wrong type: status {show_cell(value)} is not known")


def has_ended(value: object, now: datetime) -> bool:
    """Return whether the last day or moment of sale is past. Raises BadValue for what is not a date."""
    moment = parse_moment(value)
    if moment is None:
        return False
    return moment.date() < now.date() if moment.time() == moment.min.time() else moment < now


def _parse_text(value: str) -> bool | None:
    text = " ".join(unicodedata.normalize("NFKC", value[: 4 * _MAX_CHARACTERS]).casefold().split())[
        :_MAX_CHARACTERS
    ]
    text = _SCHEMA.sub("", text)
    word = _compact(text) or text  # a sign such as ✓ is no letter
    if word in _UNKNOWN:
        return None
    if _QUANTITY.fullmatch(text):
        return _is_stock(text)
    if word in AVAILABLE_WORDS:
        return True
    if word in UNAVAILABLE_WORDS:
        return False
    if any(part in text for part in UNAVAILABLE_PARTS):
        return False
    numbers = _NUMBER.findall(text)
    duration = _DURATION.search(text)
    if any(part in text for part in AVAILABLE_PARTS):
        return duration is not None or not numbers or _is_stock(text)
    if duration or any(part in text for part in DELIVERY_PARTS) or _is_date(text):
        return True
    raise BadValue(f"wrong type: available {show_cell(value)} is neither yes nor no nor a stock level")


def _is_stock(text: str) -> bool:
    """Return whether a number in a quantity is above 0; `<1` is none."""
    numbers = [number.replace(",", "").replace("'", "").strip(".") for number in _NUMBER.findall(text)]
    negative = text.startswith("-")
    levels = [
        float(number) if number.count(".") < 2 else 1.0 for number in numbers if number not in ("", "-")
    ]
    levels = [abs(level) for level in levels] if not negative else levels
    return any(level > 0 for level in levels) and not re.match(r"<\s*1\b(?![.,]?\d)", text)


def _is_date(text: str) -> bool:
    try:
        return parse_moment(text) is not None
    except BadValue:
        return bool(_ANY_DATE.search(text))


def _compact(text: str) -> str:
    return re.sub(r"[^\w,]+|_+", "", unicodedata.normalize("NFKC", text[:_MAX_CHARACTERS]).casefold())
