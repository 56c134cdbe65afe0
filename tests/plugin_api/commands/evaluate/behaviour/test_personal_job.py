import time

import pytest

from mappings.errors import LabelsError
from mappings.settings import Settings
from mappings.types import JsonObject
from plugin_api.commands.evaluate.behaviour.evaluation import BehaviourEvaluation
from plugin_api.commands.evaluate.behaviour.personal_job import evaluate_personal_search, replay_profile
from plugin_api.search.query.keyword_query import keyword_query
from plugin_api.shoppers.event_store import EVENT_INDEXES, QUERY_INDEXES
from plugin_api.terminal import task_progress
from tests.fakes.json_client import StoredLogs
from tests.fakes.preview_shop import ALIAS, shipped_model, stocked_shop

DAY = 20_000.5
OTHER_MOUSE = "mouse-trackball"


def test_a_profile_holds_what_was_bought_before_and_is_as_old_as_it_was() -> None:
    purchases = [
        (DAY - 30, "A", "tea"),
        (DAY - 30, "A", "milk"),
        (DAY - 10, "B", "tea"),
        (DAY, "C", "honey"),
    ]
    profile = replay_profile(purchases, DAY)
    assert profile.bought.keys() == {"tea", "milk"}
    assert (profile.bought["tea"].orders, profile.bought["milk"].orders) == (2, 1)
    today = time.time() / 86_400
    assert today - profile.bought["tea"].last == pytest.approx(10, abs=1.6)
    assert profile.bought["tea"].gap == 20


def test_before_the_first_purchase_nothing_is_known() -> None:
    assert not replay_profile([(DAY, "C", "honey")], DAY).bought


def _store(queries: list[JsonObject], events: list[JsonObject]) -> StoredLogs:
    """The preview's shop with searches and purchases stored in it."""
    return StoredLogs({QUERY_INDEXES: queries, EVENT_INDEXES: events}, stocked_shop())


def _log(wanted: str, owned: str) -> StoredLogs:
    """Eight shoppers who had bought `owned` search for a mouse and click on `wanted`."""
    queries, events = [], []
    for number in range(8):
        shopper = {"user_id": f"u{number}"}
        query = {**shopper, "query_id": f"q{number}", "timestamp": "2026-06-10T10:00:00+00:00"}
        queries.append({**query, "user_query": "wireless mouse"})
        clicked = {"event_attributes": {"object": {"object_id": wanted}}}
        events.append({**query, "action_name": "click", **clicked})
        for day in (1, 5):
            bought = {"event_attributes": {"object": {"object_id": owned}, "order_id": str(day)}}
            at = {"timestamp": f"2026-06-0{day}T10:00:00+00:00"}
            events.append({**shopper, **at, "action_name": "purchase", **bought})
    return _store(queries, events)


def _evaluate(shop: StoredLogs) -> BehaviourEvaluation:
    return evaluate_personal_search(shop, ALIAS, Settings(), shipped_model(), keyword_query, task_progress)


def test_what_was_bought_before_and_is_wanted_again_comes_first() -> None:
    answer = _evaluate(_log("mouse-m185", "mouse-m185"))
    parts = {part.title: part for part in answer.parts}
    assert parts.keys() == {"all", "history bears"}
    figures = parts["history bears"].figures
    assert figures["personal"].means["mrr"].mean == 1
    assert figures["personal"].means["mrr"].mean >= figures["plain"].means["mrr"].mean
    assert figures["plain"].shoppers == 8


def test_searches_that_the_history_does_not_bear_on_stay_as_they_are() -> None:
    answer = _evaluate(_log("mouse-m185", "not-in-the-index"))
    parts = {part.title: part for part in answer.parts}
    assert parts.keys() == {"all", "does not bear"}
    compared = parts["does not bear"].figures["plain"].compared
    assert compared is not None
    assert set(compared.changes.values()) == {0}


def test_another_product_wanted_is_counted_by_itself() -> None:
    answer = _evaluate(_log("mouse-m185", OTHER_MOUSE))
    assert "bears, another wanted" in {part.title for part in answer.parts}


def test_clicks_of_others_under_the_same_query_id_do_not_count() -> None:
    shop = _log("mouse-m185", "mouse-m185")
    for event in shop.logs[EVENT_INDEXES]:
        if "query_id" in event:
            event["user_id"] = "somebody else"
    with pytest.raises(LabelsError, match="no stored search was followed"):
        _evaluate(shop)


def test_a_log_without_clicks_is_refused() -> None:
    with pytest.raises(LabelsError, match="no stored search was followed"):
        _evaluate(_store([], []))
