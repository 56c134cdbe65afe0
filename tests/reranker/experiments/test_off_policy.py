import numpy as np
import pytest

from mappings.errors import EvaluationError
from reranker.experiments.off_policy import (
    count_effective_events,
    estimate_doubly_robust,
    estimate_self_normalised,
)

LOGGED = np.array([0.6, 0.3, 0.1])
RATES = np.array([0.10, 0.15, 0.30])
OTHER = np.array([0.1, 0.2, 0.7])


def test_both_estimates_hold_the_truth_in_most_runs() -> None:
    rng = np.random.default_rng(1)
    truth = float(OTHER @ RATES)
    held = [0, 0]
    for _ in range(200):
        actions = rng.choice(3, size=10_000, p=LOGGED)
        rewards = (rng.random(10_000) < RATES[actions]).astype(float)
        weights = (OTHER / LOGGED)[actions]
        model = RATES + 0.05  # biased: the correction mends it
        estimates = (
            estimate_self_normalised(rewards, weights),
            estimate_doubly_robust(rewards, weights, model[actions], np.full(10_000, OTHER @ model)),
        )
        for at, estimate in enumerate(estimates):
            held[at] += estimate.low <= truth <= estimate.high
    assert all(count >= 180 for count in held)


def test_few_effective_events_are_refused() -> None:
    weights = np.full(100_000, 1e-6)
    weights[:5] = 1e4
    with pytest.raises(EvaluationError, match="worth 5 of this policy"):
        estimate_self_normalised(np.ones(100_000), weights)
    with pytest.raises(EvaluationError, match="fewer than 1000"):
        estimate_doubly_robust(np.ones(500), np.ones(500), np.ones(500), np.ones(500))
    with pytest.raises(EvaluationError, match="worth 0"):
        estimate_self_normalised(np.empty(0), np.empty(0))


def test_broken_propensities_are_refused() -> None:
    weights = np.ones(2000)
    weights[7] = np.inf
    with pytest.raises(EvaluationError, match="propensities"):
        estimate_self_normalised(np.ones(2000), weights)


def test_equal_weights_count_every_event() -> None:
    assert count_effective_events(np.full(1234, 0.5)) == pytest.approx(1234)
