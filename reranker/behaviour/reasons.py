"""Why a product is recommended: the part of its score without which it would stand lowest."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from reranker.behaviour.counts import ProductCount
from reranker.behaviour.features import BEHAVIOUR_FEATURES, NEVER_BOUGHT
from reranker.types import Floats

_GROUPS = {
    "again": ("bought", "known", "orders", "age", "due", "kernel"),
    "together": ("neighbours", "together"),
    "taste": ("type", "maker", "type_age"),
    "popular": ("popularity", "recent", "reorder"),
}
"""Inputs of the behaviour scorer by the reason that they are."""


@dataclass(frozen=True, slots=True)
class RecommendationReason:
    """A reason. `kind` is one of:

    again      the shopper buys it every `value` days, or bought it (`value` 0)
    together   it is bought with `products`
    similar    it is like `products`
    taste      the shopper buys much of its type or maker
    trending   it is bought `value` times as often as usual
    popular    many buy it
    """

    kind: str
    products: tuple[str, ...] = ()
    value: float = 0.0

    def describe(self, titles: Mapping[str, str]) -> str:
        """Return the reason as a sentence; `titles` are those of products, by id."""
        names = ", ".join(titles.get(product, product) for product in self.products)
        return {
            "again": f"you buy it every {_days(self.value)}" if self.value else "you bought it before",
            "together": f"bought with {names}" if names else "bought with what you buy",
            "similar": f"like {names}",
            "taste": "you often buy its kind",
            "trending": f"bought {self.value:.1f} times as often as usual",
            "popular": "bought by many",
        }[self.kind]


def explain_again(count: ProductCount) -> RecommendationReason:
    """Return the reason of a product that the shopper bought before."""
    return RecommendationReason("again", value=round(count.gap, 1))


def name_leading_parts(features: Floats, score: Floats, masked: Mapping[str, Floats]) -> list[str]:
    """Return, for each product (n,), the group of inputs without which its score falls most.

    `score` (n,) is by all of `features` (n, F), `masked` maps each group to the scores without it.
    """
    names = list(masked)
    falls = np.stack([score - masked[name] for name in names])  # (groups, n)
    bought = features[:, BEHAVIOUR_FEATURES.index("known")] > 0
    falls[names.index("again"), ~bought] = -np.inf
    return [names[row] for row in falls.argmax(0)]


def mask_parts(features: Floats) -> dict[str, Floats]:
    """Return, for each group of inputs, the features (n, F) with that group as of a product without it."""
    result: dict[str, Floats] = {}
    for group, names in _GROUPS.items():
        masked = features.copy()
        for name in names:
            at = BEHAVIOUR_FEATURES.index(name)
            masked[:, at] = np.median(features[:, at]) if group == "popular" else NEVER_BOUGHT.get(name, 0.0)
        result[group] = masked
    return result


def _days(value: float) -> str:
    if value < 1.5:
        return "day"
    if value < 10:
        return f"{value:.0f} days"
    weeks = value / 7
    return f"{weeks:.0f} weeks" if weeks < 9 else f"{value / 30.4:.0f} months"
