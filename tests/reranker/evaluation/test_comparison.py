import pytest

from mappings.errors import EvaluationError
from reranker.evaluation.comparison import (
    RankedList,
    System,
    SystemRun,
    compare_runs,
    measure_system,
    pool_judgements,
    restrict_to_pool,
)

GRADES = {"phone": {"a": 3, "b": 1, "c": 0}, "case": {"d": 2, "a": 0}, "sofa": {"a": 0}}
ONE = System("one", "One")


def test_only_products_that_are_there_count() -> None:
    judged = pool_judgements(GRADES, ["a", "b", "c"], 100)
    assert judged.grades == {"phone": {"a": 3, "b": 1, "c": 0}, "case": {"a": 0}, "sofa": {"a": 0}}
    assert list(judged.counted) == ["phone"]
    assert (judged.queries, judged.missing, judged.products) == (3, 1, 100)


def test_all_products_count_where_the_index_is_not_known() -> None:
    assert list(pool_judgements(GRADES, None).counted) == ["phone", "case"]


def test_nothing_left_to_measure_by_is_an_error() -> None:
    with pytest.raises(
        EvaluationError, match=r"none of the 3 queries .* 4 of 4 judged products are not in the index"
    ):
        pool_judgements(GRADES, [])


def test_what_is_not_returned_comes_last_by_id() -> None:
    assert restrict_to_pool(["x", "c", "a"], {"b": 1, "a": 3, "c": 0, "0": 2}) == ("c", "a", "0", "b")


def test_probabilities_below_the_window_are_not_asked_for() -> None:
    judged = pool_judgements({"phone": {"a": 3, "b": 1}}, None)
    found = measure_system(ONE, {"phone": RankedList(("a", "b"), (0.9,))}, judged, 0.5)
    assert found.values["f1"].mean == 1.0


def test_calibration_is_of_judged_products_and_of_all_queries() -> None:
    judged = pool_judgements(GRADES, None)
    pool = {
        "phone": RankedList(("a", "b", "c"), (0.9, 0.2, 0.1)),
        "case": RankedList(("d", "a"), (0.8, 0.3)),
        "sofa": RankedList(("a",), (0.7,)),
    }
    whole, within = compare_runs([SystemRun(ONE, pool, pool)], judged, 0.5)
    assert whole.figures[0].calibration is None
    found = within.figures[0].calibration
    assert found is not None
    assert (found.pairs, found.error) == (6, pytest.approx((0.1 + 0.2 + 0.1 + 0.2 + 0.3 + 0.7) / 6))


def test_latency_is_mean_and_95th_percentile_of_counted_queries() -> None:
    judged = pool_judgements({f"q{i}": {"a": 3} for i in range(101)}, None)
    rankings = {f"q{i}": RankedList(("a",), ms=float(i)) for i in range(101)}
    found = measure_system(ONE, rankings | {"other": RankedList((), ms=1e6)}, judged, 0.5).latency
    assert found is not None
    assert (found.mean, found.p95) == pytest.approx((50.0, 95.0))


def test_queries_that_the_model_was_trained_on_are_counted() -> None:
    system = System("one", "One", trained=frozenset({"phone", "sofa", "other"}))
    found = measure_system(system, {"phone": RankedList(("a",))}, pool_judgements(GRADES, None), 0.5)
    assert found.trained == 1


def test_the_first_system_is_compared_with_each_other() -> None:
    good = {"phone": RankedList(("a", "b")), "case": RankedList(("d", "a"))}
    bad = {"phone": RankedList(("c", "b", "a")), "case": RankedList(("d", "a"))}
    runs = [SystemRun(ONE, good, good), SystemRun(System("two", "Two"), bad, bad)]
    whole, _ = compare_runs(runs, pool_judgements(GRADES, None), 0.5)
    paired = whole.compared["two"]
    assert (paired.wins, paired.losses, paired.ties) == (1, 0, 1)
    assert list(paired.changes) == ["case", "phone"]
