"""Orders as training examples: what a shopper had bought before each, and what was in it."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mappings.errors import LabelsError
from reranker.behaviour.counts import Profile, add_purchases
from reranker.behaviour.neighbours import fit_cosine, fit_ease
from reranker.behaviour.purchases import PurchaseLog
from reranker.behaviour.shop_counts import ShopCounts, count_shop
from reranker.types import Floats, Ints

CANDIDATES = 300
"""Products of each example."""

MIN_ORDER = 3
"""Products in an order that counts: smaller ones say little of a ranking of 20."""

MIN_EXAMPLES = 200
"""Orders that training needs."""

_STEP_DAYS = 7.0
_FOLDS = 2


@dataclass(frozen=True, slots=True, eq=False)
class OrderExample:
    """An order on `day`, and its shopper's profile before it. `products` are rows of the log's products."""

    user: int
    day: float
    profile: Profile
    products: Ints


@dataclass(frozen=True, slots=True, eq=False)
class BehaviourExamples:
    """Features and labels of N orders, CANDIDATES products each."""

    features: Floats  # (N, C, F)
    bought: NDArray[np.bool_]  # (N, C)


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
        for at, (number, day) in enumerate(zip(numbers, moments.tolist(), strict=True)):
            if chosen and at > max(chosen):
                break
            basket = products[orders == number]
            if at in chosen and profile.bought:
                yield OrderExample(user, day, profile, basket)
            profile = add_purchases(profile, [log.product_ids[row] for row in basket], day)


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
