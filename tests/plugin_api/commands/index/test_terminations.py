"""A rebuild that is told to end while it encodes. `tests.bench.terminations` does it at length."""

import random

from tests.bench.terminations import terminate


def test_a_rebuild_that_is_told_to_end_ends_in_good_order() -> None:
    counts = terminate("index --full", 3, 60, random.Random(7))
    assert counts.statuses.total() == 3
    assert counts.locks_left == 0
    assert counts.odd == ""
