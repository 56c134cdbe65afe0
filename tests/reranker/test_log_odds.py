import numpy as np
import pytest

from reranker.log_odds import compute_log_odds, compute_probabilities


def test_log_odds_are_finite() -> None:
    odds = compute_log_odds(np.array([0.0, 0.5, 1.0], dtype=np.float32))
    assert odds.tolist() == pytest.approx([-20.723266, 0.0, 20.723266], abs=1e-3)


def test_probabilities_come_back() -> None:
    assert compute_probabilities(compute_log_odds([0.01, 0.5, 0.9])).tolist() == pytest.approx(
        [0.01, 0.5, 0.9]
    )
