"""What rankings of products are worth by the orders that followed, shopper by shopper."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from reranker.evaluation.interval import Interval
from reranker.evaluation.significance import PairedComparison, bootstrap_mean, compare_paired
from reranker.types import Doubles, Floats, Ints

TOP = 20
"""Products of a ranking that count."""

MEASURES_OF_ORDERS = ("recall", "precision", "ndcg", "mrr")
"""Measures of the first TOP products:

recall     share of the order's products that are there, of those that could be
precision  share of the products there that are in the order
ndcg       the same with the upper places worth more
mrr        one over the place of the first that is in the order, 0 where none is
"""


def measure_order(ranking: Ints, wanted: Ints, top: int = TOP) -> tuple[float, float, float, float]:
    """Return MEASURES_OF_ORDERS of a ranking, best first; one product or more is wanted."""
    hits = np.isin(ranking[:top], wanted)
    possible = min(top, len(wanted))
    discounts = 1 / np.log2(np.arange(2, top + 2))
    gain = float(hits @ discounts[: len(hits)]) / float(discounts[:possible].sum())
    first = int(hits.argmax()) if hits.any() else -1
    return float(hits.sum()) / possible, float(hits.sum()) / top, gain, 1 / (first + 1) if hits.any() else 0.0


class RankingValues:
    """Values of one ranking, order by order, and the products that it showed."""

    def __init__(self) -> None:
        self._values: dict[str, list[tuple[float, float, float, float]]] = {}
        self.shown: list[Ints] = []

    def add(self, shopper: str, ranking: Ints, wanted: Ints) -> None:
        """Take in a ranking, best first, and the products wanted. Without any, nothing is measured."""
        if len(wanted):
            self._values.setdefault(shopper, []).append(measure_order(ranking, wanted))
            self.shown.append(ranking[:TOP])

    def merge(self, other: "RankingValues") -> None:
        """Take in the values of another ranking, of other shoppers."""
        self._values |= other._values
        self.shown += other.shown

    def average(self, measure: str) -> dict[str, float]:
        """Return each shopper's mean of a measure."""
        at = MEASURES_OF_ORDERS.index(measure)
        return {shopper: float(np.mean([row[at] for row in rows])) for shopper, rows in self._values.items()}


@dataclass(frozen=True, slots=True)
class RankingFigures:
    """Means over shoppers with 95 % intervals, and what was shown.

    `coverage` is the share of all products that some ranking showed; `novelty` the mean surprise of a
    product shown, in bits: log2 of how many purchases there are for one of it; `diversity` the mean of one
    less the cosine of two products shown together, None without vectors. `compared` is the first ranking's
    recall less this one's, None for the first.
    """

    means: Mapping[str, Interval]
    shoppers: int
    different_products: int
    coverage: float
    novelty: float
    diversity: float | None
    compared: PairedComparison | None = None


@dataclass(frozen=True, slots=True, eq=False)
class ShownProducts:
    """What coverage, novelty and diversity are measured by: `popularity` (P,), and `vectors` (P, d)."""

    popularity: Doubles
    vectors: Floats | None = field(default=None)


def summarise_rankings(
    values: Mapping[str, RankingValues], first: str, products: ShownProducts
) -> dict[str, RankingFigures]:
    """Return the figures of each ranking; `first` is compared with each other one. Empty without orders."""
    if not values[first].shown:
        return {}
    recalls = {name: value.average("recall") for name, value in values.items()}
    others = {name: recall for name, recall in recalls.items() if name != first}
    compared = compare_paired(recalls[first], others)
    return {name: _summarise(value, products, compared.get(name)) for name, value in values.items()}


def _summarise(
    values: RankingValues, products: ShownProducts, compared: PairedComparison | None
) -> RankingFigures:
    averages = {name: values.average(name) for name in MEASURES_OF_ORDERS}
    shown = np.unique(np.concatenate(values.shown))
    surprise = np.log2((products.popularity.sum() + 1) / (products.popularity + 1))
    return RankingFigures(
        {name: bootstrap_mean(list(by_shopper.values())) for name, by_shopper in averages.items()},
        len(averages["recall"]),
        len(shown),
        len(shown) / len(products.popularity),
        _mean(values.shown, lambda rows: float(surprise[rows].mean())),
        None if products.vectors is None else measure_diversity(values.shown, products.vectors),
        compared,
    )


def measure_diversity(shown: Sequence[Ints], vectors: Floats) -> float:
    """Return the mean of one less the cosine of two products (rows of unit vectors) of one ranking."""

    def differ(rows: Ints) -> float:
        total = vectors[rows].sum(0)
        pairs = len(rows) * (len(rows) - 1)
        return 1 - float(total @ total - np.square(vectors[rows]).sum()) / pairs

    return _mean([rows for rows in shown if len(rows) > 1], differ)


def _mean(shown: Sequence[Ints], measure: Callable[[Ints], float]) -> float:
    return float(np.mean([measure(rows) for rows in shown if len(rows)])) if shown else 0.0


def pick_best(scores: Doubles, size: int = TOP) -> Ints:
    """Return the rows of the highest finite scores, best first."""
    size = min(size, len(scores))
    rows = np.argpartition(-scores, size - 1)[:size]
    best = rows[np.argsort(-scores[rows], kind="stable")].astype(np.int64)
    finite: Ints = best[np.isfinite(scores[best])]
    return finite
