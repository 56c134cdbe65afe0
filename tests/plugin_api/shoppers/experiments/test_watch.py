from concurrent.futures import Executor, Future
from typing import Any

import numpy as np
import pytest

from mappings.settings import ExperimentSettings
from plugin_api.shoppers.cluster import ClusterRequests
from plugin_api.shoppers.experiments.tag import ExperimentTag
from plugin_api.shoppers.experiments.watch import READ_SECONDS, REWARD_SECONDS, ExperimentWatch
from tests.fakes.experiment_cluster import KEY, ExperimentCluster

BANDIT = ExperimentSettings("words", "bandit", second="keyword_weight=9; user_strength=0")
SPLIT = ExperimentSettings("words", "split", second="keyword_weight=9")


class Clock:
    now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


class AtOnce(Executor):
    """Runs what is submitted before it returns."""

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        future.set_result(fn(*args, **kwargs))
        return future


@pytest.fixture
def events() -> ExperimentCluster:
    return ExperimentCluster()


def _watch(
    events: ExperimentCluster, settings: ExperimentSettings, clock: Clock, contexts: int = 2
) -> ExperimentWatch:
    requests = ClusterRequests(events, {})
    return ExperimentWatch(requests, settings, KEY, contexts, 1_000, clock, AtOnce())


def _show(
    events: ExperimentCluster, clock: Clock, variant: str, propensity: float, clicked: bool, **told: Any
) -> str:
    tag = ExperimentTag("words", variant, propensity=propensity, at=int(clock.now), **told)
    return events.search(tag, *[("click", "a", 1)] * clicked)


def _later(clock: Clock) -> None:
    clock.now += REWARD_SECONDS + 1


def test_it_reads_at_most_every_ten_seconds_and_knows_nothing_before(events: ExperimentCluster) -> None:
    clock = Clock()
    watch = _watch(events, BANDIT, clock)
    assert not ExperimentWatch(ClusterRequests(events, {}), BANDIT, KEY, 2, 1_000, clock)._state.is_known
    assert watch.state.is_known
    events.states["words"] = {"stopped": {"second": "by hand"}}
    clock.now += READ_SECONDS - 1
    assert not watch.state.stopped
    clock.now += 1
    assert watch.state.stopped == {"second": "by hand"}


def test_what_is_clicked_more_is_drawn_more_in_its_context(events: ExperimentCluster) -> None:
    clock, rng = Clock(), np.random.default_rng(1)
    watch = _watch(events, BANDIT, clock)
    for number in range(1_500):
        variant = ("first", "second", "third")[number % 3]
        context = number % 2
        likely = 0.6 if variant == ("second", "third")[context] else 0.3
        _show(events, clock, variant, 1 / 3, bool(rng.random() < likely), context=context)
    _later(clock)
    probabilities = watch.refresh().probabilities
    assert probabilities[0]["second"] > 0.6
    assert probabilities[1]["third"] > 0.6
    for drawn in probabilities.values():
        assert sum(drawn.values()) == pytest.approx(1)
        assert drawn["first"] >= 0.2 - 1e-9
        assert min(drawn.values()) >= 0.1 - 1e-9


def test_a_click_counts_once_and_only_when_its_time_is_over(events: ExperimentCluster) -> None:
    clock = Clock()
    watch = _watch(events, BANDIT, clock)
    query_id = _show(events, clock, "second", 0.5, clicked=True)
    watch.refresh()
    assert not watch._counts.variants
    _later(clock)
    for _ in range(3):
        watch.refresh()
    events.act(query_id, "click", "b")
    watch.refresh()
    counts = watch._counts.total("second")
    assert (counts.searches, counts.acted) == (1, 1)


def test_a_purchase_later_is_revenue(events: ExperimentCluster) -> None:
    clock = Clock()
    watch = _watch(events, SPLIT, clock, 1)
    query_id = _show(events, clock, "second", 0.5, clicked=True)
    _later(clock)
    watch.refresh()
    events.act(query_id, "purchase", "a", price=12.5)
    _later(clock)
    watch.refresh()
    watch.refresh()
    assert watch._counts.total("second").revenue == 12.5


def test_a_bad_policy_is_given_up_within_a_minute(events: ExperimentCluster) -> None:
    clock, rng = Clock(), np.random.default_rng(2)
    watch = _watch(events, BANDIT, clock)
    for _ in range(3_000):  # a good hour before hides nothing
        variant, propensity = ("first", 0.2) if rng.random() < 0.2 else ("second", 0.7)
        _show(events, clock, variant, propensity, bool(rng.random() < 0.3))
    _later(clock)
    assert not watch.refresh().stopped
    injected = clock.now
    while not watch.state.stopped and clock.now < injected + 120:
        for _ in range(100):  # a second of a shop with 100 searches
            variant, propensity = ("first", 0.2) if rng.random() < 0.2 else ("second", 0.7)
            rate = 0.3 if variant == "first" else 0.02
            _show(events, clock, variant, propensity, bool(rng.random() < rate))
        clock.now += 1
    assert clock.now - injected <= 60
    assert watch.state.stopped.keys() == {"second", "third"}
    assert events.states["words"]["stopped"] == watch.state.stopped
    assert _watch(events, BANDIT, clock).refresh().stopped == watch.state.stopped  # another process


def test_an_equal_policy_is_not_given_up(events: ExperimentCluster) -> None:
    clock, rng = Clock(), np.random.default_rng(3)
    watch = _watch(events, BANDIT, clock)
    for _ in range(5_000):
        variant, propensity = ("first", 0.2) if rng.random() < 0.2 else ("second", 0.7)
        _show(events, clock, variant, propensity, bool(rng.random() < 0.3))
    _later(clock)
    assert not watch.refresh().stopped


@pytest.mark.parametrize(
    ("told", "reason"),
    [
        ({"took_ms": 2_000}, "more searches are slow"),
        ({"empty": True}, "more searches find nothing"),
    ],
)
def test_a_variant_that_harms_is_stopped_and_says_why(
    events: ExperimentCluster, told: dict[str, Any], reason: str
) -> None:
    clock = Clock()
    watch = _watch(events, SPLIT, clock, 1)
    for number in range(4_000):
        _show(events, clock, "first", 0.5, True, **(told if number % 10 == 0 else {}))
        _show(events, clock, "second", 0.5, True, **(told if number % 5 == 0 else {}))
    _later(clock)
    assert watch.refresh().stopped == {"second": reason}


def test_a_variant_that_brings_less_revenue_is_stopped(events: ExperimentCluster) -> None:
    clock, rng = Clock(), np.random.default_rng(4)
    watch = _watch(events, SPLIT, clock, 1)
    for _ in range(4_000):
        for variant, share in (("first", 0.2), ("second", 0.1)):
            query_id = _show(events, clock, variant, 0.5, True)
            if rng.random() < share:
                events.act(query_id, "purchase", "a", price=float(rng.exponential(20)))
    _later(clock)
    assert watch.refresh().stopped == {"second": "searches bring less revenue"}


def test_an_interleaving_that_shoppers_decide_against_is_stopped(events: ExperimentCluster) -> None:
    clock = Clock()
    watch = _watch(events, ExperimentSettings("words", second="rrf_k=9"), clock, 1)
    for number in range(1_200):
        tag = ExperimentTag("words", "interleaved", 0, (True, False), at=int(clock.now))
        events.search(tag, ("click", "a", 1) if number % 4 else ("click", "b", 2))
    _later(clock)
    assert watch.refresh().stopped == {"second": "shoppers prefer the first ranking"}
