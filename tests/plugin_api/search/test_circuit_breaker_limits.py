"""What a breaker does at its edges: trials that fail, many callers at once, more keys than it remembers."""

from concurrent.futures import ThreadPoolExecutor

from plugin_api.search.circuit_breaker import FAILURES, PAUSE_SECONDS, REMEMBERED, Breaker


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def tripped(breaker: Breaker, key: str = "shop", times: int = FAILURES) -> None:
    for _ in range(times):
        breaker.failed(key, "the deadline of 500 ms passed")


def test_what_succeeds_now_and_then_is_never_refused() -> None:
    breaker = Breaker()
    for _ in range(3):
        tripped(breaker, times=FAILURES - 1)
        assert breaker.refusal("shop") == ""
        breaker.succeeded("shop")
    assert breaker.open == 0


def test_a_refusal_says_how_often_and_why() -> None:
    breaker = Breaker()
    tripped(breaker)
    assert breaker.refusal("shop") == (
        f"reranking failed {FAILURES} times in a row, the last time because the deadline of 500 ms passed"
    )


def test_a_trial_that_fails_begins_a_whole_pause() -> None:
    clock = Clock()
    breaker = Breaker(clock)
    tripped(breaker)
    clock.now += PAUSE_SECONDS
    assert breaker.refusal("shop") == ""
    clock.now += 1
    breaker.failed("shop", "again")
    clock.now += PAUSE_SECONDS - 0.5
    assert "because again" in breaker.refusal("shop")
    assert breaker.open == 1
    clock.now += 0.5
    assert breaker.refusal("shop") == ""


def test_a_trial_that_never_ends_leaves_the_next_to_another() -> None:
    clock = Clock()
    breaker = Breaker(clock)
    tripped(breaker)
    for _ in range(3):
        clock.now += PAUSE_SECONDS
        assert [breaker.refusal("shop") == "" for _ in range(3)] == [True, False, False]


def test_of_many_callers_at_once_one_may_try() -> None:
    clock = Clock()
    breaker = Breaker(clock)
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda _: breaker.failed("shop", "no"), range(200)))
        clock.now += PAUSE_SECONDS
        assert sum(reason == "" for reason in pool.map(breaker.refusal, ["shop"] * 200)) == 1


def test_no_more_keys_are_remembered_than_may_be_and_the_oldest_failure_goes_first() -> None:
    breaker = Breaker()
    tripped(breaker, "first")
    tripped(breaker, "second")
    breaker.failed("first", "again")
    for number in range(REMEMBERED - 1):
        breaker.failed(f"index-{number}", "no")
    assert breaker.refusal("first") != ""
    assert breaker.refusal("second") == ""
    assert breaker.open == 1
    for number in range(5 * REMEMBERED):
        tripped(breaker, f"other-{number}")
    assert breaker.open == REMEMBERED


def test_success_without_failure_costs_no_memory() -> None:
    breaker = Breaker()
    for number in range(10):
        breaker.succeeded(f"index-{number}")
    assert breaker.open == 0
