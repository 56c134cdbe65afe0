"""How well a ranking satisfies a query."""

from collections.abc import Sequence

import numpy as np

from reranker.probes.measure import measure_ranking
from tests.bench.demands.kinds import DemandQuery

PLACES = 10
"""Places of a ranking that count."""


def measure_query(query: DemandQuery, ranking: Sequence[int]) -> tuple[float, float]:
    """Return the share of the first ten places that satisfy a query, of those that could, and nDCG@10."""
    hits = np.array([row in query.rows for row in ranking[:PLACES]], dtype=bool)
    return measure_ranking(hits, len(query.rows), PLACES)
