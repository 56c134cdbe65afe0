from dataclasses import replace

import numpy as np
import pytest

from reranker.behaviour.popularity import (
    DEFAULT_POPULARITY,
    MAX_PRIOR,
    MIN_CHOICES,
    PopularityWeights,
    SearchChoice,
    build_popularity_features,
    compute_priors,
    fit_popularity,
    weigh_priors,
)
from reranker.behaviour.purchases import Purchase, build_purchase_log


def _make_choices(weights: list[float], count: int, places: float = 1.0) -> list[SearchChoice]:
    """Return choices that shoppers make by these weights, and by a hit's place."""
    rng = np.random.default_rng(3)
    choices = []
    for _ in range(count):
        features = rng.exponential(1.0, (10, 3))
        odds = np.exp(features @ np.array(weights) - places * np.log(1 + np.arange(10)))
        choices.append(SearchChoice(features, int(rng.choice(10, p=odds / odds.sum()))))
    return choices


def test_the_weights_that_shoppers_choose_by_are_learnt() -> None:
    learnt = fit_popularity(_make_choices([1.0, 0.0, 0.4], 4000))
    assert learnt.choices == 4000
    assert learnt.values == pytest.approx([1.0, 0.0, 0.4], abs=0.1)


def test_a_place_high_up_is_not_taken_for_popularity() -> None:
    learnt = fit_popularity(_make_choices([0.0, 0.0, 0.0], 4000, places=2.0))
    assert max(learnt.values) < 0.1


def test_no_weight_leaves_its_bounds() -> None:
    learnt = fit_popularity(_make_choices([5.0, -3.0, 0.0], 1000))
    assert learnt.values[:2] == (1.5, 0.0)


def test_few_choices_leave_the_default() -> None:
    assert fit_popularity(_make_choices([1.0, 0.0, 0.0], MIN_CHOICES - 1)) is DEFAULT_POPULARITY


def test_priors_rise_with_sales_and_are_bounded() -> None:
    features = np.array([[0.0, 0, 0], [1, 0, 0], [2, 0, 0], [1000, 0, 0]])
    priors = compute_priors(features, PopularityWeights((0.5, 0.2, 0.1)))
    assert priors.tolist() == [0.0, 0.5, 1.0, MAX_PRIOR]


def test_a_window_is_scaled_down_to_its_bound() -> None:
    assert weigh_priors([0.0, 0.5, 1.0], 2).tolist() == [0.0, 0.5, 1.0]
    assert weigh_priors([0.0, 4.0, 8.0], 2).tolist() == [0.0, 1.0, 2.0]
    assert weigh_priors([1.0, 2.0], 0).tolist() == [0.0, 0.0]
    assert weigh_priors([], 2).tolist() == []


def test_what_sold_at_this_time_of_last_year_counts_as_season() -> None:
    bought = [Purchase("u", "advent calendar", "1", 1000.0), Purchase("u", "bread", "2", 1180.0)]
    purchases = build_purchase_log(bought)
    clicks = replace(build_purchase_log([]), product_ids=purchases.product_ids)
    calendar, bread = build_popularity_features(purchases, clicks, 1365.0)
    assert calendar[2] > bread[2] == 0
    assert calendar[0] < bread[0]
