"""Orders as training examples: the features of an order's candidates, and which of them were bought."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mappings.errors import LabelsError
from reranker.behaviour.neighbours import fit_cosine, fit_ease
from reranker.behaviour.order_replay import MIN_ORDER, replay_orders
from reranker.behaviour.purchases import PurchaseLog
from reranker.behaviour.shop_counts import CANDIDATES, ShopCounts, count_shop
from reranker.types import Floats

MIN_EXAMPLES = 200
"""Orders that training needs."""

_STEP_DAYS = 7.0
_FOLDS = 2


@dataclass(frozen=True, slots=True, eq=False)
class BehaviourExamples:
    """Features and labels of N orders, CANDIDATES products each."""

    features: Floats  # (N, C, F)
    bought: NDArray[np.bool_]  # (N, C)


def build_examples(
    log: PurchaseLog,
    types: Sequence[str],
    makers: Sequence[str],
    begin: float,
    end: float,
    most: int,
    seed: int = 7,
) -> BehaviourExamples:
    """Return about `most` orders between two days as examples. Raises LabelsError where they are too few.

    A shopper's neighbours are fitted to other shoppers: a model that has seen the very orders it is asked
    for would be believed too much.
    """
    rng = np.random.default_rng(seed)
    fold = rng.integers(0, _FOLDS, len(log.user_ids))
    fitted = []
    for number in range(_FOLDS):
        others = log.select((fold[log.users] != number) & (log.days < end))
        fitted.append((fit_ease(others), fit_cosine(others)))
    active = max(len(np.unique(log.users)), 1)
    each = max(1, round(most / active))

    def choose(count: int) -> NDArray[np.bool_]:
        return rng.permutation(count) < each

    features, bought = [], []
    counts: dict[tuple[int, int], ShopCounts] = {}
    for example in replay_orders(log, begin, end, choose):
        key = (int(example.day // _STEP_DAYS), int(fold[example.user]))
        if key not in counts:
            counts[key] = count_shop(log, types, makers, key[0] * _STEP_DAYS, fitted[key[1]])
        shop = counts[key]
        rows = shop.candidates(example.profile, example.day, CANDIDATES)
        features.append(shop.features(example.profile, rows, example.day))
        bought.append(np.isin(rows, example.products))
    if len(features) < MIN_EXAMPLES:
        raise LabelsError(
            f"{len(features)} orders of {MIN_ORDER} products or more by shoppers who had ordered before: "
            f"the behaviour scorer needs {MIN_EXAMPLES}"
        )
    return BehaviourExamples(np.stack(features), np.stack(bought))
