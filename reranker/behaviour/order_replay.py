"""Orders one after the other, each with what its shopper had bought before."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from reranker.behaviour.counts import Profile, add_purchases
from reranker.behaviour.purchases import PurchaseLog
from reranker.types import Ints

MIN_ORDER = 3
"""Products in an order that counts: smaller ones say little of a ranking of 20."""


@dataclass(frozen=True, slots=True, eq=False)
class OrderExample:
    """An order on `day`, and its shopper's profile before it.

    `products` and `earlier` are rows of the log's products: those of the order, and all that the shopper
    bought before, more than a profile may hold.
    """

    user: int
    day: float
    profile: Profile
    products: Ints
    earlier: Ints


def replay_orders(
    log: PurchaseLog, begin: float, end: float, choose: Callable[[int], NDArray[np.bool_]]
) -> Iterator[OrderExample]:
    """Yield orders between two days, user by user, each with the profile that its shopper had by then.

    `choose` maps the number of a user's usable orders to which of them are yielded.
    """
    starts = log.user_rows()
    for user in range(len(log.user_ids)):
        rows = slice(starts[user], starts[user + 1])
        orders, products, days = log.orders[rows], log.products[rows], log.days[rows]
        if not len(orders):
            continue
        numbers, first, sizes = np.unique(orders, return_index=True, return_counts=True)
        by_day = np.argsort(days[first], kind="stable")
        numbers, moments, sizes = numbers[by_day], days[first][by_day], sizes[by_day]
        usable = np.flatnonzero((moments >= begin) & (moments < end) & (sizes >= MIN_ORDER))
        chosen = set(usable[choose(len(usable))].tolist())
        profile = Profile()
        bought: set[int] = set()
        for at, (number, day) in enumerate(zip(numbers, moments.tolist(), strict=True)):
            if chosen and at > max(chosen):
                break
            basket = products[orders == number]
            if at in chosen and profile.bought:
                yield OrderExample(user, day, profile, basket, np.array(sorted(bought), dtype=np.int64))
            bought.update(basket.tolist())
            profile = add_purchases(profile, [log.product_ids[row] for row in basket], day)
