"""Probabilities as log-odds, to which evidence is added, and back."""

import numpy as np
from numpy.typing import ArrayLike

from reranker.types import Doubles

_LEAST = 1e-9
"""How near to 0 or 1 a probability counts: its log-odds stay within 20.7 either way."""


def compute_log_odds(probabilities: ArrayLike) -> Doubles:
    """Return the log-odds (n,) of probabilities (n,), at most 20.7 either way."""
    likely = np.clip(np.asarray(probabilities, dtype=np.float64), _LEAST, 1 - _LEAST)
    odds: Doubles = np.log(likely / (1 - likely))
    return odds


def compute_probabilities(log_odds: ArrayLike) -> Doubles:
    """Return the probabilities (n,) of log-odds (n,)."""
    likely: Doubles = 1 / (1 + np.exp(-np.asarray(log_odds, dtype=np.float64)))
    return likely
