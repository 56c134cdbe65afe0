from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest

from indexer.catalogue.values import BadValue
from indexer.sources.watermarks import (
    SavedWatermark,
    Watermark,
    earlier,
    is_past,
    not_after,
    parse_watermark,
    watermark_version,
)
from mappings.errors import CatalogueError

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
PLAIN = NOON.replace(tzinfo=None)


@pytest.mark.parametrize(
    "value",
    [7, -1, 2**62, NOON, NOON.replace(microsecond=123456), PLAIN, date(2026, 3, 1), "2026-03-01 12:00:00Z"],
)
def test_watermarks_are_saved_as_they_are(value: Watermark) -> None:
    back = SavedWatermark.from_json(SavedWatermark(value).as_json() | {"source": "x"}).value
    assert back == value
    assert type(back) is type(value)


@pytest.mark.parametrize(
    "saved", [{}, {"kind": "number"}, {"kind": "number", "value": "7"}, {"kind": "moment", "value": "soon"}]
)
def test_what_is_no_saved_watermark(saved: dict[str, object]) -> None:
    with pytest.raises(CatalogueError, match="remove it"):
        SavedWatermark.from_json(saved)


def test_cells() -> None:
    assert parse_watermark(Decimal("70")) == 70
    assert parse_watermark(datetime(2026, 3, 1, 7, tzinfo=ZoneInfo("America/New_York"))).tzinfo is UTC  # type: ignore[union-attr]
    for cell in (True, 1.5, Decimal("1.5"), None, "soon", "20260301T120000", b"x", [1], Decimal("NaN")):
        with pytest.raises(BadValue):
            parse_watermark(cell)


def test_earlier() -> None:
    assert earlier(100, 60) == 40
    assert earlier(NOON, 60) == NOON - timedelta(minutes=1)
    assert earlier(date(2026, 3, 1), 60) == date(2026, 3, 1)
    assert earlier("2026-03-01 12:00:00.5", 60) == "2026-03-01 11:59:00"
    assert earlier("2026-03-01T12:00:00Z", 0) == "2026-03-01T12:00:00"
    assert earlier("2026-03-01", 0) == "2026-03-01"
    assert earlier("2026-03-01 12:00", 90) == "2026-03-01 11:58"
    assert earlier(datetime.min, 60) == datetime.min
    assert earlier(date.min, 86_400) == date.min


def test_not_after() -> None:
    assert not_after(10**30, NOON) == 10**30
    assert not_after(NOON + timedelta(hours=1), NOON) == NOON
    assert not_after(NOON - timedelta(hours=1), NOON) == NOON - timedelta(hours=1)
    assert not_after(PLAIN + timedelta(hours=1), NOON) == PLAIN + timedelta(hours=1)
    assert not_after(datetime.max, NOON) == PLAIN + timedelta(hours=14)
    assert not_after(date.max, NOON) == date(2026, 3, 2)
    assert not_after("2026-03-01T12:00:01", NOON) == "2026-03-01T12:00:01"
    assert not_after("9999-12-31", NOON) == "2026-03-02 02:00:00"
    assert not_after("9999-12-31T00:00:00+01:00", NOON) == "2026-03-02T02:00:00"


def test_is_past() -> None:
    minute, hour = timedelta(minutes=1), timedelta(hours=1)
    assert is_past(NOON - 4 * minute, NOON, 60)
    assert not is_past(NOON - 3 * minute, NOON, 60)
    assert is_past(PLAIN - 15 * hour, NOON, 60)
    assert not is_past(PLAIN - 14 * hour, NOON, 60)
    assert is_past("2026-02-28 20:00:00", NOON, 60)
    assert not is_past("2026-02-28 22:00:00", NOON, 60)
    assert is_past("2026-03-01T12:00:00+01:00", NOON, 60)
    for day in (date(2026, 2, 28), "2026-02-28"):
        assert not is_past(day, NOON, 60)
        assert is_past(day, NOON + 3 * hour, 60)
    assert not is_past(7, NOON, 60)


def test_versions() -> None:
    assert watermark_version(7) == 7
    tokyo = timezone(timedelta(hours=9))
    same = (NOON, PLAIN, NOON.astimezone(tokyo), "2026-03-01 12:00:00", "2026-03-01T21:00:00+09:00")
    assert {watermark_version(value) for value in same} == {int(NOON.timestamp() * 1000)}
    assert watermark_version(date(2026, 3, 1)) == int(NOON.timestamp() * 1000) - 12 * 3_600_000
    with pytest.raises(BadValue):
        watermark_version(-1)
