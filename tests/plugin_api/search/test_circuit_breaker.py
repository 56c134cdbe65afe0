import pytest

from plugin_api.search.caller_key import make_caller_key
from plugin_api.search.circuit_breaker import FAILURES_TO_OPEN, OPEN_SECONDS, CircuitBreaker
from plugin_api.search.reasons import Reason

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
