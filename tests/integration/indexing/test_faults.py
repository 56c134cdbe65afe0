"""A few of `tests.bench.faults`' trials: whatever is killed or cut off, the index ends the same."""

import random
import time
from collections.abc import Iterator

import pytest

from tests.bench.faults.trials import Kind, Trials
from tests.fakes.tcp_proxy import TcpProxy

HELD_SECONDS = 7
"""Longer than the jobs wait for an answer."""


@pytest.fixture(scope="module")
def trials(opensearch: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trials]:
    trials = Trials(opensearch, tmp_path_factory.mktemp("faults"), products=400, batch=16)
    trials.prepare()
    assert {kind: len(of.documents) for kind, of in trials.references.items()}.keys() == {
        "rebuild",
        "changes",
    }
    yield trials
    trials.remove()


@pytest.mark.parametrize(
    ("kind", "least", "most"), [("rebuild", 0.1, 0.7), ("rebuild", 0.7, 1), ("changes", 0, 1)]
)
def test_a_job_that_is_killed_ends_with_the_same_index(
    trials: Trials, kind: Kind, least: float, most: float
) -> None:
    outcome = trials.kill_job(kind, random.uniform(least, most))
    assert (outcome.what, outcome.different, outcome.left_over) == ("job killed", 0, 0)


def test_a_job_that_gets_no_answers_for_a_while_goes_on_by_itself(trials: Trials) -> None:
    with TcpProxy(trials.url) as wire:

        def hold() -> None:
            with wire.held():
                time.sleep(HELD_SECONDS)

        outcome = trials.disturb("rebuild", "held", random.uniform(0, 0.9), hold, wire.url)
    assert (outcome.what, outcome.runs, outcome.different, outcome.left_over) == ("held", 1, 0, 0)
