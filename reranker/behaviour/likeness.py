"""Products that few have bought yet, ranked by what the shopper bought or viewed that is like them."""

import numpy as np

from reranker.behaviour.features import BEHAVIOUR_FEATURES
from reranker.types import Doubles, Floats

LENDERS = 20
"""Products that a new one borrows from: those with the nearest vectors."""

_SCALE = 0.1
"""Difference of cosine at which a product speaks e times less for one that is like it."""

_SHARE = 0.02
"""What a product lends to its like, beside the weights of products that the same shoppers bought.

Measured on a year of groceries, with 0.1 new products were more than half of the first 20 that were never
bought, and recall fell from 0.044 to 0.034.
"""


def weigh_likeness(cosine: float) -> float:
    """Return what a product's purchase says for a new one, by the cosine of their vectors."""
    return float(_SHARE * np.exp((cosine - 1) / _SCALE))


def score_by_likeness(vectors: Floats, sources: Floats, strengths: Doubles) -> Doubles:
    """Return how much products (n, d) are like sources (m, d), weighted by strengths (m,): (n,).

    Both are unit rows. It reaches products that nobody bought yet.
    """
    if not len(sources):
        return np.zeros(len(vectors))
    nearness = np.exp((vectors @ sources.T - 1) / np.float32(_SCALE))  # (n, m)
    result: Doubles = nearness.astype(np.float64) @ strengths
    return result


def score_new_products(features: Floats) -> Doubles:
    """Return scores (n,) from 0 to 1 of products without purchases, by their counting features (n, F).

    The shopper's own counts of what is like a product, times the square root of their affinity to its type
    and maker. Measured on groceries with a fifth of the products made new: recall@20 among those 0.065, by
    likeness or by type and maker alone 0.05.
    """
    column = {name: features[:, at].astype(np.float64) for at, name in enumerate(BEHAVIOUR_FEATURES)}
    value = np.expm1(column["neighbours"]) * np.exp((column["type"] + column["maker"]) / 2)
    result: Doubles = value / (1 + value)
    return result
