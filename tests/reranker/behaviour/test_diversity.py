import numpy as np
import pytest

from reranker.behaviour.diversity import diversify

SCORES = np.array([4, 3, 2, 1], np.float32)
VECTORS = np.array([[1, 0], [1, 0], [0, 1], [0, 1]], np.float32)


def test_without_diversity_the_scores_decide() -> None:
    assert diversify(SCORES, VECTORS, 4, 0) == [0, 1, 2, 3]


@pytest.mark.parametrize("diversity", [0.4, 0.9])
def test_a_product_like_the_first_comes_later(diversity: float) -> None:
    assert diversify(SCORES, VECTORS, 2, diversity) == [0, 2]


def test_every_product_comes_once_and_no_more_than_asked_for() -> None:
    assert sorted(diversify(SCORES, VECTORS, 9, 0.5)) == [0, 1, 2, 3]
    assert diversify(SCORES[:0], VECTORS[:0], 3, 0.5) == []


def test_the_scale_of_scores_does_not_matter() -> None:
    assert diversify(SCORES * 1000, VECTORS, 4, 0.3) == diversify(SCORES, VECTORS, 4, 0.3)
