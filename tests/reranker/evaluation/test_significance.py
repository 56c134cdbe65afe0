import itertools
import math

import numpy as np
import pytest

from reranker.evaluation.significance import bootstrap_mean, compare_paired, correct_by_holm


def test_interval_holds_the_mean_and_narrows_with_more_queries() -> None:
    values = np.random.default_rng(3).random(40)
    few, many = bootstrap_mean(values[:10].tolist()), bootstrap_mean(values.tolist())
    assert few.low < few.mean < few.high
    assert many.high - many.low < few.high - few.low
    # The normal approximation, which at 40 values in 0..1 is close.
    half = 1.96 * values.std() / math.sqrt(len(values))
    assert many.high - many.mean == pytest.approx(half, abs=0.02)


def test_interval_of_one_query_says_nothing() -> None:
    assert (bootstrap_mean([0.7]).low, bootstrap_mean([0.7]).high) == (-math.inf, math.inf)


def test_one_query_proves_nothing() -> None:
    assert compare_paired({"a": 0.9}, {"x": {"a": 0.1}})["x"].p == 1.0


def test_equal_values_have_no_spread() -> None:
    assert bootstrap_mean([0.5, 0.5, 0.5]).low == bootstrap_mean([0.5, 0.5, 0.5]).high == 0.5


def test_p_is_the_share_of_sign_flips_as_extreme() -> None:
    changes = {"a": 0.3, "b": 0.2, "c": -0.1, "d": 0.4}
    nothing = dict.fromkeys(changes, 0.0)
    found = compare_paired(changes, {"none": nothing})["none"]
    sums = [
        abs(sum(s * c for s, c in zip(signs, changes.values(), strict=True)))
        for signs in itertools.product((1, -1), repeat=4)
    ]
    assert found.p == pytest.approx(sum(s >= 0.8 - 1e-9 for s in sums) / 16)
    assert (found.wins, found.losses, found.ties) == (3, 1, 0)
    assert list(found.changes) == ["c", "b", "a", "d"]


def test_what_is_always_better_is_significant_and_a_coin_is_not() -> None:
    random = np.random.default_rng(5)
    base = {f"q{i}": float(v) for i, v in enumerate(random.random(50))}
    better = {query: value + 0.1 + 0.05 * random.random() for query, value in base.items()}
    coin = {query: value + random.choice([-0.1, 0.1]) for query, value in base.items()}
    found = compare_paired(better, {"base": base})
    assert found["base"].p < 0.001
    assert found["base"].change.low > 0.1
    assert compare_paired(coin, {"base": base})["base"].p > 0.05


def test_the_same_ranking_is_a_tie_throughout() -> None:
    values = {"a": 0.5, "b": 0.7}
    found = compare_paired(values, {"twin": values})["twin"]
    assert (found.p, found.ties, found.change.mean) == (1.0, 2, 0.0)


def test_comparisons_are_seeded() -> None:
    first = {f"q{i}": i / 20 for i in range(20)}
    second = {query: value * 0.9 for query, value in first.items()}
    assert compare_paired(first, {"x": second}) == compare_paired(first, {"x": second})


def test_holm_multiplies_the_least_most_and_never_falls() -> None:
    assert correct_by_holm({"a": 0.04, "b": 0.01, "c": 0.03}) == pytest.approx(
        {"b": 0.03, "c": 0.06, "a": 0.06}
    )
    assert correct_by_holm({"a": 0.9, "b": 0.8}) == {"b": 1.0, "a": 1.0}
