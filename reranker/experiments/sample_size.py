"""How long an experiment takes, before it begins."""

from math import ceil, sqrt
from statistics import NormalDist

from mappings.errors import EvaluationError


def plan_preference(share: float, power: float = 0.8, alpha: float = 0.05) -> int:
    """Return the decided searches that an interleaving needs to find that one ranking wins `share` of them.

    For one look at the end. Raises EvaluationError for a share of a half.
    """
    if not 0 < share < 1 or share == 0.5:
        raise EvaluationError("a preference to find lies between 0 and 1, and is not 0.5")
    z_alpha, z_power = _quantiles(power, alpha)
    return ceil(((z_alpha * 0.5 + z_power * sqrt(share * (1 - share))) / (share - 0.5)) ** 2)


def plan_rates(base: float, changed: float, power: float = 0.8, alpha: float = 0.05) -> int:
    """Return the trials that each of two variants needs to tell a rate `base` from a rate `changed`.

    Raises EvaluationError for rates that are equal or not between 0 and 1.
    """
    if not (0 < base < 1 and 0 < changed < 1) or base == changed:
        raise EvaluationError("rates to tell apart lie between 0 and 1, and differ")
    z_alpha, z_power = _quantiles(power, alpha)
    mean = (base + changed) / 2
    spread = z_alpha * sqrt(2 * mean * (1 - mean))
    spread += z_power * sqrt(base * (1 - base) + changed * (1 - changed))
    return ceil((spread / (base - changed)) ** 2)


def _quantiles(power: float, alpha: float) -> tuple[float, float]:
    if not (0 < power < 1 and 0 < alpha < 1):
        raise EvaluationError("power and alpha lie between 0 and 1")
    return NormalDist().inv_cdf(1 - alpha / 2), NormalDist().inv_cdf(power)
