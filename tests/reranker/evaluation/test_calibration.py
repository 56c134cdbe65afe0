import numpy as np
import pytest

from reranker.evaluation.calibration import BINS, measure_calibration


def test_error_is_the_mean_distance_of_bins_from_the_truth() -> None:
    # 0.9 comes true half the time, 0.1 never: 2 pairs 0.4 off, 2 pairs 0.1 off.
    found = measure_calibration([0.9, 0.9, 0.1, 0.1], [True, False, False, False])
    assert found.error == pytest.approx(0.25)
    assert [b.pairs for b in found.bins] == [0, 2, 0, 0, 0, 0, 0, 0, 0, 2]
    assert (found.bins[9].expected, found.bins[9].observed) == pytest.approx((0.9, 0.5))


def test_probabilities_that_come_true_have_little_error() -> None:
    random = np.random.default_rng(1)
    probabilities = random.random(20_000)
    relevant = random.random(20_000) < probabilities
    assert measure_calibration(probabilities.tolist(), relevant.tolist()).error < 0.02
    assert measure_calibration((1 - probabilities).tolist(), relevant.tolist()).error > 0.4


def test_the_ends_belong_to_a_bin() -> None:
    bins = measure_calibration([0.0, 1.0], [False, True]).bins
    assert (bins[0].pairs, bins[BINS - 1].pairs) == (1, 1)


def test_nothing_judged_is_refused() -> None:
    with pytest.raises(ValueError, match="0 probabilities"):
        measure_calibration([], [])
