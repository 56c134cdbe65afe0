import json

import pytest

from mappings.settings import SearchSettings, Settings, SidecarSettings
from plugin_api.search.caller_key import make_caller_key
from plugin_api.search.memory.circuit_breaker import FAILURES_TO_OPEN, OPEN_SECONDS, CircuitBreaker
from plugin_api.search.query.types import SearchCall
from plugin_api.search.reasons import Reason
from plugin_api.search.search import Searcher
from tests.fakes.shop import VERSION, Shop, StandInModel

MOUSE = {"match": {"title": "mouse"}}

TRIPPED = [Reason.MODEL_ERROR.because(error="boom")] * FAILURES_TO_OPEN


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_after_failures_in_a_row_a_key_rests_and_then_one_may_try() -> None:
    clock = Clock()
    breaker = CircuitBreaker(clock=clock)
    for cause in TRIPPED:
        assert not breaker.cause_to_skip("shop")
        breaker.record_failure("shop", cause)
    skipped = breaker.cause_to_skip("shop")
    assert skipped
    assert "the last time because boom" in skipped.sentence
    assert not breaker.cause_to_skip("toys")
    clock.now = OPEN_SECONDS
    assert [bool(breaker.cause_to_skip("shop")) for _ in range(3)] == [False, True, True]
    breaker.record_success("shop")
    assert not breaker.cause_to_skip("shop")
    assert breaker.open_circuits == 0


@pytest.mark.parametrize("name", ["authorization", "cookie", "x-proxy-user", "x-their-own-token"])
def test_a_circuit_is_one_callers(name: str) -> None:
    """A reason may name a product that another caller may not see."""
    ann, bob = (make_caller_key("shop", {name: who, "x-request-id": who}) for who in ("ann", "bob"))
    breaker = CircuitBreaker()
    for cause in TRIPPED:
        breaker.record_failure(ann, cause)
    assert breaker.cause_to_skip(ann)
    assert not breaker.cause_to_skip(bob)
    assert "ann" not in ann


def test_headers_that_say_nothing_of_the_caller_make_no_other_circuit() -> None:
    keys = {
        make_caller_key("shop", {"authorization": "a", "x-request-id": of, "user-agent": of}) for of in "ab"
    }
    assert len(keys) == 1


def opened_by(
    shop: Shop, sidecar: SidecarSettings, model: StandInModel | None = None, **body: object
) -> bool:
    """Whether searches like this one, that all fail, let another caller's search go unranked."""
    shop.products, shop.near = {"a": 51}, {"b": 102}
    settings = Settings(sidecar=sidecar, search=SearchSettings(always="tenant"))
    searcher = Searcher(shop, model or StandInModel(), settings)
    for _ in range(FAILURES_TO_OPEN + 1):
        searcher.answer(SearchCall("shop", json.dumps({"query": MOUSE, **body}).encode()))
    return searcher.limiter.breaker.open_circuits > 0


FAST = SidecarSettings(deadline_ms=5000)
ERROR = {"error": {"type": "query_shard_exception", "reason": "no vectors"}, "status": 400}


def broken_knn() -> Shop:
    shop = Shop()
    shop.refuse["near"] = (400, ERROR)
    return shop


def test_an_index_whose_vectors_fail_is_rested() -> None:
    assert opened_by(broken_knn(), FAST)


@pytest.mark.parametrize(
    "body",
    [
        {"ext": {"attune": {"window": 7}}},
        {"ext": {"attune": {"model": VERSION}}},
        {"timeout": "1s"},
        {"query": {"bool": {"must": [MOUSE], "filter": [{"term": {"tenant": "acme"}}]}}},
    ],
    ids=["an option", "another model", "a short time limit", "a condition"],
)
def test_what_a_caller_chooses_rests_no_index(body: dict[str, object]) -> None:
    assert not opened_by(broken_knn(), FAST, **body)


def test_a_sidecar_that_is_too_slow_rests_no_index() -> None:
    slow = StandInModel(score_seconds=0.2)
    assert not opened_by(Shop(), SidecarSettings(deadline_ms=100), slow)


def test_an_opensearch_that_is_late_by_itself_is_rested() -> None:
    shop = Shop()
    shop.slow_seconds = 0.2
    assert opened_by(shop, SidecarSettings(deadline_ms=100))
