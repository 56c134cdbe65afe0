import numpy as np
import pytest

from mappings.errors import LabelsError
from reranker.evaluation.calibration import measure_calibration
from reranker.training.risk.trainer import train_risk_scorer
from reranker.types import Doubles


def make_people(count: int, seed: int) -> tuple[Doubles, Doubles]:
    """Features and outcomes that no line separates: what matters is how far from the middle the first is."""
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(count, 3))
    odds = 2 * features[:, 0] ** 2 - 2 + features[:, 1]
    return features, (rng.random(count) < 1 / (1 + np.exp(-odds))).astype(float)


def area_under_curve(scores: Doubles, outcomes: Doubles) -> float:
    ranks = np.argsort(np.argsort(scores)) + 1
    good = outcomes.sum()
    return float((ranks[outcomes == 1].sum() - good * (good + 1) / 2) / (good * (len(scores) - good)))


def test_a_trained_scorer_ranks_and_is_calibrated_on_people_it_has_not_seen() -> None:
    scorer = train_risk_scorer(("a", "b", "c"), *make_people(900, 1))
    features, outcomes = make_people(2000, 2)
    probabilities = scorer.probabilities(features)
    assert area_under_curve(probabilities, outcomes) > 0.75  # by the first two features on a line, 0.66
    assert measure_calibration(probabilities.tolist(), (outcomes == 1).tolist()).error < 0.06


def test_training_is_the_same_each_time_and_reads_gaps() -> None:
    features, outcomes = make_people(200, 3)
    features[::7, 1] = np.nan
    first, second = (train_risk_scorer(("a", "b", "c"), features, outcomes) for _ in range(2))
    assert (first.log_odds(features) == second.log_odds(features)).all()
    assert np.isfinite(first.log_odds(features)).all()


def test_too_few_outcomes_are_refused() -> None:
    features, _ = make_people(100, 4)
    with pytest.raises(LabelsError, match="19 people of one outcome"):
        train_risk_scorer(("a", "b", "c"), features, np.array([1.0] * 19 + [0.0] * 81))
