from dataclasses import replace

import numpy as np

from reranker.fusion import FEATURES, IdfTable, Scorer
from reranker.training.recipe import ScorerConfig
from reranker.training.scoring.cross_validation import train_held_out_scorers
from reranker.training.scoring.preparation import ExampleSet
from reranker.training.scoring.scorer import Example

NONE = np.zeros(1, np.float32)
BLANK = Scorer(0.05, IdfTable(NONE, NONE), NONE, NONE, NONE, NONE, NONE, NONE)


def test_no_query_is_scored_by_a_scorer_that_saw_it() -> None:
    random = np.random.default_rng(1)

    def example(gains: list[float]) -> Example:
        inputs = random.random((3, len(FEATURES) + 4)).astype(np.float32)
        return Example(inputs, np.array(gains, np.float32), None)

    unjudged = [example([1, 1, 0])]
    graded = {str(i): example([1, 0, 0]) for i in range(10)}
    config = ScorerConfig(epochs=2)
    before = train_held_out_scorers(BLANK, ExampleSet(unjudged, graded, 1.0), config)
    assert before.keys() == graded.keys()
    graded["3"] = replace(graded["3"], gains=np.array([0, 0, 1], np.float32))
    after = train_held_out_scorers(BLANK, ExampleSet(unjudged, graded, 1.0), config)
    unchanged = {q for q in graded if np.array_equal(before[q].hidden, after[q].hidden)}
    assert "3" in unchanged
    assert len(unchanged) == 2  # its own fold: the other scorers all learnt from it
