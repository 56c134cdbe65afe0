"""What a person's transactions say: income, savings, buffer, falls of the balance, and debts."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from datetime import date

import numpy as np

from reranker.types import Doubles

DEBT_WORDS = (
    "loan",
    "mortgage",
    "instalment",
    "installment",
    "credit card",
    "repayment",
    "贷款",
    "房贷",
    "还款",
    "信用卡",
)
"""What the text of a transaction says where it repays a debt."""

_LEAST_MONTHS = 3
"""Months of transactions from which features are made."""


@dataclass(frozen=True, slots=True)
class Transaction:
    """One booking: money in is positive, money out negative."""

    day: date
    amount: float
    text: str = ""


@dataclass(frozen=True, slots=True)
class CashFlow:
    """Features of one person's transactions.

    `income_regularity` is 1 for the same income each month and 0 for one as scattered as it is large.
    `savings_rate` is the share of the income that is not spent, `buffer_months` how many months of spending
    the balance would last on the average. `drawdown` is the largest fall of the balance from a height before
    it, and `debt_service` what repays debts, both in months of income and as a share of it. `overdrawn_share`
    is the share of days on which the balance is below 0.
    """

    income_regularity: float
    savings_rate: float
    buffer_months: float
    drawdown: float
    debt_service: float
    overdrawn_share: float


CASH_FLOW_FEATURES = tuple(each.name for each in fields(CashFlow))
"""Names of the features, in their order."""


def measure_cash_flow(transactions: Iterable[Transaction], opening: float = 0.0) -> CashFlow:
    """Return the features of one person's transactions, from a balance of `opening` before the first.

    Months without a booking count. Raises ValueError where there are fewer than 3 months, or no income.
    """
    ordered = sorted(transactions, key=lambda each: each.day)
    months = _list_months(ordered)
    if len(months) < _LEAST_MONTHS:
        raise ValueError(f"{len(months)} months of transactions: {_LEAST_MONTHS} are needed")
    income, spending, debts = (dict.fromkeys(months, 0.0) for _ in range(3))
    for each in ordered:
        month = (each.day.year, each.day.month)
        if each.amount > 0:
            income[month] += each.amount
        else:
            spending[month] -= each.amount
            if any(word in each.text.casefold() for word in DEBT_WORDS):
                debts[month] -= each.amount
    earned, spent = np.array(list(income.values())), np.array(list(spending.values()))
    if not earned.sum():
        raise ValueError("no income: there is nothing to measure the rest by")
    balances = _list_balances(ordered, opening)
    mean_income, mean_spent = float(earned.mean()), float(spent.mean())
    falls = np.maximum.accumulate(balances) - balances
    return CashFlow(
        income_regularity=float(np.clip(1 - earned.std() / mean_income, 0, 1)),
        savings_rate=float((mean_income - mean_spent) / mean_income),
        buffer_months=float(balances.mean() / max(mean_spent, 1e-9)),
        drawdown=float(falls.max() / mean_income),
        debt_service=float(sum(debts.values()) / earned.sum()),
        overdrawn_share=float((balances < 0).mean()),
    )


def _list_months(ordered: Sequence[Transaction]) -> list[tuple[int, int]]:
    """Return all months from the first to the last transaction."""
    if not ordered:
        return []
    first, last = (day.year * 12 + day.month - 1 for day in (ordered[0].day, ordered[-1].day))
    return [(month // 12, month % 12 + 1) for month in range(first, last + 1)]


def _list_balances(ordered: Sequence[Transaction], opening: float) -> Doubles:
    """Return the balance at the end of each day from the first to the last transaction."""
    booked: dict[int, float] = defaultdict(float)
    for each in ordered:
        booked[each.day.toordinal()] += each.amount
    days = range(ordered[0].day.toordinal(), ordered[-1].day.toordinal() + 1)
    balances: Doubles = opening + np.cumsum([booked.get(day, 0.0) for day in days])
    return balances
