import math

import pytest

from plugin_api.keyword_evidence import with_keywords


def test_a_hit_that_keywords_find_as_well_needs_less_of_the_model() -> None:
    scores, bm25 = [0.6, 0.6, 0.6], [8.0, 4.0, 0.0]
    best, worse, unfound = with_keywords(scores, bm25, 1.0)
    for found, moved in ((best, 0.3), (worse, -0.2), (unfound, -0.7)):
        assert found == pytest.approx(1 / (1 + math.exp(-(math.log(0.6 / 0.4) + moved))))
    assert with_keywords(scores, bm25, 0.0) == pytest.approx(scores)
    assert with_keywords(scores, [0.0, 0.0, 0.0], 1.0) == scores
    assert all(0 <= score <= 1 for score in with_keywords([0.0, 1.0], [1.0, 0.0], 50.0))
