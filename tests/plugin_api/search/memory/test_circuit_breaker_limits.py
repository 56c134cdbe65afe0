"""What a breaker does at its edges: trials that fail, many callers at once, more keys than it remembers."""

from concurrent.futures import ThreadPoolExecutor

from plugin_api.search.memory.circuit_breaker import FAILURES_TO_OPEN, MAX_KEYS, OPEN_SECONDS, CircuitBreaker
from plugin_api.search.reasons import Cause, Reason


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def failed(error: str) -> Cause:
    return Reason.KNN_FAILED.because(error=error)


def tripped(breaker: CircuitBreaker, key: str = "shop", times: int = FAILURES_TO_OPEN) -> None:
    for _ in range(times):
        breaker.record_failure(key, failed("no vectors"))


def test_what_succeeds_now_and_then_is_never_refused() -> None:
    breaker = CircuitBreaker()
    for _ in range(3):
        tripped(breaker, times=FAILURES_TO_OPEN - 1)
        assert breaker.cause_to_skip("shop") is None
        breaker.record_success("shop")
    assert breaker.open_circuits == 0


def test_a_refusal_says_how_often_and_why() -> None:
    breaker = CircuitBreaker()
    tripped(breaker)
    cause = breaker.cause_to_skip("shop")
    assert cause
    assert cause.sentence == (
        f"reranking failed {FAILURES_TO_OPEN} times in a row, "
        "the last time because the k-NN search failed: no vectors"
    )


def test_a_trial_that_fails_begins_a_whole_pause() -> None:
    clock = Clock()
    breaker = CircuitBreaker(clock=clock)
    tripped(breaker)
    clock.now += OPEN_SECONDS
    assert breaker.cause_to_skip("shop") is None
    clock.now += 1
    breaker.record_failure("shop", failed("again"))
    clock.now += OPEN_SECONDS - 0.5
    cause = breaker.cause_to_skip("shop")
    assert cause
    assert cause.sentence.endswith("failed: again")
    assert breaker.open_circuits == 1
    clock.now += 0.5
    assert breaker.cause_to_skip("shop") is None


def test_a_trial_that_never_ends_leaves_the_next_to_another() -> None:
    clock = Clock()
    breaker = CircuitBreaker(clock=clock)
    tripped(breaker)
    for _ in range(3):
        clock.now += OPEN_SECONDS
        assert [breaker.cause_to_skip("shop") is None for _ in range(3)] == [True, False, False]


def test_of_many_callers_at_once_one_may_try() -> None:
    clock = Clock()
    breaker = CircuitBreaker(clock=clock)
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda _: breaker.record_failure("shop", failed("no")), range(200)))
        clock.now += OPEN_SECONDS
        assert sum(cause is None for cause in pool.map(breaker.cause_to_skip, ["shop"] * 200)) == 1


def test_no_more_keys_are_remembered_than_may_be_and_the_oldest_failure_goes_first() -> None:
    breaker = CircuitBreaker()
    tripped(breaker, "first")
    tripped(breaker, "second")
    breaker.record_failure("first", failed("again"))
    for number in range(MAX_KEYS - 1):
        breaker.record_failure(f"index-{number}", failed("no"))
    assert breaker.cause_to_skip("first") is not None
    assert breaker.cause_to_skip("second") is None
    assert breaker.open_circuits == 1
    for number in range(5 * MAX_KEYS):
        tripped(breaker, f"other-{number}")
    assert breaker.open_circuits == MAX_KEYS


def test_success_without_failure_costs_no_memory() -> None:
    breaker = CircuitBreaker()
    for number in range(10):
        breaker.record_success(f"index-{number}")
    assert breaker.open_circuits == 0
