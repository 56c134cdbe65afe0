"""How well a ranking satisfies a query."""

from collections.abc import Sequence

import numpy as np

from tests.bench.demands.kinds import DemandQuery

PLACES = 10
"""Places of a ranking that count."""


def measure_query(query: DemandQuery, ranking: Sequence[int]) -> tuple[float, float]:
    """Return the share of the first ten places that satisfy a query, of those that could, and nDCG@10."""
    hits = np.array([row in query.rows for row in ranking[:PLACES]], dtype=float)
    possible = min(PLACES, len(query.rows))
    discounts = 1 / np.log2(np.arange(2, PLACES + 2))
    gain = float(hits @ discounts[: len(hits)])
    return float(hits.sum()) / possible, gain / float(discounts[:possible].sum())
