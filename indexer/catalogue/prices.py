"""Read prices as shops write them: `.99`, `1.299,00 €`, `from 9.90`, `10 - 20`, `₹1,23,456`, `2 for 5.00`.

Whether the dot in `1.299` separates thousands or decimals is judged over the whole column (`judge_decimal`):
a column with `19,90 €` in it has decimal commas. Where the column does not tell, three digits after a comma
are thousands, and after a dot they are decimals unless a currency stands beside them.

price-parser reads single prices, but it judges each by itself (1.299 is 1299), takes the 2 of `2 for 5.00`,
and with a decimal comma given reads 12.99 as 1299, so that one odd cell of a column becomes a hundred times
too dear.
"""

import math
import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise

from indexer.catalogue.currencies import THREE_DECIMALS, find_currency, parse_currency
from indexer.catalogue.nested import parse_listing
from indexer.catalogue.values import NUMBERS, BadValue, show_cell, to_float
from indexer.catalogue.wordings import FREE_WORDS, NO_PRICE_WORDS

_SPACED = re.compile(r"(?<=\d)[ '’´`](?=\d{3}(?!\d))")
_NO_CENTS = re.compile(r"([.,])[-–—]{1,2}(?!\d)")
_TOKEN = re.compile(r"(?<![\dA-Za-z])[.,]\d+|\d+(?:[.,]\d+)*")
_PLAIN = re.compile(r"\d{1,9}(?:\.\d{1,2})?", re.ASCII)
_SCIENTIFIC = re.compile(r"\d{1,30}(?:\.\d{1,30})?e[-+]?\d{1,2}", re.ASCII | re.IGNORECASE)
_PER = re.compile(
    r"/|\b(?:per|pro|je|par|por|al|each|inkl|incl|excl|exkl|zzgl|plus|uvp|rrp|msrp|statt|instead)\b"
)
_BRACKETS = re.compile(r"[(\[][^()\[\]]*[)\]]")
_RANGE = re.compile(r"\s*(?:[-–—~～]|to|bis|à|a|al|hasta|tot|do|until|至|から|and|und)\s*")
_MULTIBUY = re.compile(
    r"(\d{1,3})\s*(?:for|für|fuer|pour|por|voor|za|x|×|stk\.?|pcs|/(?=\s*[$€£]))\s*\D{0,4}(?=[.,]?\d)"
)
_CENTS = re.compile(r"\s*(?:¢|p|ct|cts|cent|cents)\.?")
_FACTOR = re.compile(r"\s*%|[km]\b")
_GROUPS = re.compile(r"\d{1,3}([.,])(?:\d{2,3}\1)*\d{3}")
_LETTERS = re.compile(r"[^\W\d_]+\$?|[$€£¥￥₹₽₺₴₩฿₫₪₱¢]|[A-Z]{1,2}\$")
_MAX_CHARACTERS = 200


@dataclass(frozen=True, slots=True)
class Price:
    """An amount in the unit of the catalogue's currency, and the code of ISO 4217 where it is known."""

    amount: float
    currency: str = ""


def parse_price(value: object, scale: float = 1.0, decimal: str = "") -> Price | None:
    """Return a price times `scale`, None where the cell has none, as `N/A` and `price on request`.

    `decimal` is the column's decimal separator, `.` or `,`, empty where that is not known. A range has its
    lowest price, `2 for 5.00` that of one. Raises BadValue for what is not a price.
    """
    if isinstance(value, str):
        if _PLAIN.fullmatch(value):
            return Price(round(float(value) * scale, 6))
        price = _parse_text(value, decimal)
    else:
        price = _parse_value(value, decimal)
    if price is None:
        return None
    if not (math.isfinite(price.amount) and 0 <= price.amount < 1e15):
        raise BadValue(f"price {show_cell(value)} is out of range")
    return Price(round(price.amount * scale, 6), price.currency)


def judge_decimal(cells: Iterable[object]) -> str:
    """Return the decimal separator of a column of prices, `.` or `,`, empty where its cells do not tell."""
    votes = {".": 0, ",": 0}
    for cell in cells:
        if not isinstance(cell, str):
            continue
        text = _tidy(cell)
        currency = find_currency(text)
        for token in _TOKEN.findall(_PER.split(text.casefold())[0]):
            certain = _certain_decimal(token)
            if certain:
                votes[certain] += 1
            elif not token.isdigit() and currency and currency not in THREE_DECIMALS:
                votes["," if "." in token else "."] += 1  # 1.299 € has thousands
    if votes["."] != votes[","]:
        return "." if votes["."] > votes[","] else ","
    return ""


def _parse_value(value: object, decimal: str) -> Price | None:
    if value is None:
        return None
    if isinstance(value, bool):
        raise BadValue(f"wrong type: price {show_cell(value)} is not a number")
    if isinstance(value, NUMBERS):
        amount = to_float(value)
        return None if amount is None else Price(amount)
    if isinstance(value, dict):
        currency = next((parse_currency(value[key]) for key in value if "currency" in str(key).lower()), "")
        if value and all(str(key).upper() == find_currency(str(key)) for key in value):
            currency, value = next(iter(value.items()))
            price = parse_price(value, decimal=decimal)
            return price and Price(price.amount, str(currency).upper())
        for key in (
            "gross",
            "amount",
            "value",
            "price",
            "current",
            "min",
            "sale",
            "final",
            "regular",
            "list",
            "data",
        ):
            if value.get(key) not in (None, ""):
                price = parse_price(value[key], decimal=decimal)
                return price and Price(price.amount, price.currency or currency)
        value = [inner for inner in value.values() if isinstance(inner, dict)] or ["no amount"]
    if isinstance(value, list | tuple):
        prices = [price for cell in value[:100] if (price := parse_price(cell, decimal=decimal))]
        if prices or not value:
            return min(prices, key=lambda price: price.amount, default=None)
    raise BadValue(f"wrong type: price {show_cell(value)} is not a number")


def _parse_text(value: str, decimal: str) -> Price | None:
    if len(value) > _MAX_CHARACTERS:
        value = value.strip()[:_MAX_CHARACTERS]
    listing = parse_listing(value)
    if not isinstance(listing, str):
        return _parse_value(listing, decimal)
    text = _tidy(value)
    lower = text.casefold()
    if not text or lower.replace(" ", "") in NO_PRICE_WORDS:
        return None
    if lower.replace(" ", "") in FREE_WORDS:
        return Price(0.0)
    currency = find_currency(text)
    if _SCIENTIFIC.fullmatch(text):
        return Price(float(text))
    if multibuy := _MULTIBUY.match(lower):
        token = _TOKEN.search(lower, multibuy.end())
        count = int(multibuy[1])
        if token and count:
            return Price(_amount(token[0], decimal, currency) / count, currency)
    lower = _BRACKETS.sub(" ", lower) if _TOKEN.search(_BRACKETS.sub(" ", lower)) else lower
    first = _PER.split(lower)[0]
    lower = first if _TOKEN.search(first) else lower
    tokens = list(_TOKEN.finditer(lower))
    if not tokens:
        raise BadValue(f"wrong type: price {show_cell(value)} is not a number")
    if re.search(r"[-−]\s*[$€£¥₹]?\s*$", lower[: tokens[0].start()]) and not re.search(
        r"[^\W\d_]", lower[: tokens[0].start()]
    ):
        raise BadValue(f"price {show_cell(value)} is out of range")
    if len(tokens) > 1 and not _are_prices(lower, tokens):
        raise BadValue(f"wrong type: price {show_cell(value)} is more than one number")
    if any(_FACTOR.match(lower, token.end()) for token in tokens):
        raise BadValue(f"wrong type: price {show_cell(value)} is not an amount of money")
    amounts = [_amount(token[0], decimal, currency) for token in tokens]
    amount = min(amounts)
    if _CENTS.fullmatch(lower[tokens[-1].end() :]) and tokens[-1][0].isdigit() and len(tokens) == 1:
        return Price(amount / 100, currency)
    if lower[tokens[-1].end() :].strip()[:1] in ("万", "萬"):
        amount *= 10_000
    return Price(amount, currency)


def _are_prices(text: str, tokens: list[re.Match[str]]) -> bool:
    """Return whether several numbers are a range or each have a currency or cents beside them."""
    between = [text[a.end() : b.start()] for a, b in pairwise(tokens)]
    if len(tokens) == 2 and _RANGE.fullmatch(_strip_currency(between[0])):
        return True
    return all(re.search(r"[.,]\d\d$", token[0]) for token in tokens)


def _strip_currency(text: str) -> str:
    return _LETTERS.sub(
        lambda match: "" if find_currency(match[0].upper()) or match[0] in "¥￥kr" else match[0], text
    )


def _amount(token: str, decimal: str, currency: str) -> float:
    separator = _certain_decimal(token)
    if not separator and not token.isdigit():
        mark = "." if "." in token else ","
        if token.count(mark) > 1:
            if not _GROUPS.fullmatch(token.split("," if mark == "." else ".")[0]):
                raise BadValue(f"wrong type: {token} is not an amount of money")
        elif decimal:
            separator = mark if mark == decimal else ""
        else:
            separator = mark if mark == "." and (not currency or currency in THREE_DECIMALS) else ""
    if not separator:
        return float(re.sub(r"[.,]", "", token))
    units, _, cents = token.rpartition(separator)
    return float(f"{re.sub(r'[.,]', '', units) or '0'}.{cents}")


def _certain_decimal(token: str) -> str:
    """Return the decimal separator of a number where the number itself tells, else an empty text."""
    last = max(token.rfind("."), token.rfind(","))
    if last < 0:
        return ""
    mark = token[last]
    other = "," if mark == "." else "."
    if other in token:
        return "" if token.count(mark) > 1 else mark
    if token.count(mark) > 1:
        return ""
    units, digits = token[:last], token[last + 1 :]
    thousands = len(digits) == 3 and 1 <= len(units) <= 3 and not units.startswith("0")
    return "" if thousands else mark


def _tidy(value: str) -> str:
    text = unicodedata.normalize("NFKC", value).replace("−", "-").replace("٫", ".").replace("٬", ",")
    return _SPACED.sub("", _NO_CENTS.sub(r"\g<1>00", " ".join(text.split()))).strip("* ")
