import math
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal

import pytest

from indexer.catalogue import values
from indexer.catalogue.cleaning import clean_id, clean_text
from indexer.catalogue.values import BadValue


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
        (["Red", "Blue"], ("Red", "Blue")),
        (["Red"], "Red"),
        ("['Red', 'Blue']", "Red, Blue"),
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
        (10**401, "more than 400 digits"),
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


@pytest.mark.parametrize(
    ("cell", "address"),
    [
        ("https://a/1.jpg, https://a/2.jpg", "https://a/1.jpg"),
        ("https://a/1.jpg;https://a/2.jpg", "https://a/1.jpg"),
        ("https://a/1.jpg\nhttps://a/2.jpg", "https://a/1.jpg"),
        ("https://a/w_100,h_100/1.jpg", "https://a/w_100,h_100/1.jpg"),
        ("/m/b/1.jpg,/m/b/2.jpg", "/m/b/1.jpg"),
        ('["https://a/1.jpg", "https://a/2.jpg"]', "https://a/1.jpg"),
        ([{"id": 1, "src": "https://a/1.jpg"}], "https://a/1.jpg"),
        ({"hi_res": ["https://a/1.jpg", None], "thumb": ["https://a/t.jpg"]}, "https://a/1.jpg"),
        ([{"thumb": "https://a/t.jpg", "large": "https://a/1.jpg"}], "https://a/1.jpg"),
        ({"alt": "none"}, ""),
        ("no_selection", ""),
    ],
)
def test_the_first_address_of_several(cell: object, address: str) -> None:
    assert values.parse_url(cell) == address


@pytest.mark.parametrize("cell", ["data:image/png;base64," + "a" * 10_000, "https://a/" + "b" * 5000])
def test_what_is_too_long_for_an_address(cell: str) -> None:
    with pytest.raises(BadValue, match="longer"):
        values.parse_url(cell)


@pytest.mark.parametrize(
    ("cell", "text"),
    [
        ({"id": 9, "name": "Shirts"}, "Shirts"),
        ([{"id": 9, "name": "Clothing"}, {"id": 10, "name": "Shirts"}], "Clothing, Shirts"),
        ({"de": "Hemd", "en_GB": "Shirt"}, "Shirt"),
        ({"de": "Hemd", "fr": "Chemise"}, "Hemd"),
        ('["a", "b"]', "a, b"),
        ("[Pack of 2] Mug", "[Pack of 2] Mug"),
        ("[NEW]", "[NEW]"),
        ({"name": {"value": "deep"}}, "deep"),
    ],
)
def test_the_text_of_nested_values(cell: object, text: str) -> None:
    assert values.parse_text(cell, clean_text) == text


def test_a_number_too_large_is_not_a_number() -> None:
    with pytest.raises(BadValue, match="out of range"):
        values.parse_attribute(10**401, clean_text)


@pytest.mark.parametrize(
    ("cell", "moment"),
    [
        ("2026-12-24", datetime(2026, 12, 24, tzinfo=UTC)),
        ("24.12.2026", datetime(2026, 12, 24, tzinfo=UTC)),
        ("12/24/2026", datetime(2026, 12, 24, tzinfo=UTC)),
        ("24/12/2026 18:00", datetime(2026, 12, 24, 18, tzinfo=UTC)),
        ("2026-12-24T18:00:00Z", datetime(2026, 12, 24, 18, tzinfo=UTC)),
        (1_798_135_200, datetime(2026, 12, 24, 18, tzinfo=UTC)),
        ("1798135200000", datetime(2026, 12, 24, 18, tzinfo=UTC)),
        ("0000-00-00", None),
        ("", None),
    ],
)
def test_moments(cell: object, moment: datetime | None) -> None:
    assert values.parse_moment(cell) == moment


@pytest.mark.parametrize("cell", ["soon", "31.02.2026", True, 5])
def test_what_is_not_a_moment(cell: object) -> None:
    with pytest.raises(BadValue, match="not a date"):
        values.parse_moment(cell)
