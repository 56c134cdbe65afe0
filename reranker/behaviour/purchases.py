"""Purchases as columns: the input of all counting."""

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
    orders: dict[tuple[str, str], int] = {}
    rows: dict[tuple[int, int], tuple[int, float]] = {}
    for purchase in purchases:
        user = users.setdefault(purchase.user, len(users))
        order = orders.setdefault((purchase.user, purchase.order), len(orders))
        product = products.setdefault(purchase.product, len(products))
        rows.setdefault((order, product), (user, purchase.day))
    pairs = np.array(list(rows), dtype=np.int64).reshape(-1, 2)
    owners = np.array([user for user, _ in rows.values()], dtype=np.int64)
    days = np.array([day for _, day in rows.values()], dtype=np.float64)
    return sort_purchases(owners, pairs[:, 1], pairs[:, 0], days, list(users), list(products))


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
