"""A job that is told to end while it loads the model or encodes.

`tests.bench.terminations` does it at length.
"""

import random

import pytest

from tests.bench.terminations import terminate


@pytest.mark.parametrize("command", ["index --full", "rollback"])
def test_a_job_that_is_told_to_end_ends_in_good_order(command: str) -> None:
    counts = terminate(command, 3, 60, random.Random(7))
    assert counts.statuses.total() == 3
    assert counts.locks_left == 0
    assert counts.odd == ""
