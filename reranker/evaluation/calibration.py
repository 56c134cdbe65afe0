"""Does a probability of 0.7 come true seven times in ten? Over judged pairs of query and product."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

BINS = 10


@dataclass(frozen=True, slots=True)
class Bin:
    """Pairs whose probability is from `low` up to `high`.

    `expected` is their mean probability, `observed` the share that is relevant; both 0 for no pairs.
    """

    low: float
    high: float
    pairs: int
    expected: float
    observed: float


@dataclass(frozen=True, slots=True)
class Calibration:
    """A reliability diagram and its expected calibration error."""

    error: float
    pairs: int
    bins: tuple[Bin, ...]


def measure_calibration(probabilities: Sequence[float], relevant: Sequence[bool]) -> Calibration:
    """Return the expected calibration error over BINS bins of equal width (Guo et al. 2017).

    That is the mean, over pairs, of how far their bin's mean probability is from its share of relevant ones.
    Raises ValueError where the two lists differ in length or hold nothing.
    """
    if len(probabilities) != len(relevant) or not probabilities:
        raise ValueError(f"{len(probabilities)} probabilities for {len(relevant)} pairs")
    edges = np.linspace(0.0, 1.0, BINS + 1)
    given = np.asarray(probabilities, dtype=np.float64)
    good = np.asarray(relevant, dtype=np.float64)
    number = np.clip(np.searchsorted(edges, given, side="right") - 1, 0, BINS - 1)  # (pairs,) its bin
    counts = np.bincount(number, minlength=BINS)
    expected = np.bincount(number, given, minlength=BINS) / np.maximum(counts, 1)
    observed = np.bincount(number, good, minlength=BINS) / np.maximum(counts, 1)
    error = float((counts * np.abs(expected - observed)).sum() / len(given))
    bins = (
        Bin(float(edges[i]), float(edges[i + 1]), int(counts[i]), float(expected[i]), float(observed[i]))
        for i in range(BINS)
    )
    return Calibration(error, len(given), tuple(bins))
