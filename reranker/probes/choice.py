"""Choose between settings by probes, so that chance never changes one.

What shoppers type is not known, so every family of made queries counts alike: a change is the mean over the
families of the mean over their queries. Its interval is by the paired bootstrap (Efron and Tibshirani 1993),
drawn within each family.
"""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeVar

import numpy as np

from reranker.evaluation.interval import Interval, estimate_share
from reranker.probes.queries import FOUND_BY_WORDS
from reranker.types import Doubles

MARGIN = 0.01
"""nDCG@10 by which a setting must be better, beyond chance, to be chosen; and that no family may lose."""

FEWEST = 20
"""Queries from which on a kind is judged, and families of a kind that is told by its looks."""

_NONSENSE_FOUND = 0.05
_KNOWN_KEPT = 0.5
"""Shares of nonsense texts that may find something, and of made queries that must find what answers them.

The second is low, because a lower floor also adds products that do not answer.
"""

_ROOM = 0.1
"""nDCG@10 that OpenSearch's own order must leave to be gained: where nothing can be better, nothing tells."""

_FEWEST_FAMILIES = 2
"""Families that words alone do not find, from which on a setting may change."""

_RESAMPLES = 2_000
_ALPHA = 0.05
_SEED = 7

_Setting = TypeVar("_Setting", bound=Hashable)


@dataclass(frozen=True, slots=True)
class ProbeChange:
    """A mean change of nDCG@10 over families, and its interval."""

    mean: float
    low: float
    high: float


class Verdict(StrEnum):
    """What the probes say of one kind of query."""

    BETTER = "better"
    """Attune is better than OpenSearch's own order beyond chance."""
    NOT_BETTER = "not better"
    """Attune is shown to be better by less than MARGIN, if at all: OpenSearch's order is kept."""
    OPEN = "open"
    """The queries can't tell: nothing changes."""


def compare_probes(changes: Doubles, families: Sequence[str], comparisons: int = 1) -> ProbeChange:
    """Return the mean change (n,) over families with its 95 % interval, corrected for several comparisons.

    The correction is Bonferroni's. A family of one query has no spread to draw from, and is left out where
    there are others.
    """
    rows = {
        family: np.flatnonzero([each == family for each in families]) for family in dict.fromkeys(families)
    }
    groups = [changes[each] for each in rows.values() if len(each) > 1] or [changes]
    means = np.array([group.mean() for group in groups])
    rng = np.random.default_rng(_SEED)
    drawn = np.zeros(_RESAMPLES)
    for group in groups:
        drawn += group[rng.integers(0, len(group), (_RESAMPLES, len(group)))].mean(1)
    tail = _ALPHA / 2 / comparisons
    low, high = np.quantile(drawn / len(groups), (tail, 1 - tail))
    return ProbeChange(float(means.mean()), float(low), float(high))


def choose_setting(
    current: _Setting, figures: Mapping[_Setting, Doubles], families: Sequence[str]
) -> _Setting:
    """Return the setting whose figures (n,) are better than the current one's beyond chance, or that one.

    The interval of the gain over families that words alone do not find must lie above MARGIN, and no family
    may lose MARGIN or more. Of several the one with the greatest gain is chosen. A single such family decides
    nothing.
    """
    others = [setting for setting in figures if setting != current]
    telling = [row for row, family in enumerate(families) if family not in FOUND_BY_WORDS]
    if len({families[row] for row in telling}) < _FEWEST_FAMILIES:
        return current
    best, gain = current, 0.0
    for setting in others:
        changes = figures[setting] - figures[current]
        change = compare_probes(changes[telling], [families[row] for row in telling], len(others))
        losses = [changes[[each == family for each in families]].mean() for family in set(families)]
        if change.low > MARGIN and min(losses) > -MARGIN and change.mean > gain:
            best, gain = setting, change.mean
    return best


def judge_kind(own: Doubles, attune: Doubles, families: Sequence[str], needs_families: int = 1) -> Verdict:
    """Return what the figures (n,) of OpenSearch's own order and of Attune's say of one kind of query.

    OpenSearch's order is kept only where it leaves room to be better, where no family shows Attune to be
    better, and where at least `needs_families` speak that words alone do not find: to find a product by its
    own words is not all that people search for.
    """
    if len(own) < FEWEST:
        return Verdict.OPEN
    changes = attune - own
    change = compare_probes(changes, families)
    if change.low > 0:
        return Verdict.BETTER
    each = {family: changes[[one == family for one in families]] for family in set(families)}
    telling = sum(family not in FOUND_BY_WORDS for family, own in each.items() if len(own) > 1)
    gains = any(
        compare_probes(own, [family] * len(own)).low > 0 for family, own in each.items() if len(own) > 1
    )
    has_room = float(own.mean()) <= 1 - _ROOM
    is_shown = change.high <= MARGIN and has_room and telling >= needs_families and not gains
    return Verdict.NOT_BETTER if is_shown else Verdict.OPEN


def choose_floor(
    current: float, nonsense: Sequence[float], known: Sequence[float], floors: Sequence[float]
) -> float:
    """Return the floor nearest to the current one at which nonsense finds nothing and made queries theirs.

    `nonsense` has the greatest probability of any product near each nonsense text, `known` that of the
    likeliest product that answers each made query and that only the vectors find. The current floor stays
    unless it fails beyond chance, and where no other does better.
    """
    nonsense_share, known_share = _count_at(current, nonsense), _count_at(current, known)
    if nonsense_share.low <= _NONSENSE_FOUND and known_share.high >= _KNOWN_KEPT:
        return current
    needed = min(_KNOWN_KEPT, known_share.mean) if known_share.high >= _KNOWN_KEPT else _KNOWN_KEPT
    good = [
        floor
        for floor in floors
        if _count_at(floor, nonsense).mean <= _NONSENSE_FOUND and _count_at(floor, known).mean >= needed
    ]
    return min(good, key=lambda floor: abs(floor - current)) if good else current


def _count_at(floor: float, probabilities: Sequence[float]) -> Interval:
    """Return the share of probabilities that reach a floor."""
    return estimate_share(sum(each >= floor for each in probabilities), len(probabilities))
