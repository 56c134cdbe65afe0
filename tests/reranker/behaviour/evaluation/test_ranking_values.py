import numpy as np
import pytest

from reranker.behaviour.evaluation.ranking_values import (
    RankingValues,
    ShownProducts,
    measure_diversity,
    measure_order,
    pick_best,
    summarise_rankings,
)


def _rows(*rows: int) -> np.ndarray:
    return np.array(rows, dtype=np.int64)


def test_measures_of_one_order() -> None:
    recall, precision, ndcg, mrr = measure_order(_rows(5, 1, 7, 2), _rows(1, 2, 9), 4)
    assert (recall, precision, mrr) == (pytest.approx(2 / 3), 0.5, 0.5)
    ideal = 1 + 1 / np.log2(3) + 1 / np.log2(4)
    assert ndcg == pytest.approx((1 / np.log2(3) + 1 / np.log2(5)) / ideal)
    assert measure_order(_rows(5), _rows(1), 4) == (0, 0, 0, 0)
    assert measure_order(_rows(), _rows(1), 4) == (0, 0, 0, 0)


def test_shoppers_count_alike_however_many_orders_they_have() -> None:
    values = RankingValues()
    for _ in range(3):
        values.add("many", _rows(1), _rows(1))
    values.add("one", _rows(2), _rows(1))
    values.add("none", _rows(1), _rows())
    assert values.average("recall") == {"many": 1, "one": 0}


def test_figures_say_what_was_shown_and_who_is_better() -> None:
    good, bad = RankingValues(), RankingValues()
    for shopper in "abcdefghij":
        good.add(shopper, _rows(0, 1), _rows(0))
        bad.add(shopper, _rows(2, 3), _rows(0))
    vectors = np.array([[1, 0], [0, 1], [1, 0], [1, 0]], dtype=np.float32)
    figures = summarise_rankings(
        {"good": good, "bad": bad}, "good", ShownProducts(np.array([7.0, 7, 0, 1]), vectors)
    )
    assert figures["good"].means["recall"].mean == 1
    assert (figures["good"].coverage, figures["good"].different_products) == (0.5, 2)
    assert figures["good"].diversity == pytest.approx(1)
    assert figures["bad"].diversity == pytest.approx(0)
    assert figures["bad"].novelty > figures["good"].novelty == pytest.approx(1)
    assert figures["good"].compared is None
    compared = figures["bad"].compared
    assert compared is not None
    assert (compared.change.mean, compared.wins) == (1, 10)
    assert compared.p_holm < 0.01


def test_without_orders_there_are_no_figures() -> None:
    assert summarise_rankings({"a": RankingValues()}, "a", ShownProducts(np.ones(2))) == {}


def test_what_is_not_ranked_is_not_picked() -> None:
    assert pick_best(np.array([1.0, -np.inf, 3.0])).tolist() == [2, 0]


def test_a_ranking_of_one_product_has_no_diversity_to_measure() -> None:
    assert measure_diversity([_rows(0)], np.eye(2, dtype=np.float32)) == 0
