from datetime import date

import pytest

from reranker.risk.cash_flow import Transaction, measure_cash_flow


def make_months(*pairs: tuple[float, float]) -> list[Transaction]:
    """Income on the first and spending on the fifteenth of consecutive months."""
    return [
        Transaction(date(2026, month, day), amount)
        for month, pair in enumerate(pairs, start=1)
        for day, amount in zip((1, 15), pair, strict=True)
    ]


def test_a_steady_saver() -> None:
    flow = measure_cash_flow(make_months(*[(2000.0, -1500.0)] * 6), opening=3000)
    assert flow.income_regularity == 1
    assert flow.savings_rate == 0.25
    assert flow.buffer_months > 2
    assert flow.drawdown == 0.75
    assert (flow.debt_service, flow.overdrawn_share) == (0, 0)


def test_irregular_income_debts_and_an_overdrawn_account() -> None:
    bookings = make_months((3000, -2000), (0.0, -1500), (1500, -1800))
    bookings.append(Transaction(date(2026, 3, 20), -300, "Car LOAN March"))
    flow = measure_cash_flow(bookings, opening=100)
    assert flow.income_regularity < 0.3
    assert flow.savings_rate < 0
    assert flow.debt_service == pytest.approx(300 / 4500)
    assert flow.overdrawn_share > 0
    assert flow.drawdown > 1


def test_the_order_of_bookings_does_not_matter() -> None:
    bookings = make_months((2000, -1500), (2100, -1900), (1900, -200))
    assert measure_cash_flow(bookings) == measure_cash_flow(bookings[::-1])


@pytest.mark.parametrize(
    ("bookings", "message"),
    [([], "0 months"), (make_months((1, -1)), "1 months"), (make_months(*[(0.0, -9.0)] * 3), "no income")],
)
def test_too_little_is_said_to_be_so(bookings: list[Transaction], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        measure_cash_flow(bookings)
