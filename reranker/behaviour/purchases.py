"""Purchases as columns: the input of all counting."""

from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from reranker.types import Doubles, Ints


@dataclass(frozen=True, slots=True)
class Purchase:
    """One product of one order. `day` is days since 1970, with fractions."""

    user: str
    product: str
    order: str
    day: float


@dataclass(frozen=True, slots=True, eq=False)
class PurchaseLog:
    """R purchases, sorted by user and day. Users, products and orders are numbered from 0.

    `user_ids` and `product_ids` say what the numbers stand for.
    """

    users: Ints  # (R,)
    products: Ints  # (R,)
    orders: Ints  # (R,)
    days: Doubles  # (R,)
    user_ids: Sequence[str]
    product_ids: Sequence[str]

    def __len__(self) -> int:
        return len(self.users)

    def select(self, rows: NDArray[np.bool_]) -> "PurchaseLog":
        """Return the log with those rows only; the numbering stays."""
        return PurchaseLog(
            self.users[rows],
            self.products[rows],
            self.orders[rows],
            self.days[rows],
            self.user_ids,
            self.product_ids,
        )

    def user_rows(self) -> Ints:
        """Return where each user's rows begin, and the end (users + 1,)."""
        return np.searchsorted(self.users, np.arange(len(self.user_ids) + 1)).astype(np.int64)


def build_purchase_log(purchases: Iterable[Purchase]) -> PurchaseLog:
    """Return purchases as a log. A product that an order holds twice counts once."""
    users: dict[str, int] = {}
    products: dict[str, int] = {}
    orders: dict[tuple[int, str], int] = {}
    owners, bought, of_order, days = array("q"), array("q"), array("q"), array("d")
    for purchase in purchases:
        user = users.setdefault(purchase.user, len(users))
        owners.append(user)
        bought.append(products.setdefault(purchase.product, len(products)))
        of_order.append(orders.setdefault((user, purchase.order), len(orders)))
        days.append(purchase.day)
    keys = np.array(of_order) * max(len(products), 1) + np.array(bought)
    first = np.unique(keys, return_index=True)[1]
    return sort_purchases(
        np.array(owners)[first],
        np.array(bought)[first],
        np.array(of_order)[first],
        np.array(days)[first],
        list(users),
        list(products),
    )


def sort_purchases(
    users: Ints,
    products: Ints,
    orders: Ints,
    days: Doubles,
    user_ids: Sequence[str],
    product_ids: Sequence[str],
) -> PurchaseLog:
    """Return columns as a log, sorted by user, day, order and product."""
    by = np.lexsort((products, orders, days, users))
    return PurchaseLog(users[by], products[by], orders[by], days[by], user_ids, product_ids)
