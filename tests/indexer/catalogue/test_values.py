import math
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal

import pytest

from indexer.catalogue import values
from indexer.catalogue.cleaning import clean_id, clean_text
from indexer.catalogue.values import BadValue


@pytest.mark.parametrize(
    ("cell", "price"),
    [
        (4995, 4995.0),
        (Decimal("1.50"), 1.5),
        ("15.00 USD", 15.0),
        ("$1,299.00", 1299.0),
        ("1.299,00 €", 1299.0),
        ("1 299,50 €", 1299.5),
        ("1'299.50", 1299.5),
        ("¥3,980", 3980.0),
        ("12,5", 12.5),
        ("1,234,567", 1234567.0),
        ("1.234.567", 1234567.0),
        ("1.299", 1.299),
        ("19.", 19.0),
        ("0", 0.0),
        ("", None),
        ("  ", None),
        (None, None),
        (math.nan, None),
    ],
)
def test_prices(cell: object, price: float | None) -> None:
    assert values.parse_price(cell, 1.0) == price


def test_a_price_is_scaled_without_binary_dust() -> None:
    assert values.parse_price(4995, 0.01) == 49.95
    assert values.parse_price("1999", 0.01) == 19.99


@pytest.mark.parametrize("cell", ["call us", "10-20", "3 for 10", True, [5], {"amount": 1}, -1, "-5", "−5"])
def test_what_is_no_price(cell: object) -> None:
    with pytest.raises(BadValue, match="price"):
        values.parse_price(cell, 1.0)


@pytest.mark.parametrize(
    ("cell", "available"),
    [
        (True, True),
        ("in stock", True),
        ("In_Stock", True),
        ("YES", True),
        ("12", True),
        (3, True),
        ("out of stock", False),
        ("sold out", False),
        ("0", False),
        (0, False),
        ("-2", False),
        ("", None),
        (None, None),
    ],
)
def test_availability(cell: object, available: bool | None) -> None:
    assert values.parse_available(cell) is available


@pytest.mark.parametrize("cell", ["perhaps", [True]])
def test_what_is_no_availability(cell: object) -> None:
    with pytest.raises(BadValue, match="available"):
        values.parse_available(cell)


@pytest.mark.parametrize(
    ("cell", "text"),
    [
        (" a  <b>b</b> ", "a b"),
        (["a", None, "", "b"], "a, b"),
        (17.0, "17"),
        (17.25, "17.25"),
        (5, "5"),
        (math.nan, ""),
        (None, ""),
        (date(2024, 5, 1), "2024-05-01"),
    ],
)
def test_text(cell: object, text: str) -> None:
    assert values.parse_text(cell, clean_text) == text


@pytest.mark.parametrize("cell", [{"a": 1}, b"bytes", True, [["a"], {"b": 1}]])
def test_what_is_no_text(cell: object) -> None:
    with pytest.raises(BadValue, match="wrong type"):
        values.parse_text(cell, clean_text)


@pytest.mark.parametrize(
    ("cell", "attribute"),
    [
        (False, False),
        (6, 6.0),
        (Decimal("6.5"), 6.5),
        (" Black ", "Black"),
        (["Red", "Blue"], "Red, Blue"),
        ("", None),
        ([], None),
        (math.inf, None),
        (None, None),
    ],
)
def test_attributes(cell: object, attribute: object) -> None:
    found = values.parse_attribute(cell, clean_text)
    assert found == attribute
    assert type(found) is type(attribute)


def test_an_attribute_stays_below_the_longest_term() -> None:
    found = values.parse_attribute("漢" * 20_000, clean_text)
    assert isinstance(found, str)
    assert len(found.encode()) < 32_000


@pytest.mark.parametrize(("cell", "found"), [(" A-1 ", "A-1"), (7, "7"), (3920564.0, "3920564")])
def test_ids(cell: object, found: str) -> None:
    assert values.parse_id(cell, clean_id) == found


@pytest.mark.parametrize(
    ("cell", "reason"),
    [
        (None, "no id"),
        ("  ", "no id"),
        (math.nan, "no id"),
        (True, "wrong type"),
        (1.5, "wrong type"),
        (["1"], "wrong type"),
        ("漢" * 171, "512 bytes"),
    ],
)
def test_what_is_no_id(cell: object, reason: str) -> None:
    with pytest.raises(BadValue, match=reason):
        values.parse_id(cell, clean_id)


def test_addresses() -> None:
    assert values.parse_url(" https://a/b?c=1&amp;d ") == "https://a/b?c=1&amp;d"
    assert values.parse_url([None, "b", "c"]) == "b"
    assert values.parse_url(None) == values.parse_url([]) == ""
    with pytest.raises(BadValue, match="not an address"):
        values.parse_url(5)


@pytest.mark.parametrize(
    ("cell", "version"),
    [
        (0, 0),
        (17, 17),
        (17.0, 17),
        (Decimal("17.00"), 17),
        ("17", 17),
        (" 17.0 ", 17),
        ("1.7E+12", 1_700_000_000_000),
        (2**63 - 1, 2**63 - 1),
        (str(2**63 - 1), 2**63 - 1),
        ("20240131", 20240131),  # digits are a number, not a date
        ("1970-01-02", 86_400_000),
        ("1970-01-01T00:00:01Z", 1000),
        ("1970-01-01 01:00:01.5+01:00", 1500),
        ("1970-01-01 00:00:01.0019+00", 1001),
        ("1970-01-01T00:00:00.123456789Z", 123),
        (date(1970, 1, 2), 86_400_000),
        (datetime(1970, 1, 1, 0, 0, 1), 1000),
        (datetime(1970, 1, 1, 2, 0, 1, tzinfo=timezone(timedelta(hours=2))), 1000),
        (datetime(9999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC), 253_402_300_799_999),
    ],
)
def test_versions(cell: object, version: int) -> None:
    assert values.parse_version(cell) == version


@pytest.mark.parametrize("cell", [None, "", "  ", math.nan, Decimal("nan")])
def test_no_version(cell: object) -> None:
    with pytest.raises(BadValue, match=r"^no version$"):
        values.parse_version(cell)


@pytest.mark.parametrize(
    "cell",
    [
        *(-1, "-1", -0.5, 1.5, "1.5", True, math.inf, Decimal("inf"), 2**63, str(2**63), "9" * 5000, "1e999"),
        *("1e-999", "1e999999999", "nan", "abc", "1_000", "2024-13-01", "10:00", b"17", [17], {"at": 17}),
        *("1969-12-31", date(1969, 12, 31), time(10)),
    ],
)
def test_what_is_no_version(cell: object) -> None:
    with pytest.raises(BadValue, match=r"^wrong type: version .* is neither a whole number of 0 to"):
        values.parse_version(cell)
