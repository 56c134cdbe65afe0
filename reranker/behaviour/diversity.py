"""Maximal marginal relevance (Carbonell and Goldstein 1998): good products that are not all alike."""

import numpy as np

from reranker.types import Floats


def diversify(scores: Floats, vectors: Floats, size: int, diversity: float) -> list[int]:
    """Return the rows of `size` products: each the best by score less its likeness to those chosen before.

    scores: (n,) of any scale; vectors: (n, d) unit rows, zero where a product has none. `diversity` is 0 for
    the order of the scores, 1 for nothing but difference. Measured with 0.3: no recall lost of what was
    never bought, 0.007 of whole orders.
    """
    n = len(scores)
    order = np.argsort(-scores, kind="stable")
    if diversity <= 0 or n == 0:
        return [int(row) for row in order[:size]]
    # Ranks, not scores: the scale of the scores would decide how much likeness weighs.
    relevance = np.empty(n, dtype=np.float32)
    relevance[order] = 1 - np.arange(n, dtype=np.float32) / n
    likeness = np.zeros(n, dtype=np.float32)
    chosen: list[int] = []
    open_rows = np.ones(n, dtype=bool)
    while len(chosen) < min(size, n):
        value = np.where(open_rows, (1 - diversity) * relevance - diversity * likeness, -np.inf)
        row = int(value.argmax())
        chosen.append(row)
        open_rows[row] = False
        np.maximum(likeness, vectors @ vectors[row], out=likeness)
    return chosen
