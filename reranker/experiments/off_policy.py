"""What another policy would have earned, from what a logged one did.

Weights are not clipped: simulated, clipping them at 10 biases the estimate by 8 to 40 %, and the intervals
then hold the truth in 0 to 78 % of cases instead of 95.
"""

from dataclasses import dataclass

import numpy as np

from mappings.errors import EvaluationError
from reranker.types import Doubles

MIN_EFFECTIVE_EVENTS = 1_000
"""Effective number of events below which no estimate is given."""

_Z = 1.959963984540054
"""Standard deviations from the mean to each bound of a 95 % interval."""


@dataclass(frozen=True, slots=True)
class PolicyValue:
    """The mean reward that a policy would earn, its 95 % interval, and the effective number of events."""

    mean: float
    low: float
    high: float
    effective_events: float


def count_effective_events(weights: Doubles) -> float:
    """Return (Σw)² / Σw²: how many events of the policy itself the weighted ones are worth (Kish 1965)."""
    squares = float(np.square(weights).sum())
    return float(weights.sum()) ** 2 / squares if squares else 0.0


def estimate_self_normalised(rewards: Doubles, weights: Doubles) -> PolicyValue:
    """Estimate by self-normalised importance sampling (Swaminathan and Joachims 2015).

    `weights` (n,) are the policy's probability of the logged action over its logged propensity. Raises
    EvaluationError below MIN_EFFECTIVE_EVENTS.
    """
    effective = _check_events(weights)
    mean = float((weights * rewards).sum() / weights.sum())
    error = float(np.sqrt(np.square(weights * (rewards - mean)).sum()) / weights.sum())
    return PolicyValue(mean, mean - _Z * error, mean + _Z * error, effective)


def estimate_doubly_robust(
    rewards: Doubles, weights: Doubles, predicted: Doubles, expected: Doubles
) -> PolicyValue:
    """Estimate by a reward model, corrected by importance sampling (Dudík et al. 2011).

    `predicted` (n,) is the model's reward of the logged action, `expected` (n,) its mean over the policy's
    actions; the model must not have been fitted to the same events. Raises EvaluationError below
    MIN_EFFECTIVE_EVENTS.
    """
    effective = _check_events(weights)
    terms = expected + weights * (rewards - predicted)
    mean = float(terms.mean())
    error = float(terms.std(ddof=1) / np.sqrt(len(terms)))
    return PolicyValue(mean, mean - _Z * error, mean + _Z * error, effective)


def _check_events(weights: Doubles) -> float:
    if len(weights) and not (np.isfinite(weights).all() and weights.min() >= 0):
        raise EvaluationError(
            "importance weights must be finite and 0 or more: check the propensities logged"
        )
    effective = count_effective_events(weights)
    if effective < MIN_EFFECTIVE_EVENTS:
        raise EvaluationError(
            f"{len(weights)} logged events are worth {effective:.0f} of this policy, fewer than "
            f"{MIN_EFFECTIVE_EVENTS}: log more, or more varied, decisions before judging it"
        )
    return effective
