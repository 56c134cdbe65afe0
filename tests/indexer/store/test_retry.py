import time

import pytest
from opensearchpy.exceptions import ConnectionError as NoConnection
from opensearchpy.exceptions import RequestError, TransportError

from indexer.store.retry import Patience
from mappings.errors import ClusterDown, IndexingError

AWAY = NoConnection("N/A", "connection refused", OSError())


class Flaky:
    """Fails with each of the errors, then answers."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)

    def __call__(self) -> str:
        if self.errors:
            raise self.errors.pop(0)
        return "done"


@pytest.fixture
def slept(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    seconds: list[float] = []
    monkeypatch.setattr(time, "sleep", seconds.append)
    return seconds


def test_what_passes_is_tried_again_further_and_further_apart(slept: list[float]) -> None:
    said: list[str] = []
    patience = Patience(300, lambda why, _: said.append(why))
    errors = [AWAY, TransportError(429, "too many"), TransportError(503, "starting"), AWAY] * 2
    assert patience.call("counting", Flaky(*errors)) == "done"
    assert len(slept) == len(said) == 8
    assert said[1] == "counting: 429 too many"
    longest = [min(20.0, 0.5 * 2**tries) for tries in range(8)]
    assert all(most / 2 <= seconds <= most for seconds, most in zip(slept, longest, strict=True))


def test_pauses_are_drawn_at_random(slept: list[float]) -> None:
    for _ in range(8):
        Patience(300).call("counting", Flaky(AWAY))
    assert len(set(slept)) > 1


def test_what_stays_wrong_is_not_tried_again(slept: list[float]) -> None:
    with pytest.raises(IndexingError, match="refused counting: 400 no such field"):
        Patience(300).call(
            "counting", Flaky(RequestError(400, "bad", {"error": {"reason": "no such field"}}))
        )
    assert slept == []


def test_patience_ends() -> None:
    with pytest.raises(ClusterDown, match="stopped answering while counting"):
        Patience(0).call("counting", Flaky(AWAY, AWAY))
    began = time.monotonic()
    with pytest.raises(ClusterDown):
        Patience(0.2).call("counting", Flaky(*[AWAY] * 100))
    assert time.monotonic() - began >= 0.2
