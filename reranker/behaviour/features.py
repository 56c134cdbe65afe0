"""Counting features of a shopper and products: what the behaviour scorer sees."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from reranker.behaviour.counts import Profile
from reranker.behaviour.repurchase import RepurchaseKernels
from reranker.types import Doubles, Floats

BEHAVIOUR_FEATURES = (
    "bought",
    "known",
    "orders",
    "age",
    "due",
    "kernel",
    "popularity",
    "recent",
    "reorder",
    "neighbours",
    "together",
    "type",
    "maker",
    "type_age",
    "activity",
    "breadth",
    "repeats",
)
"""The features of a product for a shopper, in the order of the scorer's inputs:

bought      log1p of its decayed count
known       1 where the shopper bought it before
orders      log1p of the number of its orders
age         log1p of the days since it was bought last; 0 where never
due         log of those days over the mean days between its orders; 0 where there is no mean
kernel      log of the chance a day that products of its type are bought again after so long
popularity  log1p of all shoppers' decayed purchases
recent      the same with a decay of 14 days
reorder     share of its buyers who bought it again
neighbours  log1p of the weights from the history to it, by EASE
together    the same by the cosine of orders
type        how much more of its type the shopper buys than all shoppers do, a smoothed log-ratio
maker       the same for its maker
type_age    log1p of the days since something of its type was bought; that of 365 days where never
activity    log1p of the shopper's decayed purchases
breadth     log1p of the number of products in the history
repeats     share of the history that was bought more than once
"""

RECENT_DECAY_DAYS = 14.0
"""Days after which a purchase counts e times less in `recent`."""

_NEVER_DAYS = 365.0
NEVER_BOUGHT = {"type_age": float(np.log1p(_NEVER_DAYS))}
"""Features that are not 0 for a product whose kind the shopper never bought."""

KERNEL_SHIFT = 6.0
"""Added to the log of the chance a day, so that usual values are above the 0 of products never bought."""

_AFFINITY_PRIOR = 2.0
"""Purchases of all shoppers' taste that a shopper's own are mixed with."""


@dataclass(frozen=True, slots=True, eq=False)
class ProductFacts:
    """What counting says of n products. `types` and `makers` are empty text where unknown."""

    ids: Sequence[str]
    types: Sequence[str]
    makers: Sequence[str]
    popularity: Doubles  # (n,) decayed purchases
    recent: Doubles  # (n,) the same with a decay of 14 days
    reorder: Doubles  # (n,) share of buyers who bought again


@dataclass(frozen=True, slots=True, eq=False)
class Shares:
    """The share of all purchases that each type and each maker has."""

    types: Mapping[str, float]
    makers: Mapping[str, float]


def build_behaviour_features(
    profile: Profile,
    history: Mapping[str, tuple[str, str]],
    facts: ProductFacts,
    neighbours: Doubles,
    together: Doubles,
    kernels: RepurchaseKernels,
    shares: Shares,
    day: float,
) -> Floats:
    """Return the features (n, F) of products for a shopper on `day`.

    `history` maps the profile's products to their type and maker; `neighbours` and `together` (n,) are the
    weights that the history gives the products.
    """
    n = len(facts.ids)
    counts = profile.counts(day)
    date = int(day)  # profiles have whole days: what remains would make every age half a day too long
    result = np.zeros((n, len(BEHAVIOUR_FEATURES)), dtype=np.float32)
    rows = [(row, profile.bought[product]) for row, product in enumerate(facts.ids) if product in counts]
    if rows:
        at = np.array([row for row, _ in rows])
        table = np.array([(c.at(day), c.orders, c.last, c.gap) for _, c in rows])  # (m, 4)
        ages = np.maximum(date - table[:, 2], 0.0)
        result[at, 0] = np.log1p(table[:, 0])
        result[at, 1] = 1
        result[at, 2] = np.log1p(table[:, 1])
        result[at, 3] = np.log1p(ages)
        result[at, 4] = np.where(table[:, 3] > 0, np.log((ages + 1) / (table[:, 3] + 1)), 0)
        result[at, 5] = np.log(kernels.rate([facts.types[row] for row in at], ages)) + KERNEL_SHIFT
    result[:, 6] = np.log1p(facts.popularity)
    result[:, 7] = np.log1p(facts.recent)
    result[:, 8] = facts.reorder
    result[:, 9] = np.log1p(np.maximum(neighbours, 0))
    result[:, 10] = np.log1p(np.maximum(together, 0))
    total = sum(counts.values())
    by_type: dict[str, float] = {}
    by_maker: dict[str, float] = {}
    latest: dict[str, int] = {}
    for product, (kind, maker) in history.items():
        if product in counts:
            by_type[kind] = by_type.get(kind, 0.0) + counts[product]
            by_maker[maker] = by_maker.get(maker, 0.0) + counts[product]
            latest[kind] = max(latest.get(kind, 0), profile.bought[product].last)
    result[:, 11] = _affinity(facts.types, by_type, shares.types, total)
    result[:, 12] = _affinity(facts.makers, by_maker, shares.makers, total)
    result[:, 13] = [
        np.log1p(max(date - latest[kind], 0) if kind in latest else _NEVER_DAYS) for kind in facts.types
    ]
    result[:, 14] = np.log1p(total)
    result[:, 15] = np.log1p(len(counts))
    result[:, 16] = sum(c.orders > 1 for c in profile.bought.values()) / max(len(counts), 1)
    return result


def _affinity(
    names: Sequence[str], own: Mapping[str, float], shares: Mapping[str, float], total: float
) -> list[float]:
    """Return the smoothed log-ratio (n,) of the shopper's share of each name to all shoppers'."""
    ratio = {
        name: float(np.log((own.get(name, 0.0) / share + _AFFINITY_PRIOR) / (total + _AFFINITY_PRIOR)))
        if (share := max(shares.get(name, 0.0), 1e-5)) and name
        else 0.0
        for name in set(names)
    }
    return [ratio[name] for name in names]
