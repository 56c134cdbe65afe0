import math
from dataclasses import replace

import pytest

from mappings.settings import ClickSettings
from reranker.training.clicks.robots_filter import filter_robots
from reranker.training.clicks.search_interactions import SearchInteraction

SETTINGS = ClickSettings(
    robot_searches_per_minute=10, robot_searches_per_day=50, burst_clicks=3, burst_seconds=5
)


def visit(
    client: str = "ann", at: float = 0.0, query: str = "hub", clicks: tuple[float, ...] = ()
) -> SearchInteraction:
    return SearchInteraction(
        client, query, query, at, {"a": 1, "b": 2}, frozenset("a" if clicks else ""), frozenset(), clicks
    )


def test_clients_that_search_faster_than_people_are_robots() -> None:
    person = [visit("ann", 7.0 * i, f"q{i}") for i in range(20)]
    robot = [visit("bob", 5.0 * i, f"q{i}") for i in range(20)]
    found = filter_robots([*person, *robot], SETTINGS)
    assert {v.client for v in found.visits} == {"ann"}
    assert found.dropped == {"searches by robots": 20}
    assert found.robots == {"bob": 20}


def test_clients_that_never_stop_are_robots() -> None:
    person = [visit("ann", 2000.0 * i, f"q{i}") for i in range(60)]
    robot = [visit("bob", 1000.0 * i, f"q{i}") for i in range(60)]
    assert filter_robots([*person, *robot], SETTINGS).robots == {"bob": 60}


@pytest.mark.parametrize("client", ["nightly-bot", "Googlebot/2.1", "shop crawler", "uptime_monitor"])
def test_clients_that_say_so_are_robots(client: str) -> None:
    assert filter_robots([visit(client)], SETTINGS).robots == {client: 1}


@pytest.mark.parametrize("client", ["aBot3f-77b0", "abbott", "spiderman42", "ann"])
def test_other_names_are_no_robots(client: str) -> None:
    assert not filter_robots([visit(client)], SETTINGS).robots


def test_bursts_of_clicks_are_dropped_and_the_client_stays() -> None:
    steady = visit("ann", 0, "q1", clicks=(10.0, 12.0, 16.0, 18.0))
    burst = visit("ann", 500, "q2", clicks=(501.0, 502.0, 503.0))
    beside = visit("ann", 503, "q3", clicks=(504.0,))
    later = visit("ann", 600, "q4", clicks=(601.0,))
    other = visit("bob", 500, "q2", clicks=(501.0, 502.0, 503.0))
    found = filter_robots([steady, burst, beside, later, other], SETTINGS)
    assert [(v.client, v.query) for v in found.visits] == [("ann", "q1"), ("ann", "q4"), ("bob", "q2")]
    assert found.dropped == {"searches with bursts of clicks": 2}


def test_the_same_search_again_is_one_visit_with_all_its_clicks() -> None:
    first, reload = visit(at=0), visit(at=1700, clicks=(1710.0,))
    bought = replace(visit(at=3400), bought=frozenset("b"), clicked=frozenset("b"))
    tomorrow = visit(at=90_000)
    other_results = replace(visit(at=10), places={"b": 1})
    timeless = replace(visit(at=math.nan), places={"c": 1})
    found = filter_robots(
        [tomorrow, bought, timeless, reload, first, other_results, visit("bob", 5)], SETTINGS
    )
    mine = [v for v in found.visits if v.client == "ann" and "a" in v.places]
    assert [(v.at, set(v.clicked), set(v.bought)) for v in mine] == [
        (0, {"a", "b"}, {"b"}),
        (90_000, set(), set()),
    ]
    assert len(found.visits) == 5
    assert found.dropped == {"searches repeated by the same client": 2}


def test_visits_without_a_time_stay() -> None:
    found = filter_robots([visit(at=math.nan, clicks=(math.nan,) * 9) for _ in range(100)], SETTINGS)
    assert len(found.visits) == 100
    assert not found.dropped
