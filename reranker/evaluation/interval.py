"""A mean or a share with its confidence interval."""

from dataclasses import dataclass
from math import sqrt
from statistics import NormalDist

CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean or a share over queries, and the bounds of its 95 % confidence interval."""

    mean: float
    low: float
    high: float


def estimate_share(number: int, total: int) -> Interval:
    """Return the share of `number` in `total` with its interval (Wilson 1927), 0 to 1 for a total of 0.

    Unlike the bootstrap's, the interval has a width where none or all count.
    """
    if not total:
        return Interval(0.0, 0.0, 1.0)
    z = NormalDist().inv_cdf((1 + CONFIDENCE) / 2)
    share = number / total
    middle = (share + z * z / (2 * total)) / (1 + z * z / total)
    half = z * sqrt(share * (1 - share) / total + (z / (2 * total)) ** 2) / (1 + z * z / total)
    return Interval(share, max(0.0, middle - half), min(1.0, middle + half))
