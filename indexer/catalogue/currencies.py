"""Recognise currencies by the codes of ISO 4217 and by their signs.

A sign of several currencies, as ¥ and kr, names none. $ with no letter before it is the US dollar.
"""

import re
import unicodedata

_CODE_WORDS = (
    "AED ARS AUD BDT BGN BHD BRL CAD CHF CLP CNY COP CRC CZK DKK DOP DZD EGP EUR GBP GEL GHS HKD HRK "
    "HUF IDR ILS INR IQD ISK JOD JPY KES KRW KWD KZT LBP LKR LYD MAD MDL MKD MXN MYR NGN NOK NZD OMR "
    "PEN PHP PKR PLN QAR RON RSD RUB SAR SEK SGD THB TND TRY TWD UAH USD UYU VND XAF XOF ZAR"
)
_CODES = frozenset(_CODE_WORDS.split())
_SIGNS = {
    "US$": "USD", "A$": "AUD", "AU$": "AUD", "C$": "CAD", "CA$": "CAD", "R$": "BRL", "HK$": "HKD", "NT$":
    "TWD", "S$": "SGD", "NZ$": "NZD", "MX$": "MXN", "€": "EUR", "£": "GBP", "$": "USD", "₹": "INR", "RS":
    "INR", "円": "JPY", "元": "CNY", "RMB": "CNY", "ZŁ": "PLN", "KČ": "CZK", "FT": "HUF", "LEI": "RON", "ЛВ":
    "BGN", "₽": "RUB", "РУБ": "RUB", "₺": "TRY", "TL": "TRY", "₴": "UAH", "₩": "KRW", "원": "KRW", "฿": "THB",
    "₫": "VND", "₪": "ILS", "₱": "PHP", "FR": "CHF", "SFR": "CHF", "EURO": "EUR", "¢": "USD", "RUR": "RUB",
}  # fmt: skip

THREE_DECIMALS = frozenset(("BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"))
"""Currencies with three decimals: with any other, three digits after a separator are thousands."""

_MAX_CHARACTERS = 200


def parse_currency(value: object) -> str:
    """Return the code of ISO 4217 that a cell names or has the sign of, empty where it has none."""
    return (
        find_currency(unicodedata.normalize("NFKC", value[:_MAX_CHARACTERS]))
        if isinstance(value, str)
        else ""
    )


def find_currency(text: str) -> str:
    """Return the currency that a text names by its code or its sign, empty where it names none."""
    if text.isascii() and text.isdigit():
        return ""
    words: list[str] = re.findall(r"[^\W\d_]*\$|[^\W\d_]+|[^\w\s.,\-+'/()]", text)
    upper = [word.upper() for word in words]
    codes = (word for word in upper if word in _CODES)
    return next(codes, "") or next((_SIGNS[word] for word in upper if word in _SIGNS), "")
