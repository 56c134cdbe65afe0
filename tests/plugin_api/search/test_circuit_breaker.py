import pytest

from plugin_api.search.caller_key import view_key
from plugin_api.search.circuit_breaker import FAILURES, PAUSE_SECONDS, Breaker

TRIPPED = ["boom"] * FAILURES


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_after_failures_in_a_row_a_key_rests_and_then_one_may_try() -> None:
    clock = Clock()
    breaker = Breaker(clock)
    for reason in TRIPPED:
        assert not breaker.refusal("shop")
        breaker.failed("shop", reason)
    assert "the last time because boom" in breaker.refusal("shop")
    assert not breaker.refusal("toys")
    clock.now = PAUSE_SECONDS
    assert [bool(breaker.refusal("shop")) for _ in range(3)] == [False, True, True]
    breaker.succeeded("shop")
    assert not breaker.refusal("shop")
    assert breaker.open == 0


@pytest.mark.parametrize("name", ["authorization", "cookie", "x-proxy-user", "x-their-own-token"])
def test_a_circuit_is_one_callers(name: str) -> None:
    """A reason may name a product that another caller may not see."""
    ann, bob = (view_key("shop", {name: who, "x-request-id": who}) for who in ("ann", "bob"))
    breaker = Breaker()
    for reason in TRIPPED:
        breaker.failed(ann, reason)
    assert breaker.refusal(ann)
    assert not breaker.refusal(bob)
    assert "ann" not in ann


def test_headers_that_say_nothing_of_the_caller_make_no_other_circuit() -> None:
    keys = {view_key("shop", {"authorization": "a", "x-request-id": of, "user-agent": of}) for of in "ab"}
    assert len(keys) == 1
