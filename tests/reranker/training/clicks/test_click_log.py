import math

import pytest

from reranker.training.clicks.click_log import (
    LoggedAction,
    LoggedSearch,
    UnusableRecord,
    parse_action,
    parse_search,
)

QUERY = {
    "query_id": "q1",
    "client_id": "c1",
    "user_query": " USB hub ",
    "timestamp": "2026-01-02T03:04:05.678Z",
    "query_response_hit_ids": ["7", "8", "7", 9],
}
EVENT = {
    "action_name": "click",
    "query_id": "q1",
    "client_id": "c1",
    "timestamp": "2026-01-02T03:04:06Z",
    "event_attributes": {"object": {"object_id": "0409", "internal_id": 7}, "position": {"ordinal": 2}},
}
AT = 1767323045.678


def test_a_query_is_read() -> None:
    assert parse_search(QUERY, "line 1") == LoggedSearch("q1", "c1", "USB hub", ("7", "8", "9"), AT)


def test_logs_older_than_the_schema_are_read() -> None:
    old = {
        "query_id": "q1",
        "client_id": "c1",
        "user_query": "hub",
        "query_response_object_ids": ["7"],
        "timestamp": 1767323045678,
    }
    assert parse_search(old, "line 1") == LoggedSearch("q1", "c1", "hub", ("7",), AT)


def test_an_event_is_read() -> None:
    assert parse_action(EVENT, "line 1") == LoggedAction("click", "q1", "c1", ("0409", "7"), 2, 1767323046.0)


def test_an_event_needs_no_more_than_its_name() -> None:
    action = parse_action(
        {"action_name": "login", "event_attributes": {"position": {"xy": {"x": 1}}}}, "line 1"
    )
    assert isinstance(action, LoggedAction)
    assert (action.ids, action.position) == ((), 0)
    assert math.isnan(action.at)


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        ({**QUERY, "query_id": None}, "no query_id"),
        ({**QUERY, "user_query": "  "}, "no user_query"),
        ({**QUERY, "query_response_hit_ids": "7, 8"}, "query_response_hit_ids is not a list"),
    ],
)
def test_unusable_queries_are_named(document: dict[str, object], reason: str) -> None:
    assert parse_search(document, "queries.jsonl line 4") == UnusableRecord("queries.jsonl line 4", reason)


def test_unusable_events_are_named() -> None:
    assert parse_action({"query_id": "q1"}, "ubi_events/a") == UnusableRecord(
        "ubi_events/a", "no action_name"
    )


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("2026-01-02T03:04:05.678", AT),
        ("2026-01-02T04:04:05.678+01:00", AT),
        (1767323045678.0, AT),
        ("yesterday", math.nan),
        (math.inf, math.nan),
        (True, math.nan),
        (None, math.nan),
    ],
)
def test_times_are_utc_seconds(text: object, seconds: float) -> None:
    search = parse_search({**QUERY, "timestamp": text}, "line 1")
    assert isinstance(search, LoggedSearch)
    assert search.at == pytest.approx(seconds, nan_ok=True)
