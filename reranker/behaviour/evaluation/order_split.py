"""Which orders are predicted, and from what: by time, and each shopper's last order.

Shoppers of the test are never counted or trained on. EASE and ALS remember whom they were fitted to: measured
on a year of groceries, EASE finds 0.22 of a trained shopper's next order and 0.10 of another's.
"""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from mappings.errors import LabelsError
from reranker.behaviour.neighbours import fit_cosine, fit_ease
from reranker.behaviour.order_replay import OrderExample, replay_orders
from reranker.behaviour.purchases import PurchaseLog
from reranker.behaviour.shop_counts import ShopCounts, count_shop

TEST_DAYS = 28.0
"""Days at the end of the log whose orders are predicted."""

_FOLDS = 5
"""One shopper of so many is set aside for the test."""

_STEP_DAYS = 28.0
"""Days after which a shop is counted anew for each shopper's last order."""


@dataclass(frozen=True, eq=False)
class OrderSplit:
    """Orders to predict. `shop_at` gives what counting the other shoppers says by a day."""

    name: str
    train: PurchaseLog
    examples: Callable[[], Iterator[OrderExample]]
    shop_at: Callable[[float], ShopCounts]


def set_aside(user_ids: Sequence[str]) -> NDArray[np.bool_]:
    """Return which shoppers (U,) are set aside for the test: a fifth, always the same."""
    digests = (hashlib.blake2b(user.encode(), digest_size=4).digest() for user in user_ids)
    return np.array([int.from_bytes(digest, "big") % _FOLDS == 0 for digest in digests], dtype=bool)


def split_by_time(
    log: PurchaseLog, types: Sequence[str], makers: Sequence[str], aside: NDArray[np.bool_], begin: float
) -> OrderSplit:
    """Predict the orders from the day `begin` on of the shoppers set aside (U,).

    Counted is what the others bought before. Raises LabelsError where nobody did.
    """
    train = log.select(~aside[log.users] & (log.days < begin))
    _check(train)
    test = log.select(aside[log.users])
    shop = count_shop(train, types, makers, begin)

    def replay() -> Iterator[OrderExample]:
        return replay_orders(test, begin, np.inf, lambda count: np.ones(count, dtype=bool))

    return OrderSplit("by time", train, replay, lambda _: shop)


def split_last_orders(
    log: PurchaseLog, types: Sequence[str], makers: Sequence[str], aside: NDArray[np.bool_]
) -> OrderSplit:
    """Predict the last order of each shopper set aside (U,).

    Popularity is counted up to four weeks before it, so that it does not know the future; which products
    belong together is learnt from all that the others bought. Raises LabelsError where they bought nothing.
    """
    train = log.select(~aside[log.users])
    _check(train)
    test = log.select(aside[log.users])
    fitted = fit_ease(train), fit_cosine(train)

    @cache
    def count_at(step: int) -> ShopCounts:
        return count_shop(train, types, makers, step * _STEP_DAYS, fitted)

    def replay() -> Iterator[OrderExample]:
        return replay_orders(test, -np.inf, np.inf, lambda count: np.arange(count) == count - 1)

    return OrderSplit("last orders", train, replay, lambda day: count_at(int(day // _STEP_DAYS)))


def _check(train: PurchaseLog) -> None:
    if not len(train):
        raise LabelsError(
            "no orders to count before those to predict: four fifths of the shoppers are counted"
        )
