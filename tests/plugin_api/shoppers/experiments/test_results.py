from pathlib import Path

import pytest

from mappings.settings import ExperimentSettings
from plugin_api.commands.experiment.command import describe_result
from plugin_api.commands.experiment.report import write_experiment_report
from plugin_api.shoppers.cluster import ClusterRequests
from plugin_api.shoppers.experiments.results import ExperimentResult, count_experiment
from plugin_api.shoppers.experiments.tag import ExperimentTag
from tests.fakes.experiment_cluster import KEY, ExperimentCluster

TEAMS = (True, False, True, False)


def _count(events: ExperimentCluster, name: str = "words", drawn: bool = False) -> ExperimentResult:
    return count_experiment(ClusterRequests(events, {}), name, KEY, 1_000, drawn)


@pytest.fixture
def events() -> ExperimentCluster:
    return ExperimentCluster()


MIXED = ExperimentTag("words", "interleaved", 0, TEAMS)


def test_clicks_decide_interleaved_searches(events: ExperimentCluster) -> None:
    events.search(MIXED, ("click", "a", 1), ("click", "a", 1), ("click", "c", 3))  # the first, by two
    events.search(MIXED, ("click", "b", 2), ("add_to_cart", "d", 4), ("click", "a", 1))  # the second
    events.search(MIXED, ("click", "a", 1), ("click", "b", 2))  # a tie
    events.search(MIXED)
    events.search(MIXED, ("view", "a", 1))
    result = _count(events).preference
    assert result is not None
    assert (result.first, result.second, result.ties) == (1, 1, 1)
    assert result.test.share == 0.5
    assert _count(events, "other").preference is None


def test_clicks_that_do_not_count(events: ExperimentCluster) -> None:
    events.search(MIXED, ("click", "a", 1), key="made up")
    events.search(MIXED, ("click", "a", 0), ("click", "b", 9))
    result = _count(events)
    assert result.preference is not None
    assert (result.preference.first, result.preference.second, result.preference.ties) == (0, 0, 1)
    assert result.uncredited == 2


def test_a_clear_preference_is_decided_and_said(events: ExperimentCluster) -> None:
    for number in range(900):
        events.search(MIXED, ("click", "a", 1) if number % 4 else ("click", "b", 2))
    result = _count(events)
    assert result.preference is not None
    assert result.preference.test.p < 0.05
    lines = "\n".join(describe_result(result, ExperimentSettings("words", second="rrf_k=9")))
    assert "first: the settings as they are" in lines
    assert "second: rrf_k=9" in lines
    assert "900 interleaved searches with an action, 900 decided, 0 tied." in lines
    assert "wins 75.0% of the decided ones" in lines
    assert "Decided: shoppers prefer the first ranking." in lines


def test_an_even_preference_is_not_decided(events: ExperimentCluster) -> None:
    for number in range(400):
        events.search(MIXED, ("click", "a", 1) if number % 2 else ("click", "b", 2))
    lines = "\n".join(describe_result(_count(events), ExperimentSettings()))
    assert "Not decided" in lines
    assert "decided searches" in lines
    assert "first:" not in lines


def test_shoppers_who_saw_one_ranking_each_are_compared_by_searches_with_an_action(
    events: ExperimentCluster,
) -> None:
    for number in range(2_000):
        events.search(ExperimentTag("words", "first"), *[("click", "a", 1)] * (number % 2))
        events.search(ExperimentTag("words", "second"), *[("click", "a", 1)] * (number % 4 == 0))
    result = _count(events)
    assert result.preference is None
    assert result.rates is not None
    assert [variant.acted for variant in result.variants] == [1_000, 500]
    lines = "\n".join(describe_result(result, ExperimentSettings()))
    assert "first: an action followed 1,000 of 2,000 searches (50.0%); 0.0% without hits" in lines
    assert "prefer the first" in lines


def test_nothing_stored_yet_is_said(events: ExperimentCluster) -> None:
    assert list(describe_result(_count(events), ExperimentSettings())) == [
        "No stored event bears a query_id of experiment words yet."
    ]


def _show(events: ExperimentCluster, variant: str, propensity: float, clicked: bool) -> None:
    tag = ExperimentTag("words", variant, propensity=propensity, context=1)
    events.search(tag, *[("click", "a", 1)] * clicked)


def test_what_a_variant_would_earn_is_estimated_from_the_propensities(events: ExperimentCluster) -> None:
    for number in range(6_000):
        _show(events, "second" if number % 4 else "first", 0.75 if number % 4 else 0.25, number % 3 == 0)
    for number in range(100):
        _show(events, "third", 0.1, number % 3 == 0)
    result = _count(events, drawn=True)
    first, second, third = result.variants
    assert result.rates is None
    for variant in (first, second):
        assert variant.value is not None
        assert variant.robust is not None
        assert variant.value.low < 1 / 3 < variant.value.high
        assert variant.robust.low < 1 / 3 < variant.robust.high
    assert third.value is None
    assert "log more" in third.too_few
    lines = "\n".join(describe_result(result, ExperimentSettings()))
    assert "shown always, it would have 33" in lines
    assert "is not known" in lines


def test_a_stopped_variant_is_said_and_shown_on_the_report(events: ExperimentCluster, tmp_path: Path) -> None:
    events.states["words"] = {"stopped": {"second": "more searches are slow"}}
    _show(events, "first", 0.5, True)
    settings = ExperimentSettings("words", "bandit", second="keyword_weight=9; user_strength=0")
    result = _count(events, drawn=True)
    lines = list(describe_result(result, settings))
    assert lines[:3] == [
        "first: the settings as they are",
        "second: keyword_weight=9",
        "third: user_strength=0",
    ]
    assert lines[-1] == "Stopped: the second variant. More searches are slow."
    write_experiment_report(result, settings, tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text()
    assert "The second variant is stopped: more searches are slow." in page
    assert "user_strength=0" in page
