import numpy as np
import pytest

from reranker.behaviour.features import BEHAVIOUR_FEATURES
from reranker.behaviour.likeness import score_by_likeness, score_new_products, weigh_likeness


def test_the_more_alike_the_more_a_purchase_says() -> None:
    assert weigh_likeness(1.0) > weigh_likeness(0.9) > weigh_likeness(0.0) >= 0
    assert weigh_likeness(1.0) / weigh_likeness(0.9) == pytest.approx(np.e)


def test_new_products_are_ranked_by_likes_bought_and_by_taste() -> None:
    features = np.zeros((4, len(BEHAVIOUR_FEATURES)), np.float32)
    features[1:, BEHAVIOUR_FEATURES.index("neighbours")] = [0.1, 0.2, 0.2]
    features[3, BEHAVIOUR_FEATURES.index("type")] = 1.0
    scores = score_new_products(features)
    assert scores[0] == 0
    assert list(np.argsort(scores)) == [0, 1, 2, 3]
    assert scores[3] < 1


def test_likeness_to_nothing_is_nothing() -> None:
    vectors = np.eye(3, dtype=np.float32)
    assert not score_by_likeness(vectors, vectors[:0], np.empty(0)).any()
    assert score_by_likeness(vectors, vectors[:1], np.ones(1)).argmax() == 0
