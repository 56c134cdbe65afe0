import time

import pytest

from mappings.types import Product
from reranker.training.distillation import time_budget as paced
from reranker.training.run.time_plan import (
    SAMPLE_PRODUCTS,
    MachineSpeed,
    draw_rows,
    estimate_seconds_after,
    limit_queries,
    limit_steps,
    select_rows,
)


def catalogue(count: int) -> list[Product]:
    return [Product(str(i), f"product {i}") for i in range(count)]


def test_labelled_products_are_drawn_first_and_the_rest_by_seed() -> None:
    products = catalogue(50)
    rows = draw_rows(products, ["40", "7"], seed=1)
    assert set(rows[:2]) == {7, 40}
    assert sorted(rows) == list(range(50))
    assert rows == draw_rows(products, ["40", "7"], seed=1) != draw_rows(products, ["40", "7"], seed=2)


def test_of_a_catalogue_too_large_for_the_time_a_sample_is_learnt() -> None:
    rows = list(range(100_000))
    pace = MachineSpeed(teacher=135.0, encoder=100.0, searches=50.0)  # 20 ms a product
    assert select_rows(rows, pace, seconds=1200) == rows[:30_000]
    assert select_rows(rows, pace, seconds=1e6) == rows
    assert select_rows(rows, pace, seconds=1) == rows[:SAMPLE_PRODUCTS]


def test_twenty_thousand_products_leave_most_of_twenty_minutes_to_distillation() -> None:
    pace = MachineSpeed(teacher=100.0, encoder=200.0, searches=60.0)
    assert len(select_rows(list(range(20_000)), pace, 1200)) == 20_000
    assert 20_000 * 1.35 / pace.teacher + estimate_seconds_after(pace, 20_000, 1500) < 600


def test_small_catalogues_take_fewer_steps() -> None:
    assert limit_steps(500, 48) < limit_steps(20_000, 48)
    assert limit_steps(10, 48) == 100


def test_made_queries_are_bounded_by_products_and_by_time() -> None:
    pace = MachineSpeed(teacher=100.0, encoder=200.0, searches=60.0)
    assert limit_queries(pace, 300, 1200) == 1200
    assert limit_queries(pace, 20_000, 1200) == 6000
    assert limit_queries(pace, 20_000, 1) == 50


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(time, "monotonic", clock)
    return clock


def taken(clock: Clock, until: float | None, steps: int, seconds_at: list[float]) -> int:
    """Steps that a run takes whose n-th step takes the n-th of `seconds_at`, or its last."""
    pace, step = paced.StepBudget(0, until), 0
    while step < steps:
        clock.now += seconds_at[min(step, len(seconds_at) - 1)]
        step += 1
        steps = pace.fitting(step, steps)
    return step


def test_steps_are_those_that_fit(clock: Clock) -> None:
    assert taken(clock, 100.0, 10_000, [1.0]) == 100
    assert clock.now <= 101


def test_a_slow_first_step_does_not_count(clock: Clock) -> None:
    assert taken(clock, 105.0, 10_000, [6.0, 1.0]) == 100


def test_few_steps_are_all_taken(clock: Clock) -> None:
    assert taken(clock, 100.0, 30, [1.0]) == 30
    assert taken(clock, None, 30, [1000.0]) == 30


def test_a_machine_that_slows_down_still_ends_in_time(clock: Clock) -> None:
    steps = taken(clock, 100.0, 10_000, [1.0] * 30 + [2.0])
    assert 30 < steps < 75
    assert clock.now <= 110


def test_when_time_is_up_it_ends_at_once(clock: Clock) -> None:
    assert taken(clock, 10.0, 10_000, [4.0]) == 3
