"""Products that belong to a product: bought by the same shoppers, or in the same orders.

A product has few sources: products whose purchase speaks for it.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from reranker.behaviour.purchases import PurchaseLog
from reranker.types import Doubles, Floats, Ints

NEIGHBOURS = 20
"""Sources a product at most."""

_EASE_NEIGHBOURS = 10
"""Sources a product by EASE. Measured on a year of groceries, 20 find no more: recall@20 of what was never
bought 0.038 with 10, 0.037 with 20."""

_LEAST_SHARE = 0.2
"""Share of a product's greatest weight that its other sources have by the cosine at least. Measured, weaker
ones find nothing: recall@10 of a hidden product 0.109 without them, 0.106 with them."""

MIN_USERS = 5
"""Shoppers who must have bought both products: leaving rarer pairs out costs nothing, and shows nobody's."""

MAX_EASE_USERS = 4_000
"""Most shoppers that EASE is fitted to: the most active. Its time grows with their number."""

MAX_EASE_PRODUCTS = 12_000
"""Most products that EASE is fitted to: those that most shoppers bought. Its time grows with their square."""

_EASE_REGULARISATION = 30.0
_SOURCE_POWER, _TARGET_POWER = 0.7, 0.3
"""Exponents of the cosine: measured best for basket completion, recall@10 0.136 against 0.122 of log-lift."""

_BLOCK = 2_000

PAIRS_AT_ONCE = 20_000_000
"""Pairs of products in orders that are counted at once: 0.8 GB."""


@dataclass(frozen=True, slots=True, eq=False)
class Neighbours:
    """Weights from sources to targets: rows `starts[i]` to `starts[i + 1]` are of source i."""

    starts: Ints  # (P + 1,)
    targets: Ints  # (E,)
    weights: Floats  # (E,)

    def score(self, sources: Ints, strengths: Doubles) -> Doubles:
        """Return each product's sum of weights (P,), from sources (m,) weighted by strengths (m,)."""
        size = len(self.starts) - 1
        counts = self.starts[sources + 1] - self.starts[sources]
        total = int(counts.sum())
        if total == 0:
            return np.zeros(size)
        offsets = np.repeat(self.starts[sources] - np.concatenate(([0], np.cumsum(counts)[:-1])), counts)
        edges = np.arange(total) + offsets
        strong = self.weights[edges] * np.repeat(strengths, counts)
        result: Doubles = np.bincount(self.targets[edges], strong, size).astype(np.float64)
        return result

    def by_target(self) -> dict[int, dict[int, float]]:
        """Return target → source → weight, as product documents hold them."""
        sources = np.repeat(np.arange(len(self.starts) - 1), np.diff(self.starts))
        grouped: dict[int, dict[int, float]] = {}
        for source, target, weight in zip(
            sources.tolist(), self.targets.tolist(), self.weights.tolist(), strict=True
        ):
            grouped.setdefault(target, {})[source] = weight
        return grouped


def fit_ease(log: PurchaseLog, regularisation: float = _EASE_REGULARISATION) -> Neighbours:
    """Fit EASE (Steck 2019) to which shopper bought what, and keep each product's best sources.

    By the shoppers' Gram matrix: for U shoppers and P products it solves U equations, not P.
    """
    size = len(log.product_ids)
    x, chosen = _build_incidence(log)  # (U, P)
    gram = x @ x.T  # (U, U)
    gram[np.diag_indices_from(gram)] += np.float32(regularisation)
    z = np.linalg.solve(gram, x) if len(gram) else x  # (U, P)
    free = np.maximum(1 - np.einsum("up,up->p", x, z), 1e-6)  # (P,)
    edges = []
    xt = np.ascontiguousarray(x.T)  # (P, U)
    for begin in range(0, len(chosen), _BLOCK):
        block = slice(begin, begin + _BLOCK)
        weights = xt @ z[:, block] / free[block]  # (P, b)
        sources, targets, best = _best_sources(weights, begin)
        # Row by row of the few edges: a product of the matrices would take as long as the weights.
        both = np.einsum("eu,eu->e", xt[sources], xt[targets]) >= MIN_USERS
        edges.append((sources[both], targets[both], best[both]))
    return _collect(edges, size, chosen)


def fit_cosine(log: PurchaseLog, pairs_at_once: int = PAIRS_AT_ONCE) -> Neighbours:
    """Count which products share orders, and keep each product's best sources by an asymmetric cosine.

    The weight is n(source, target) / (n(source)^0.7 · n(target)^0.3), n in orders.
    """
    size = len(log.product_ids)
    low, high, together = _count_pairs(log, pairs_at_once)
    totals = np.maximum(np.bincount(log.products, minlength=size), 1)
    sources, targets = np.concatenate((low, high)), np.concatenate((high, low))
    counts = np.concatenate((together, together))
    weights = counts / (totals[sources] ** _SOURCE_POWER * totals[targets] ** _TARGET_POWER)
    order = np.lexsort((-weights, targets))
    sources, targets, weights = sources[order], targets[order], weights[order]
    first = np.searchsorted(targets, targets)  # the greatest weight's place
    best = (np.arange(len(targets)) - first < NEIGHBOURS) & (weights >= _LEAST_SHARE * weights[first])
    return make_neighbours(sources[best], targets[best], weights[best].astype(np.float32), size)


def make_neighbours(sources: Ints, targets: Ints, weights: Floats, size: int) -> Neighbours:
    """Return edges in any order as Neighbours of `size` products."""
    by = np.lexsort((targets, sources))
    starts = np.searchsorted(sources[by], np.arange(size + 1)).astype(np.int64)
    return Neighbours(starts, targets[by], weights[by])


def _count_pairs(log: PurchaseLog, pairs_at_once: int) -> tuple[Ints, Ints, Ints]:
    """Return pairs of products, lower number first, that MIN_USERS shoppers ordered together.

    The third is in how many orders each pair is. Pairs are counted range by range of their lower product, so
    that memory does not grow with their number.
    """
    size, shoppers = max(len(log.product_ids), 1), max(len(log.user_ids), 1)
    by = np.argsort(log.orders * size + log.products, kind="stable")
    orders, products, users = log.orders[by], log.products[by], log.users[by]
    last = np.searchsorted(orders, orders, side="right") - 1  # (R,) the last row of each row's order
    later = last - np.arange(len(orders))  # (R,) pairs of which the row is the lower product
    pairs = np.bincount(products, later, size).astype(np.float64)
    widest = max((1 << 62) // (size * shoppers), 1)
    result = [(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.int64))]
    for begin, end in _split_ranges(pairs, pairs_at_once, widest):
        rows = np.flatnonzero((products >= begin) & (products < end) & (later > 0))
        firsts = np.repeat(rows, later[rows])
        ends = np.cumsum(later[rows])
        steps = np.arange(len(firsts)) - np.repeat(ends - later[rows], later[rows])
        keys = ((products[firsts] - begin) * size + products[firsts + 1 + steps]) * shoppers + users[firsts]
        keys.sort()  # pair by pair, and shopper by shopper within
        numbers = keys // shoppers
        starts = np.flatnonzero(np.diff(numbers, prepend=-1))
        if not len(starts):
            continue
        spread = np.add.reduceat((np.diff(keys, prepend=-1) != 0).astype(np.int64), starts)
        wide = spread >= MIN_USERS
        pair, counts = numbers[starts[wide]], np.diff(starts, append=len(keys))[wide]
        result.append((pair // size + begin, pair % size, counts))
    low, high, counts = (np.concatenate(parts) for parts in zip(*result, strict=True))
    return low, high, counts


def _split_ranges(counts: Doubles, most: int, widest: int) -> Iterator[tuple[int, int]]:
    """Yield ranges of products, each of at most `widest` products that have about `most` pairs."""
    ends = np.cumsum(counts)
    begin = 0
    while begin < len(counts):
        before = ends[begin - 1] if begin else 0
        end = int(np.searchsorted(ends, before + most, side="right"))
        end = min(max(end, begin + 1), begin + widest, len(counts))
        yield begin, end
        begin = end


def _best_sources(weights: Floats, begin: int) -> tuple[Ints, Ints, Floats]:
    """Return sources, targets and weights of the greatest positive weights of each column (P, b)."""
    count, width = weights.shape
    columns = np.arange(width)
    weights[columns + begin, columns] = 0  # a product is no source of itself
    most = min(_EASE_NEIGHBOURS, count)
    rows = np.argpartition(-weights, most - 1, axis=0)[:most]  # (most, b)
    values = np.take_along_axis(weights, rows, 0)
    positive = values > 0
    targets = np.broadcast_to(columns + begin, rows.shape)
    return rows[positive], targets[positive], values[positive]


def _collect(edges: list[tuple[Ints, Ints, Floats]], size: int, chosen: Ints) -> Neighbours:
    """Return blocks of edges between the `chosen` products as Neighbours of `size` products."""
    if not edges:
        return make_neighbours(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.float32), size)
    sources, targets, weights = (np.concatenate(parts) for parts in zip(*edges, strict=True))
    return make_neighbours(chosen[sources], chosen[targets], weights, size)


def _build_incidence(log: PurchaseLog) -> tuple[Floats, Ints]:
    """Return which of the most active users bought which product (U, P) as 0 and 1, and the P products."""
    size = len(log.product_ids)
    pairs = np.unique(log.users * size + log.products)
    users, products = pairs // size, pairs % size
    active = _take_most(np.bincount(users, minlength=len(log.user_ids)), 1, MAX_EASE_USERS)
    place = np.full(len(log.user_ids), -1, dtype=np.int64)
    place[active] = np.arange(len(active))
    here = place[users] >= 0
    users, products = place[users[here]], products[here]
    chosen = _take_most(np.bincount(products, minlength=size), MIN_USERS, MAX_EASE_PRODUCTS)
    column = np.full(size, -1, dtype=np.int64)
    column[chosen] = np.arange(len(chosen))
    here = column[products] >= 0
    x = np.zeros((len(active), len(chosen)), dtype=np.float32)
    x[users[here], column[products[here]]] = 1
    return x, chosen


def _take_most(counts: Ints, least: int, most: int) -> Ints:
    """Return the numbers of at most `most` things that are counted `least` times or more, in order."""
    enough = np.flatnonzero(counts >= least)
    if len(enough) > most:
        enough = np.sort(enough[np.argsort(-counts[enough], kind="stable")[:most]])
    return enough.astype(np.int64)
