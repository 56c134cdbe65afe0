"""Is one ranking better than another, or were the queries kind? By scipy (extra `evaluate`), seeded."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from reranker.evaluation.interval import CONFIDENCE, Interval

_RESAMPLES = 9_999
_SEED = 7
_TIE = 1e-9


@dataclass(frozen=True, slots=True)
class PairedComparison:
    """How the first of two rankings does beside the second on the same queries.

    `changes` maps each query to its value under the first less that under the second, worst change first.
    `p` is two-sided; `p_holm` is corrected for all comparisons made together.
    """

    change: Interval
    p: float
    p_holm: float
    wins: int
    losses: int
    ties: int
    changes: Mapping[str, float]


def bootstrap_mean(values: Sequence[float]) -> Interval:
    """Bootstrap the mean over queries (percentile method; Efron and Tibshirani 1993).

    A single value has no spread that could be known: its interval is all of the real line.
    """
    mean = float(np.mean(values))
    if len(values) < 2:
        return Interval(mean, -np.inf, np.inf)
    bounds = stats.bootstrap(
        (np.asarray(values),),
        np.mean,
        n_resamples=_RESAMPLES,
        confidence_level=CONFIDENCE,
        method="percentile",
        rng=_SEED,
    ).confidence_interval
    return Interval(mean, float(bounds.low), float(bounds.high))


def compare_paired(
    first: Mapping[str, float], others: Mapping[str, Mapping[str, float]]
) -> dict[str, PairedComparison]:
    """Compare `first` with each of `others`, all of them query → value over the same queries.

    The test is Fisher's randomisation of the sign of each query's change, which Smucker, Allan and Carterette
    (2007) recommend for ranking measures. Of several comparisons the least p is the likeliest to be small by
    chance; Holm (1979) corrects for it.
    """
    changes = {
        name: {query: first[query] - other[query] for query in first} for name, other in others.items()
    }
    p_values = {name: _sign_flips(list(query_changes.values())) for name, query_changes in changes.items()}
    corrected = correct_by_holm(p_values)
    return {
        name: PairedComparison(
            change=bootstrap_mean(list(query_changes.values())),
            p=p_values[name],
            p_holm=corrected[name],
            wins=sum(change > _TIE for change in query_changes.values()),
            losses=sum(change < -_TIE for change in query_changes.values()),
            ties=sum(abs(change) <= _TIE for change in query_changes.values()),
            changes=dict(sorted(query_changes.items(), key=lambda item: item[1])),
        )
        for name, query_changes in changes.items()
    }


def correct_by_holm(p_values: Mapping[str, float]) -> dict[str, float]:
    """Correct p-values made together: the k-th least of n times n - k + 1, never falling, at most 1."""
    corrected: dict[str, float] = {}
    least = 0.0
    for rank, name in enumerate(sorted(p_values, key=p_values.__getitem__)):
        least = max(least, min(1.0, p_values[name] * (len(p_values) - rank)))
        corrected[name] = least
    return corrected


def _sign_flips(changes: Sequence[float]) -> float:
    """Two-sided p of a mean this far from 0 if each change's sign were a coin's."""
    if len(changes) < 2 or max(map(abs, changes)) <= _TIE:
        return 1.0
    test = stats.permutation_test(
        (np.asarray(changes),),
        np.mean,
        permutation_type="samples",
        n_resamples=_RESAMPLES,
        vectorized=True,
        rng=_SEED,
    )
    return float(test.pvalue)
