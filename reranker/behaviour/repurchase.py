"""When a product is bought again: the chance a day, by the days since it was bought last."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from reranker.behaviour.purchases import PurchaseLog
from reranker.types import Doubles, Floats, Ints

_EDGES = np.array([0, 1, 2, 3, 4, 5, 6, 7.5, 9, 11, 13, 15, 18, 22, 26, 31, 38, 46, 60, 80, 110, 160])
"""Days at which the steps of a kernel begin."""

_PRIOR_EVENTS = 20.0


@dataclass(frozen=True, slots=True, eq=False)
class RepurchaseKernels:
    """Chances a day (types, steps) that a product of a type is bought again; row 0 is of every type."""

    types: Mapping[str, int]
    rates: Floats  # (K, 22)

    def rate(self, types: list[str], ages: Doubles) -> Floats:
        """Return the chance a day (n,) for products of types, bought `ages` days (n,) ago."""
        rows = np.array([self.types.get(name, 0) for name in types], dtype=np.int64)
        steps = np.clip(np.searchsorted(_EDGES, ages, side="right") - 1, 0, len(_EDGES) - 1)
        result: Floats = self.rates[rows, steps]
        return result


def fit_kernels(log: PurchaseLog, types: list[str], end: float) -> RepurchaseKernels:
    """Fit kernels to purchases before `end`; `types` (P,) name each product's type.

    A kernel's step is the number of times that it was bought again so long after, over the days that this
    was waited for (Kaplan and Meier's hazard). Types with few are drawn to that of all.
    """
    by = np.argsort(log.users * len(log.product_ids) + log.products, kind="stable")  # by day within
    users, products, days = log.users[by], log.products[by], log.days[by]
    same = (users[1:] == users[:-1]) & (products[1:] == products[:-1])
    waits = np.append(np.where(same, days[1:] - days[:-1], end - days[:-1]), end - days[-1:])
    waits = np.maximum(waits, 0.0)
    again = np.append(same, np.zeros(min(len(days), 1), dtype=bool))
    names = {name: row for row, name in enumerate(sorted(set(types)), 1)}
    rows = np.array([names[name] for name in types], dtype=np.int64)[products]
    size = len(names) + 1
    events = _bin_waits(rows[again], waits[again], size)[0]
    exposure = _measure_exposure(*_bin_waits(rows, waits, size))
    events[0], exposure[0] = events.sum(0), exposure.sum(0)
    general = events[0] / np.maximum(exposure[0], 1e-9)  # (22,)
    prior = _PRIOR_EVENTS * np.ones_like(general)
    rates = (events + prior) / (exposure + prior / np.maximum(general, 1e-9))
    return RepurchaseKernels(names, rates.astype(np.float32))


def _bin_waits(rows: Ints, waits: Doubles, size: int) -> tuple[Doubles, Doubles]:
    """Return how many waits end in each step (size, 22), and their sum."""
    flat = rows * len(_EDGES) + np.searchsorted(_EDGES, waits, side="right") - 1
    bins = size * len(_EDGES)
    counts = np.bincount(flat, minlength=bins).reshape(size, -1).astype(np.float64)
    return counts, np.bincount(flat, waits, bins).reshape(size, -1).astype(np.float64)


def _measure_exposure(counts: Doubles, sums: Doubles) -> Doubles:
    """Return the days waited in each step (size, 22), from how many waits end there, and their sum."""
    longer = counts.sum(1, keepdims=True) - counts.cumsum(1)  # waits that end in a later step
    widths = np.append(np.diff(_EDGES), 0.0)
    result: Doubles = sums - counts * _EDGES + longer * widths
    return result
