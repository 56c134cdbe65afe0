from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mappings.errors import ModelError
from reranker.risk.scorer import RiskInputs, RiskScorer, classify_risk, load_risk_scorer

NAMES = ("income", "debts", "shoe size")


def make_scorer() -> RiskScorer:
    """A scorer of random weights that ignores the shoe size."""
    rng = np.random.default_rng(3)
    hidden = rng.normal(size=(6, 128))
    hidden[[2, 5]] = 0
    knots = np.sort(rng.normal(size=(3, 9)), axis=1)
    inputs = RiskInputs(np.zeros(3), np.ones(3), knots)
    return RiskScorer(NAMES, inputs, hidden, rng.normal(size=128), rng.normal(size=128) / 20, -1.0)


@given(st.lists(st.floats(-50, 50), min_size=3, max_size=3))
def test_reasons_add_up_to_the_log_odds_and_what_is_ignored_adds_nothing(values: list[float]) -> None:
    scorer, features = make_scorer(), np.array(values)
    base, added = scorer.explain(features)
    assert base == pytest.approx(float(scorer.log_odds(np.zeros((1, 3)))[0]))
    assert base + added.sum() == pytest.approx(float(scorer.log_odds(features[None])[0]), abs=1e-9)
    assert added[2] == 0


def test_a_missing_value_counts_as_the_average_one() -> None:
    scorer = make_scorer()
    _, added = scorer.explain(np.array([np.nan, 2.0, 1.0]))
    assert added[0] == 0
    missing, average = scorer.probabilities(np.array([[np.nan, 2.0, 1.0], [0.0, 2.0, 1.0]]))
    assert missing == average


def test_a_scorer_is_read_as_it_was_written(tmp_path: Path) -> None:
    scorer = make_scorer()
    scorer.save(tmp_path / "risk.npz")
    loaded = load_risk_scorer(tmp_path / "risk.npz")
    people = np.random.default_rng(1).normal(size=(5, 3))
    assert loaded.features == NAMES
    assert (loaded.log_odds(people) == scorer.log_odds(people)).all()


def test_other_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "no.npz").write_bytes(b"no")
    np.savez(tmp_path / "other.npz", features=np.array(["a"]))
    for name in ("no.npz", "other.npz", "missing.npz"):
        with pytest.raises(ModelError, match="holds no risk scorer"):
            load_risk_scorer(tmp_path / name)


def test_classes_rise_with_the_probability() -> None:
    assert [classify_risk(p) for p in (0.0, 0.0099, 0.01, 0.03, 0.07, 0.15, 0.3, 0.9)] == [
        1,
        1,
        2,
        3,
        4,
        5,
        6,
        7,
    ]
