from dataclasses import replace

import numpy as np
import pytest

from reranker.length_scaling import LONGEST, calibrate, compute_scale
from reranker.types import EncodedQuery

SCALING = np.array([1.0, -0.5, 0.25], dtype=np.float32)


def query(scale: tuple[float, float]) -> EncodedQuery:
    return EncodedQuery(
        "mouse", np.zeros(2, np.float32), np.zeros((1, 2), np.float32), ("mouse",), scale=scale
    )


def test_longer_queries_are_scaled_more_up_to_a_length() -> None:
    slopes = [compute_scale(SCALING, tokens)[0] for tokens in range(1, LONGEST + 1)]
    assert slopes == sorted(slopes, reverse=True)
    assert slopes[0] == 1
    assert compute_scale(SCALING, 30) == compute_scale(SCALING, LONGEST)
    assert compute_scale(SCALING, 0) == compute_scale(SCALING, 1) == (1, 0.25)


def test_calibrating_keeps_the_order_and_moves_log_odds_by_slope_and_shift() -> None:
    before = [0.99, 0.5, 0.02, 0.5]
    after = calibrate(query((0.5, 0.4)), before)
    assert np.argsort(after, kind="stable").tolist() == np.argsort(before, kind="stable").tolist()
    assert after[1] == pytest.approx(1 / (1 + np.exp(-0.4)))
    assert calibrate(query((1.0, 0.0)), before) == pytest.approx(before)
    assert calibrate(replace(query((0.5, 0.4))), []) == []
