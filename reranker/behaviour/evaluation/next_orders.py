"""The next order, of shoppers never counted: all of it, what they bought before, and what they never did."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from reranker.behaviour.diversity import diversify
from reranker.behaviour.evaluation.order_scores import ScoreOrder
from reranker.behaviour.evaluation.ranking_values import TOP, RankingValues, pick_best
from reranker.behaviour.order_replay import OrderExample
from reranker.types import Doubles, Floats, Ints

KINDS_OF_ORDERS = ("all", "repeat", "explore")
"""What of an order counts, and which products are ranked: all, those bought before, those never bought."""

_DIVERSE_FROM = 100
"""Best products that a diverse ranking chooses from."""

_DIVERSITY = 0.3

Pick = Callable[[Doubles], Ints]


@dataclass(frozen=True, slots=True)
class OrderRanking:
    """A ranking: its scores, and how products are picked by them."""

    score: ScoreOrder
    pick: Pick = pick_best


def rank_orders(
    examples: Iterable[OrderExample],
    rankings: Mapping[str, OrderRanking],
    size: int,
    advance: Callable[[int], None] | None = None,
) -> dict[str, dict[str, RankingValues]]:
    """Return kind → ranking → its values, of a shop of `size` products.

    What a shopper bought before is all of it, not only what the profile holds. `advance` is called with 1
    after each order.
    """
    values = {kind: {name: RankingValues() for name in rankings} for kind in KINDS_OF_ORDERS}
    for example in examples:
        known = np.zeros(size, dtype=bool)
        known[example.earlier] = True
        allowed: dict[str, NDArray[np.bool_]] = {
            "all": np.ones_like(known),
            "repeat": known,
            "explore": ~known,
        }
        for name, ranking in rankings.items():
            scores = ranking.score(example)
            for kind, allow in allowed.items():
                wanted = example.products[allow[example.products]]
                if len(wanted):
                    picked = ranking.pick(np.where(allow, scores, -np.inf))
                    values[kind][name].add(str(example.user), picked, wanted)
        if advance:
            advance(1)
    return values


def pick_diverse(vectors: Floats) -> Pick:
    """Return how to pick products that are not all alike, by their unit vectors (P, d)."""

    def pick(scores: Doubles) -> Ints:
        best = pick_best(scores, _DIVERSE_FROM)
        chosen = diversify(scores[best].astype(np.float32), vectors[best], TOP, _DIVERSITY)
        result: Ints = best[chosen]
        return result

    return pick
