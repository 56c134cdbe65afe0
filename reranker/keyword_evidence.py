"""What the keyword search's scores say of a hit, beside the model's probability."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

TYPICAL_SHARE = 0.7
"""Share of the best BM25 score that says nothing for or against: so probabilities stay calibrated as a whole.

Measured on the electronics judgements, scorers held out: expected calibration error 0.055; 0.086 for 1.
"""


def compute_keyword_log_odds(first_scores: Sequence[float], weight: float) -> NDArray[np.float64] | None:
    """Return what each hit's keyword score moves its log-odds by; None where keywords have no say.

    `weight` x (its share of the best BM25 score - TYPICAL_SHARE); what the keyword search did not return
    has none of it: two engines that agree are better evidence than one. Measured on the electronics
    judgements, scorers held out: whole-catalogue nDCG@10 is 0.720 at weight 0, 0.771 at 1.2, 0.785 at 1.8,
    0.801 at 3, 0.804 at 4; over judged products alone 0.939, 0.928, 0.924, 0.923, 0.915.
    """
    best = max(first_scores, default=0.0)
    if best <= 0 or not weight:
        return None
    moved: NDArray[np.float64] = weight * (np.maximum(first_scores, 0.0) / best - TYPICAL_SHARE)
    return moved


def add_keyword_evidence(
    scores: Sequence[float], first_scores: Sequence[float], weight: float
) -> list[float]:
    """Move each probability's log-odds by how near its hit comes to the best keyword hit."""
    moved = compute_keyword_log_odds(first_scores, weight)
    if moved is None:
        return list(scores)
    likely = np.clip(np.asarray(scores, dtype=np.float64), 1e-9, 1 - 1e-9)
    weighed: list[float] = (1 / (1 + np.exp(-(np.log(likely / (1 - likely)) + moved)))).tolist()
    return weighed
