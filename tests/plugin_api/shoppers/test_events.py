import pytest

from mappings.errors import BadRequest
from plugin_api.shoppers.events import read_event

NOW = 1_800_000_000.0
OLDEST = NOW - 400 * 86_400
CLICK = {
    "action_name": "click",
    "query_id": "q1",
    "client_id": "browser-7",
    "timestamp": "2027-01-14T08:00:00Z",
    "event_attributes": {"object": {"object_id": "p1"}, "position": {"ordinal": 3}},
}


def test_a_click_goes_into_its_month_without_the_shoppers_id() -> None:
    event = read_event(CLICK, "key", NOW, OLDEST)
    assert event.index == "attune-events-2027.01"
    assert (event.action, event.product) == ("click", "p1")
    assert "browser-7" not in str(event.body)
    assert event.body["event_attributes"] == {"object": {"object_id": "p1"}, "position": {"ordinal": 3}}


def test_a_document_that_comes_twice_has_one_id() -> None:
    first, second = (read_event(CLICK, "key", NOW + late, OLDEST) for late in (0, 60))
    assert first.id == second.id
    assert read_event({**CLICK, "query_id": "q2"}, "key", NOW, OLDEST).id != first.id
    assert read_event({**CLICK, "client_id": "browser-8"}, "key", NOW, OLDEST).id != first.id


def test_an_event_id_decides_where_there_is_one() -> None:
    named = [read_event({**CLICK, "event_id": "e1", "query_id": q}, "key", NOW, OLDEST) for q in "ab"]
    assert named[0].id == named[1].id


def test_another_key_makes_another_shopper() -> None:
    assert read_event(CLICK, "key", NOW, OLDEST).shopper != read_event(CLICK, "other", NOW, OLDEST).shopper


def test_who_is_logged_in_is_the_shopper() -> None:
    named = read_event({**CLICK, "user_id": "anna"}, "key", NOW, OLDEST)
    assert named.shopper == named.body["user_id"] != named.body["client_id"]


def test_a_query_keeps_its_text_and_hits() -> None:
    query = {"user_query": "tea", "client_id": "c", "query_response_hit_ids": ["a", "b"]}
    event = read_event(query, "key", NOW, OLDEST)
    assert event.index == "attune-queries-2027.01"
    assert event.body["user_query"] == "tea"
    assert event.action is None


def test_only_named_fields_are_stored() -> None:
    event = read_event({**CLICK, "email": "anna@example.org", "message": "hi"}, "key", NOW, OLDEST)
    assert set(event.body) == {"timestamp", "client_id", "query_id", "action_name", "event_attributes"}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"action_name": ""}, "neither action_name nor user_query"),
        ({"client_id": ""}, "neither client_id nor user_id"),
        ({"timestamp": "2031-01-01"}, "in the future"),
        ({"timestamp": "2020-01-01"}, "older than"),
        ({"timestamp": "yesterday"}, "Invalid isoformat"),
        ({"client_id": "x" * 300}, "client_id"),
        ({"event_attributes": "none"}, "event_attributes"),
        ({"event_attributes": {"position": {"ordinal": -1}}}, "ordinal"),
    ],
)
def test_broken_documents_say_what_is_wrong(change: dict[str, object], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        read_event({**CLICK, **change}, "key", NOW, OLDEST)


def test_milliseconds_and_missing_times_are_read() -> None:
    assert read_event({**CLICK, "timestamp": NOW * 1000}, "key", NOW, OLDEST).day == NOW / 86_400
    assert read_event({**CLICK, "timestamp": ""}, "key", NOW, OLDEST).day == NOW / 86_400


def test_without_a_key_nothing_is_stored() -> None:
    with pytest.raises(BadRequest, match=r"shoppers\.key"):
        read_event(CLICK, "", NOW, OLDEST)
