from pathlib import Path

import numpy as np
import pytest

from mappings.errors import ModelError
from reranker.behaviour.features import BEHAVIOUR_FEATURES
from reranker.behaviour.scorer import (
    BEHAVIOUR_UNITS,
    BehaviourScorer,
    load_behaviour_scorer,
    score_untrained,
)

F = len(BEHAVIOUR_FEATURES)


def _scorer(value: float = 0.1) -> BehaviourScorer:
    rng = np.random.default_rng(1)
    hidden = rng.normal(0, value, (F, BEHAVIOUR_UNITS)).astype(np.float32)
    output = rng.normal(0, 1, BEHAVIOUR_UNITS).astype(np.float32)
    ones = np.ones(F, np.float32)
    return BehaviourScorer(0 * ones, ones, hidden, np.zeros(BEHAVIOUR_UNITS, np.float32), output, 0.5)


def test_a_saved_scorer_scores_the_same(tmp_path: Path) -> None:
    scorer = _scorer()
    scorer.save(tmp_path / "behaviour.npz")
    features = np.random.default_rng(2).normal(size=(5, F)).astype(np.float32)
    assert load_behaviour_scorer(tmp_path / "behaviour.npz").logits(features) == pytest.approx(
        scorer.logits(features)
    )


def test_files_that_hold_no_scorer_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "behaviour.npz"
    with pytest.raises(ModelError, match="holds no behaviour scorer"):
        load_behaviour_scorer(path)
    path.write_bytes(b"nothing")
    with pytest.raises(ModelError, match="holds no behaviour scorer"):
        load_behaviour_scorer(path)
    np.savez(
        path, features=np.array(["other"]), mean=0, scale=0, hidden=0, hidden_bias=0, output=0, output_bias=0
    )
    with pytest.raises(ModelError, match="other features"):
        load_behaviour_scorer(path)
    _scorer(float("nan")).save(path)
    with pytest.raises(ModelError, match="not numbers"):
        load_behaviour_scorer(path)


def test_untrained_scores_put_the_history_first_then_what_it_speaks_for() -> None:
    features = np.zeros((3, F), np.float32)
    column = {name: at for at, name in enumerate(BEHAVIOUR_FEATURES)}
    features[:, column["popularity"]] = np.log1p([10.0, 10.0, 40.0])
    features[0, [column["bought"], column["known"]]] = np.log1p(2.0), 1
    features[0, column["kernel"]] = 3.0
    features[1, column["neighbours"]] = np.log1p(5.0)
    assert score_untrained(features).argsort()[::-1].tolist() == [0, 1, 2]
