import threading
import time

import pytest
from opensearchpy.exceptions import ConnectionError as NoConnection
from opensearchpy.exceptions import RequestError, TransportError

from indexer.store.retry import RetryPolicy
from mappings.errors import ClusterDown, IndexingError, JobStopped

AWAY = NoConnection("N/A", "connection refused", OSError())


class Flaky:
    """Fails with each of the errors, then answers."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)

    def __call__(self) -> str:
        if self.errors:
            raise self.errors.pop(0)
        return "done"


class InstantEvent(threading.Event):
    """An event that does not wait, but records for how long it should have. `wait` sets it the nth time."""

    def __init__(self, set_at: int = 0) -> None:
        super().__init__()
        self.waits: list[float] = []
        self._set_at = set_at

    def wait(self, timeout: float | None = None) -> bool:
        self.waits.append(timeout or 0.0)
        if len(self.waits) == self._set_at:
            self.set()
        return self.is_set()


def test_transient_failures_are_retried_at_growing_intervals() -> None:
    event, reasons = InstantEvent(), list[str]()
    retry = RetryPolicy(300, lambda why, _: reasons.append(why), event)
    errors = [AWAY, TransportError(429, "too many"), TransportError(503, "starting"), AWAY] * 2
    assert retry.call("counting", Flaky(*errors)) == "done"
    assert len(event.waits) == len(reasons) == 8
    assert reasons[1] == "counting: 429 too many"
    longest = [min(20.0, 0.5 * 2**tries) for tries in range(8)]
    assert all(most / 2 <= seconds <= most for seconds, most in zip(event.waits, longest, strict=True))


def test_pauses_are_drawn_at_random() -> None:
    event = InstantEvent()
    for _ in range(8):
        RetryPolicy(300, stop=event).call("counting", Flaky(AWAY))
    assert len(set(event.waits)) > 1


def test_a_permanent_failure_is_not_retried() -> None:
    event = InstantEvent()
    with pytest.raises(IndexingError, match="refused counting: 400 no such field"):
        RetryPolicy(300, stop=event).call(
            "counting", Flaky(RequestError(400, "bad", {"error": {"reason": "no such field"}}))
        )
    assert event.waits == []


def test_retries_end_with_the_time_of_the_policy() -> None:
    with pytest.raises(ClusterDown, match="stopped answering while counting"):
        RetryPolicy(0).call("counting", Flaky(AWAY, AWAY))
    began = time.monotonic()
    with pytest.raises(ClusterDown):
        RetryPolicy(0.2).call("counting", Flaky(*[AWAY] * 100))
    assert time.monotonic() - began >= 0.2


def test_a_job_that_is_told_to_stop_makes_no_further_call() -> None:
    event = InstantEvent(set_at=2)
    flaky = Flaky(*[AWAY] * 100)
    with pytest.raises(JobStopped, match="continues where it was"):
        RetryPolicy(300, stop=event).call("counting", flaky)
    assert len(flaky.errors) == 98
    with pytest.raises(JobStopped):
        RetryPolicy(300, stop=event).call("counting", flaky)
    assert len(flaky.errors) == 98
