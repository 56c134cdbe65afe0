import math
from decimal import Decimal

import pytest

from indexer.catalogue.currencies import parse_currency
from indexer.catalogue.prices import Price, judge_decimal, parse_price
from indexer.catalogue.values import BadValue


@pytest.mark.parametrize(
    ("cell", "amount"),
    [
        (4995, 4995.0),
        (Decimal("1.50"), 1.5),
        (".99", 0.99),
        (",89", 0.89),
        ("1 299,50", 1299.5),
        ("1\u202f299,50", 1299.5),
        ("1'299.50", 1299.5),
        ("1’299.00", 1299.0),
        ("12,5", 12.5),
        ("1,23,456.50", 123456.5),
        ("1,234,567", 1234567.0),
        ("1.234.567", 1234567.0),
        ("1.299", 1.299),
        ("1,299", 1299.0),
        ("0.990", 0.99),
        ("12990.000", 12990.0),
        ("19.", 19.0),
        ("1.299,-", 1299.0),
        ("from 9.90", 9.9),
        ("10-20", 10.0),
        ("10.00 - 20.00", 10.0),
        ("1,299.00-1,499.00", 1299.0),
        ("2 for 5.00", 2.5),
        ("2 x 5.00", 2.5),
        ("was 29.90 now 19.90", 19.9),
        ("1e3", 1000.0),
        ("１，２９９", 1299.0),
        ("12.8万", 128_000.0),
        ("free", 0.0),
        ("0", 0.0),
        ([12.5, 9.5], 9.5),
        ({"amount": "12.50"}, 12.5),
        ([{"net": 10, "gross": 11.9, "currencyId": "x"}], 11.9),
    ],
)
def test_prices(cell: object, amount: float) -> None:
    assert parse_price(cell) == Price(amount)


@pytest.mark.parametrize(
    ("cell", "amount", "currency"),
    [
        ("15.00 USD", 15.0, "USD"),
        ("USD 59.00", 59.0, "USD"),
        ("EUR19.90", 19.9, "EUR"),
        ("$1,299.00", 1299.0, "USD"),
        ("$.99", 0.99, "USD"),
        ("1.299,00 €", 1299.0, "EUR"),
        ("1.299 €", 1299.0, "EUR"),
        ("€ 19,90/St.", 19.9, "EUR"),
        ("19,90 € (UVP 29,90 €)", 19.9, "EUR"),
        ("19,99 EUR inkl. MwSt.", 19.99, "EUR"),
        ("ab 9,90 €", 9.9, "EUR"),
        ("10 € - 20 €", 10.0, "EUR"),
        ("from $10 to $20", 10.0, "USD"),
        ("3 for £10", 3.333333, "GBP"),
        ("CHF 1'299.-", 1299.0, "CHF"),
        ("¥3,980", 3980.0, ""),
        ("3,980円", 3980.0, "JPY"),
        ("199元", 199.0, "CNY"),
        ("₹1,23,456", 123456.0, "INR"),
        ("Rs.499", 499.0, "INR"),
        ("R$ 1.299,90", 1299.9, "BRL"),
        ("1 299 kr", 1299.0, ""),
        ("49,90 zł", 49.9, "PLN"),
        ("12.990 KWD", 12.99, "KWD"),
        ("99¢", 0.99, "USD"),
        ({"amount": "12.50", "currencyCode": "GBP"}, 12.5, "GBP"),
    ],
)
def test_prices_with_a_currency(cell: object, amount: float, currency: str) -> None:
    assert parse_price(cell) == Price(amount, currency)


@pytest.mark.parametrize(
    "cell", ["", "  ", None, math.nan, "N/A", "POA", "-", "call us", "Preis auf Anfrage", "面议", []]
)
def test_what_has_no_price(cell: object) -> None:
    assert parse_price(cell) is None


def test_a_price_is_scaled_without_binary_dust() -> None:
    assert parse_price(4995, 0.01) == Price(49.95)
    assert parse_price("1999", 0.01) == Price(19.99)


@pytest.mark.parametrize(
    "cell",
    [
        "plenty",
        "call 555 1234",
        "5 %",
        "1.5k",
        "12.05.2024",
        True,
        {"a": 1},
        -1,
        "-5",
        "−5",
        10**401,
        "9" * 401,
    ],
)
def test_what_is_not_a_price(cell: object) -> None:
    with pytest.raises(BadValue):
        parse_price(cell)


@pytest.mark.parametrize(
    ("column", "decimal"),
    [
        (["1.299 €", "19,90 €"], ","),
        (["1.299", "19,90"], ","),
        (["1,299", "19.90"], "."),
        (["1.299 €", "999 €"], ","),
        (["1,299 USD"], "."),
        (["12.99 USD", "1.299 USD", "5.00"], "."),
        (["1.299", "2.499"], ""),
        (["12.990 KWD"], ""),
        ([12.5, None, "N/A", "19"], ""),
        ([], ""),
    ],
)
def test_the_decimal_separator_of_a_column(column: list[object], decimal: str) -> None:
    assert judge_decimal(column) == decimal


def test_the_column_decides_where_a_price_alone_does_not() -> None:
    assert parse_price("1.299", decimal=",") == Price(1299.0)
    assert parse_price("1.299", decimal=".") == Price(1.299)
    assert parse_price("1,299", decimal=",") == Price(1.299)
    assert parse_price("12.99 USD", decimal=",") == Price(12.99, "USD")


@pytest.mark.parametrize(
    ("cell", "currency"), [("eur", "EUR"), ("€", "EUR"), ("US$", "USD"), ("kr", ""), ("", ""), (5, "")]
)
def test_currencies(cell: object, currency: str) -> None:
    assert parse_currency(cell) == currency


def test_several_for_a_price_and_prices_by_currency() -> None:
    assert parse_price("2/$5.00") == Price(2.5, "USD")
    assert parse_price({"EUR": 9.9, "USD": 11}) == Price(9.9, "EUR")
    assert parse_price("$1.299 MXN") == Price(1299.0, "MXN")
