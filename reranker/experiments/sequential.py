"""Tests that may be read at any time: their p holds however often one looks.

Robbins's mixture (1970): under "no difference" the likelihood ratio of a mixture of alternatives exceeds 1/p
with a probability of at most p, ever (Ville's inequality). Looking 20 times at a fixed test of 5 % raises a
false alarm in 25 % of experiments.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from math import exp, lgamma, log

_PREFERENCE_PRIOR = 2_500.0
"""Both parameters of the Beta mixture over preferences: alternatives some 1 % from a half."""

_RATE_PRIOR_LIFT = 0.03
"""Standard deviation of the mixture over differences of rates, as a share of their mean."""


_MEAN_PRIOR_LIFT = 0.1
"""The same for means such as revenue, whose small differences no experiment tells."""


@dataclass(frozen=True, slots=True)
class SequentialResult:
    """`p` may be read after every search; `share` is what was observed."""

    share: float
    p: float


def compare_preference(wins: int, losses: int) -> SequentialResult:
    """Test whether the first of two rankings wins more, or fewer, decided searches than half.

    p is of this look; the least p of all looks may be kept.
    """
    n = wins + losses
    if n == 0:
        return SequentialResult(0.5, 1.0)
    a = _PREFERENCE_PRIOR
    log_ratio = _log_beta(a + wins, a + losses) - _log_beta(a, a) + n * log(2)
    return SequentialResult(wins / n, min(1.0, exp(-log_ratio)))


def compare_rates(first: tuple[int, int], second: tuple[int, int]) -> SequentialResult:
    """Test whether two rates differ, each given as (successes, trials), such as (clicks, searches).

    By the normal mixture of Johari et al. (2022), which needs some hundred successes to hold. `share` is the
    difference of the rates.
    """
    (hits_a, n_a), (hits_b, n_b) = first, second
    if min(n_a, n_b) == 0:
        return SequentialResult(0.0, 1.0)
    difference = hits_a / n_a - hits_b / n_b
    mean = (hits_a + hits_b) / (n_a + n_b)
    return _test_difference(difference, mean * (1 - mean) * (1 / n_a + 1 / n_b), mean)


def _test_difference(
    difference: float, variance: float, mean: float, lift: float = _RATE_PRIOR_LIFT
) -> SequentialResult:
    """Test a difference that has a variance, against differences of about `lift` times the mean."""
    if variance <= 0:
        return SequentialResult(difference, 1.0)
    spread = (lift * mean) ** 2
    log_ratio = 0.5 * log(variance / (variance + spread))
    log_ratio += 0.5 * difference**2 * spread / (variance * (variance + spread))
    return SequentialResult(difference, min(1.0, exp(-log_ratio)))


def compare_means(first: tuple[float, float, int], second: tuple[float, float, int]) -> SequentialResult:
    """Test whether two means differ, each given as (sum, sum of squares, trials), such as revenue a search.

    As `compare_rates`. `share` is the difference of the means.
    """
    (sum_a, squares_a, n_a), (sum_b, squares_b, n_b) = first, second
    if min(n_a, n_b) == 0:
        return SequentialResult(0.0, 1.0)
    mean_a, mean_b = sum_a / n_a, sum_b / n_b
    variance = (squares_a / n_a - mean_a**2) / n_a + (squares_b / n_b - mean_b**2) / n_b
    return _test_difference(mean_a - mean_b, variance, (sum_a + sum_b) / (n_a + n_b), _MEAN_PRIOR_LIFT)


def least_p(looks: Iterable[SequentialResult]) -> float:
    """Return the least p of several looks at one experiment: it is as valid as each of them."""
    return min((look.p for look in looks), default=1.0)


def _log_beta(a: float, b: float) -> float:
    return lgamma(a) + lgamma(b) - lgamma(a + b)
