from collections import Counter

import pytest

from mappings.errors import EvaluationError
from reranker.experiments.assignment import assign_variant

SHARES = {"old": 0.5, "new": 0.5}


def test_a_unit_keeps_its_variant() -> None:
    assert len({assign_variant("depth", "u1", SHARES) for _ in range(20)}) == 1


def test_variants_get_their_shares() -> None:
    drawn = Counter(assign_variant("depth", f"u{i}", {"old": 3, "new": 1, "off": 0}) for i in range(4000))
    assert drawn["old"] / 4000 == pytest.approx(0.75, abs=0.03)
    assert drawn["off"] == 0


def test_experiments_draw_independently() -> None:
    both = Counter(
        (assign_variant("a", f"u{i}", SHARES), assign_variant("b", f"u{i}", SHARES)) for i in range(4000)
    )
    assert all(count / 4000 == pytest.approx(0.25, abs=0.03) for count in both.values())


@pytest.mark.parametrize("shares", [{}, {"old": 0.0}, {"old": 1.0, "new": -1.0}])
def test_shares_that_draw_nobody_are_refused(shares: dict[str, float]) -> None:
    with pytest.raises(EvaluationError, match="depth"):
        assign_variant("depth", "u1", shares)
