import numpy as np

from reranker.experiments.sequential import compare_preference, compare_rates, least_p

LOOKS = 20


def test_nothing_observed_says_nothing() -> None:
    assert compare_preference(0, 0).p == 1
    assert compare_rates((0, 0), (1, 10)).p == 1
    assert compare_rates((0, 10), (0, 10)).p == 1


def test_twenty_looks_raise_few_false_alarms() -> None:
    rng = np.random.default_rng(1)
    alarms = sum(_least_of_looks(rng, 0.5, 20_000) <= 0.05 for _ in range(400))
    assert alarms / 400 <= 0.05


def test_a_small_preference_is_noticed() -> None:
    rng = np.random.default_rng(2)
    noticed = sum(_least_of_looks(rng, 0.51, 39_000) <= 0.05 for _ in range(200))
    assert noticed / 200 >= 0.75


def test_it_does_not_matter_which_ranking_wins() -> None:
    assert compare_preference(700, 500).p == compare_preference(500, 700).p
    assert compare_rates((50, 1000), (90, 1000)).p == compare_rates((90, 1000), (50, 1000)).p


def test_rates_that_differ_are_told_apart_and_equal_ones_are_not() -> None:
    assert compare_rates((3000, 30_000), (3600, 30_000)).p < 0.01
    assert compare_rates((3000, 30_000), (3010, 30_000)).p == 1


def _least_of_looks(rng: np.random.Generator, share: float, searches: int) -> float:
    step = searches // LOOKS
    wins = rng.binomial(step, share, LOOKS).cumsum()
    return least_p(compare_preference(int(w), step * k - int(w)) for k, w in enumerate(wins, 1))
