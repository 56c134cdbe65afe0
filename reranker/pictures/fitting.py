"""Fit the way from pictures to texts on a shop's own pairs, by ridge regression over running sums.

Only the sums are in memory, however many pairs there are, and a sample that is kept aside: on it the ridge is
chosen, and the outcome is measured.
"""

import random
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from mappings.errors import LabelsError
from reranker.encoders.codec import normalise
from reranker.pictures.projection import LearntProjection
from reranker.types import Doubles, Floats, Ints

RIDGES = (0.1, 0.3, 1.0, 3.0, 10.0, 30.0)
"""Ridges that are tried, in means of the pictures' variances.

The greatest is taken whose mean log rank is within a standard error of the best.
"""

_AT = 10
_ASIDE_SHARE = 0.1
_MOST_ASIDE = 1000
_LEAST_PAIRS = 50
_STANDARD_ERRORS = 2.0


@dataclass(frozen=True, slots=True)
class ProjectionReport:
    """What training came to.

    Of `aside` pairs that were kept aside, the shares whose text is among the nearest ten to its picture:
    `recall` by the new projection, `before` by the one that there was, 0 without one, `chance` by none.
    `is_better` tells whether the new one is to be used.
    """

    pairs: int
    aside: int
    ridge: float
    recall: float
    before: float
    chance: float
    is_better: bool


class _Sums:
    """Running sums over pairs of pictures (d,) and texts (t,)."""

    def __init__(self, d: int, t: int) -> None:
        self.count = 0
        self.x, self.y = np.zeros(d), np.zeros(t)
        self.xx, self.xy = np.zeros((d, d)), np.zeros((d, t))

    def add(self, x: Floats, y: Floats) -> None:
        """Add pairs (n, d) and (n, t)."""
        wide = x.astype(np.float64)
        self.count += len(x)
        self.x += wide.sum(0)
        self.y += y.sum(0)
        self.xx += wide.T @ wide
        self.xy += wide.T @ y

    def solve(self, ridge: float) -> tuple[Doubles, Doubles]:
        """Return the map (d, t) from centred pictures to centred texts, and the pictures' mean (d,)."""
        mean = self.x / self.count
        xx = self.xx - self.count * np.outer(mean, mean)
        xy = self.xy - np.outer(mean, self.y)
        strength = ridge * np.trace(xx) / len(xx)
        return np.linalg.solve(xx + strength * np.eye(len(xx)), xy), mean


def fit_projection(
    pairs: Iterable[tuple[Floats, Floats]], space: str, before: LearntProjection | None, seed: int
) -> tuple[LearntProjection, ProjectionReport]:
    """Fit a projection on batches of pictures' vectors (n, d) and their products' (n, t), all of unit length.

    `space` names the text model, `before` is the projection in use. The new one is better where it finds the
    texts of pairs kept aside more often than `before`, or than chance, by two standard errors. Raises
    LabelsError for fewer than 50 pairs.
    """
    chooser = random.Random(seed)
    sums: _Sums | None = None
    aside_x: list[Floats] = []
    aside_y: list[Floats] = []
    for x, y in pairs:
        sums = sums or _Sums(x.shape[1], y.shape[1])
        aside = np.array(
            [chooser.random() < _ASIDE_SHARE and len(aside_x) + 1 <= _MOST_ASIDE for _ in range(len(x))], bool
        )
        aside[np.cumsum(aside) + len(aside_x) > _MOST_ASIDE] = False
        aside_x += list(x[aside])
        aside_y += list(y[aside])
        sums.add(x[~aside], y[~aside])
    if sums is None or sums.count < _LEAST_PAIRS or not aside_x:
        raise LabelsError(
            f"{sums.count + len(aside_x) if sums else 0} products with pictures and texts: at least "
            f"{_LEAST_PAIRS} are needed to train on"
        )
    pictures, texts = np.stack(aside_x), np.stack(aside_y)
    fits = []
    for ridge in RIDGES:
        matrix, mean = sums.solve(ridge)
        learnt = LearntProjection(matrix.astype(np.float32), mean.astype(np.float32), space, sums.count)
        ranks = _rank_texts(learnt, pictures, texts)
        fits.append((ridge, learnt, np.log1p(ranks), float((ranks < _AT).mean())))
    best = min(fits, key=lambda fit: fit[2].mean())[2]
    most = best.mean() + best.std() / np.sqrt(len(best))
    # Of what is equally good but for chance, the simplest (Breiman et al. 1984).
    ridge, learnt, _, recall = max((fit for fit in fits if fit[2].mean() <= most), key=lambda fit: fit[0])
    n = len(pictures)
    chance = min(_AT / n, 1.0)
    usable = before is not None and before.space == space and before.matrix.shape == learnt.matrix.shape
    known = float((_rank_texts(before, pictures, texts) < _AT).mean()) if before and usable else 0.0
    start = max(known, chance)
    is_better = recall > start + _STANDARD_ERRORS * float(np.sqrt(start * (1 - start) / n))
    report = ProjectionReport(
        sums.count + n, n, ridge, round(recall, 4), round(known, 4), round(chance, 4), is_better
    )
    return learnt, report


def _rank_texts(learnt: LearntProjection, pictures: Floats, texts: Floats) -> Ints:
    """Return how many of the texts (n, t) are nearer to each picture (n, d) than its own is."""
    mapped = np.asarray((pictures - learnt.mean) @ learnt.matrix, np.float32)
    near = normalise(mapped) @ texts.T
    own = np.diag(near)
    ranks: Ints = (near > own[:, None]).sum(1)
    return ranks
