"""Recall and nDCG of one ranking where a product either meets what was asked for or does not."""

import numpy as np
from numpy.typing import NDArray


def measure_ranking(hits: NDArray[np.bool_], relevant: int, places: int) -> tuple[float, float]:
    """Return the share of the first places that are hits, of those that could be, and nDCG.

    `hits` says of each product, best first, whether it is one of the `relevant` ones, of which there are 1 or
    more.
    """
    first = hits[:places]
    possible = min(places, relevant)
    discounts = 1 / np.log2(np.arange(2, places + 2))
    gain = float(first @ discounts[: len(first)])
    return float(first.sum()) / possible, gain / float(discounts[:possible].sum())
