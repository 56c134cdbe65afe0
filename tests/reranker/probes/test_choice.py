import numpy as np
import pytest

from reranker.probes.choice import MARGIN, Verdict, choose_floor, choose_setting, compare_probes, judge_kind
from reranker.probes.queries import CATEGORY, KNOWN_ITEM, TYPE

FAMILIES = [family for family in (CATEGORY, "colour", KNOWN_ITEM) for _ in range(40)]
FLOORS = (0.1, 0.2, 0.3, 0.4, 0.5)


def figures(seed: int) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    return np.random.default_rng(seed).random(len(FAMILIES))


def test_noise_does_not_change_a_setting() -> None:
    chosen = []
    for trial in range(100):
        base = figures(trial)
        rng = np.random.default_rng(1000 + trial)
        tried = {value: np.clip(base + rng.normal(0, 0.2, len(base)), 0, 1) for value in (1.0, 2.0, 5.0)}
        chosen.append(choose_setting(3.0, {3.0: base, **tried}, FAMILIES))
    assert sum(value != 3.0 for value in chosen) <= 2


def test_a_gain_beyond_chance_is_taken_and_the_greatest_of_several() -> None:
    base = figures(1) * 0.5
    rng = np.random.default_rng(2)
    tried = {3.0: base, 5.0: base + 0.05, 7.0: base + 0.1 + rng.normal(0, 0.02, len(base)), 9.0: base - 0.1}
    assert choose_setting(3.0, tried, FAMILIES) == 7.0


def test_a_gain_that_one_family_pays_for_is_not_taken() -> None:
    base = figures(3) * 0.5
    gain = np.array([0.3 if family != CATEGORY else -2 * MARGIN for family in FAMILIES])
    assert choose_setting(3.0, {3.0: base, 5.0: base + gain}, FAMILIES) == 3.0


def test_a_gain_below_the_margin_is_not_taken() -> None:
    base = figures(4) * 0.5
    assert choose_setting(3.0, {3.0: base, 5.0: base + MARGIN / 2}, FAMILIES) == 3.0


def test_families_count_alike_whatever_their_size() -> None:
    families = ["type"] * 90 + ["colour"] * 10
    changes = np.array([0.0] * 90 + [1.0] * 10)
    assert compare_probes(changes, families).mean == pytest.approx(0.5)


def test_the_interval_holds_the_true_mean_as_often_as_it_says() -> None:
    rng = np.random.default_rng(5)
    inside = 0
    for _ in range(200):
        change = compare_probes(rng.normal(0.1, 0.3, len(FAMILIES)), FAMILIES)
        inside += change.low <= 0.1 <= change.high
    assert 180 <= inside <= 199


def test_a_kind_that_attune_improves_is_reranked() -> None:
    own = figures(6) * 0.5
    assert judge_kind(own, own + 0.1, FAMILIES) is Verdict.BETTER


def test_a_kind_that_attune_does_not_improve_keeps_its_order() -> None:
    own = figures(7) * 0.5 + 0.2
    assert judge_kind(own, own - 0.1, FAMILIES) is Verdict.NOT_BETTER
    assert judge_kind(own, own, FAMILIES) is Verdict.NOT_BETTER


def test_nothing_is_kept_where_the_queries_cannot_tell() -> None:
    own = figures(8) * 0.5 + 0.2
    rng = np.random.default_rng(9)
    few = slice(0, 10)
    assert judge_kind(own[few], own[few] - 0.1, FAMILIES[few]) is Verdict.OPEN
    noisy = own + rng.normal(0, 0.3, len(own))
    assert judge_kind(own, noisy, FAMILIES) is Verdict.OPEN
    perfect = np.ones(len(own))
    assert judge_kind(perfect, perfect, FAMILIES) is Verdict.OPEN


def test_what_words_find_by_themselves_decides_nothing_alone() -> None:
    own = figures(10) * 0.5 + 0.2
    by_words = [KNOWN_ITEM, TYPE] * (len(own) // 2)
    assert judge_kind(own, own - 0.1, by_words) is Verdict.OPEN
    assert choose_setting(3.0, {3.0: own, 7.0: own + 0.2}, by_words) == 3.0
    assert choose_setting(3.0, {3.0: own, 7.0: own + 0.2}, ["colour", TYPE] * (len(own) // 2)) == 3.0
    assert judge_kind(own, own - 0.1, [CATEGORY] * len(own), needs_families=2) is Verdict.OPEN


def test_one_family_that_gains_keeps_a_kind_reranked() -> None:
    own = figures(11) * 0.5 + 0.2
    change = np.array([0.05 if family == CATEGORY else -0.2 for family in FAMILIES])
    assert judge_kind(own, own + change, FAMILIES) is Verdict.OPEN


def test_the_floor_rises_until_nonsense_finds_nothing() -> None:
    assert choose_floor(0.3, [0.45] * 30, [0.9] * 30, FLOORS) == 0.5


def test_the_floor_falls_until_made_queries_find_what_answers_them() -> None:
    assert choose_floor(0.3, [0.05] * 30, [0.25] * 30, FLOORS) == 0.2


def test_the_floor_stays_where_it_does_well_where_nothing_tells_and_where_none_does_better() -> None:
    assert choose_floor(0.3, [0.2] * 30, [0.9] * 30, FLOORS) == 0.3
    assert choose_floor(0.3, [], [], FLOORS) == 0.3
    assert choose_floor(0.3, [0.05] * 38 + [0.5] * 2, [0.9] * 12 + [0.2] * 18, FLOORS) == 0.3
    assert choose_floor(0.3, [0.9] * 30, [0.4] * 30, FLOORS) == 0.3
