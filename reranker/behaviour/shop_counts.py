"""All that counting a shop's purchases gives: of its products, and of its types and makers."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from reranker.behaviour.counts import DECAY_DAYS, Profile, count_popularity
from reranker.behaviour.features import (
    RECENT_DECAY_DAYS,
    ProductFacts,
    Shares,
    build_behaviour_features,
)
from reranker.behaviour.neighbours import Neighbours, fit_cosine, fit_ease
from reranker.behaviour.purchases import PurchaseLog
from reranker.behaviour.repurchase import RepurchaseKernels, fit_kernels
from reranker.types import Doubles, Floats, Ints

CANDIDATES = 300
"""Products that are scored for a shopper: of those that counting says most for."""

_PRIOR_AGAIN, _PRIOR_BUYERS = 1.0, 5.0


@dataclass(frozen=True, eq=False)
class ShopCounts:
    """Counts of P products on one day, in the order of `product_ids`."""

    product_ids: Sequence[str]
    types: Sequence[str]
    makers: Sequence[str]
    popularity: Doubles  # (P,) decayed purchases
    recent: Doubles  # (P,) the same with a decay of 14 days
    reorder: Doubles  # (P,) share of buyers who bought again
    buyers: Ints  # (P,) shoppers who bought it
    by_shoppers: Neighbours
    by_orders: Neighbours
    kernels: RepurchaseKernels
    shares: Shares

    @cached_property
    def rows(self) -> dict[str, int]:
        """The row of each product's id."""
        return {product: row for row, product in enumerate(self.product_ids)}

    def history(self, profile: Profile, day: float) -> tuple[Ints, Doubles]:
        """Return the rows of a profile's products (m,) and their decayed counts (m,) on a day."""
        pairs = [
            (self.rows[product], count)
            for product, count in profile.counts(day).items()
            if product in self.rows
        ]
        rows = np.array([row for row, _ in pairs], dtype=np.int64)
        return rows, np.array([count for _, count in pairs], dtype=np.float64)

    def features(self, profile: Profile, products: Ints, day: float) -> Floats:
        """Return the counting features (n, F) of products, given by their rows, for a shopper."""
        rows, counts = self.history(profile, day)
        strengths = np.sqrt(counts)
        facts = ProductFacts(
            [self.product_ids[row] for row in products],
            [self.types[row] for row in products],
            [self.makers[row] for row in products],
            self.popularity[products],
            self.recent[products],
            self.reorder[products],
        )
        known = {self.product_ids[row]: (self.types[row], self.makers[row]) for row in rows}
        return build_behaviour_features(
            profile,
            known,
            facts,
            self.by_shoppers.score(rows, strengths)[products],
            self.by_orders.score(rows, strengths)[products],
            self.kernels,
            self.shares,
            day,
        )

    def candidates(self, profile: Profile, day: float, size: int) -> Ints:
        """Return the rows of `size` products to score: the history, what it speaks for, popular ones."""
        rows, counts = self.history(profile, day)
        spoken = self.by_shoppers.score(rows, np.sqrt(counts))
        value = np.log1p(spoken) * 4 + np.log1p(self.popularity) / 4
        value[rows] = np.inf
        size = min(size, len(value))
        return np.argpartition(-value, size - 1)[:size].astype(np.int64)


def count_shop(
    log: PurchaseLog,
    types: Sequence[str],
    makers: Sequence[str],
    day: float,
    neighbours: tuple[Neighbours, Neighbours] | None = None,
) -> ShopCounts:
    """Count purchases before `day`; types and makers (P,) are empty text where unknown.

    `neighbours`, by shoppers and by orders, are taken instead of being fitted to the log.
    """
    before = log.select(log.days < day)
    size = len(log.product_ids)
    pairs, times = np.unique(before.users * size + before.products, return_counts=True)
    buyers = np.bincount(pairs % size, minlength=size)
    again = np.bincount(pairs[times > 1] % size, minlength=size)
    popularity = count_popularity(before, day, DECAY_DAYS)
    by_shoppers, by_orders = neighbours or (fit_ease(before), fit_cosine(before))
    return ShopCounts(
        log.product_ids,
        types,
        makers,
        popularity,
        count_popularity(before, day, RECENT_DECAY_DAYS),
        (again + _PRIOR_AGAIN) / (buyers + _PRIOR_BUYERS),
        buyers,
        by_shoppers,
        by_orders,
        fit_kernels(before, list(types), day),
        Shares(_share(types, popularity), _share(makers, popularity)),
    )


def _share(names: Sequence[str], popularity: Doubles) -> dict[str, float]:
    total = max(float(popularity.sum()), 1e-9)
    result: dict[str, float] = {}
    for name, count in zip(names, popularity.tolist(), strict=True):
        result[name] = result.get(name, 0.0) + count / total
    return result
