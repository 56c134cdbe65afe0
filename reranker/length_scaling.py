"""Probabilities that come true: log-odds, scaled by the length of their query (Platt 1999).

Each word more lowers the cosine of a query and of what answers it, so log-odds say less of long queries.
Searches order hits and weigh evidence by the log-odds as they are, and scale at the end: that moves no hit
past another.
"""

import math
from collections.abc import Sequence

from reranker.log_odds import compute_log_odds, compute_probabilities
from reranker.types import EncodedQuery, Floats

LONGEST = 5
"""Tokens from which on a query counts as no longer.

Fitted on electronics and English ESCI pairs, 4, 5 and 6 make their labels about equally likely: a mean loss
of 0.471, 0.472 and 0.472.
"""


def compute_length(tokens: int) -> float:
    """Return the logarithm of a query's number of tokens, as far as it counts."""
    return math.log(min(max(tokens, 1), LONGEST))


def compute_scale(scaling: Floats, tokens: int) -> tuple[float, float]:
    """Return slope and shift of the log-odds of a query, by a scorer's `scaling` (3,)."""
    slope, by_length, shift = scaling.tolist()
    return slope + by_length * compute_length(tokens), shift


def calibrate(
    query: EncodedQuery, probabilities: Sequence[float] | Floats, spread: float = 1.0
) -> list[float]:
    """Return the probabilities (n,) of a query's products as often as they come true, in the same order.

    `spread` says how many times wider their log-odds lie than those of the model alone.
    """
    if query.scale == (1.0, 0.0):
        return list(probabilities)
    slope, shift = widen_scale(query, spread)
    calibrated: list[float] = compute_probabilities(slope * compute_log_odds(probabilities) + shift).tolist()
    return calibrated


def widen_scale(query: EncodedQuery, spread: float) -> tuple[float, float]:
    """Return slope and shift of log-odds that lie `spread` times wider than those of the model alone."""
    slope, shift = query.scale
    return slope / spread, shift
