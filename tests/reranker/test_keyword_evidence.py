import math

import pytest

from reranker.keyword_evidence import add_keyword_evidence, compute_keyword_log_odds


def test_a_hit_that_keywords_find_as_well_needs_less_of_the_model() -> None:
    scores, bm25 = [0.6, 0.6, 0.6], [8.0, 4.0, 0.0]
    best, worse, unfound = add_keyword_evidence(scores, bm25, 1.0)
    for found, moved in ((best, 0.3), (worse, -0.2), (unfound, -0.7)):
        assert found == pytest.approx(1 / (1 + math.exp(-(math.log(0.6 / 0.4) + moved))))
    assert all(0 <= score <= 1 for score in add_keyword_evidence([0.0, 1.0], [1.0, 0.0], 50.0))


def test_where_keywords_say_nothing_the_scores_stay_to_the_bit() -> None:
    scores = [0.6, 1 / 3, 0.0]
    assert add_keyword_evidence(scores, [8.0, 4.0, 0.0], 0.0) == scores
    assert add_keyword_evidence(scores, [0.0, 0.0, 0.0], 1.0) == scores
    assert add_keyword_evidence([], [], 1.0) == []


def test_log_odds_go_by_the_share_of_the_best_keyword_score() -> None:
    moved = compute_keyword_log_odds([8.0, 4.0, 0.0, -1.0], 2.0)
    beside_the_best_alone = compute_keyword_log_odds([4.0, 8.0], 2.0)  # as the preview page explains a hit
    assert moved is not None
    assert beside_the_best_alone is not None
    assert moved.tolist() == pytest.approx([0.6, -0.4, -1.4, -1.4])
    assert beside_the_best_alone[0] == moved[1]


@pytest.mark.parametrize(("first_scores", "weight"), [([2.0], 0.0), ([-2.0, 0.0], 2.0), ([], 2.0)])
def test_keywords_that_have_no_say_move_nothing(first_scores: list[float], weight: float) -> None:
    assert compute_keyword_log_odds(first_scores, weight) is None
