"""The position-based click model: a click needs a product that was looked at, and one that attracts.

    P(click | query, product, position) = examination[position] · attraction[query, product]

(Richardson, Dominowska and Ragno, WWW 2007; Craswell et al., WSDM 2008). Fitted by EM as a whole it takes for
examination what is the ranker's own merit, since good products stand high. So examination is learnt from
products that moved: only the same product, for the same query, at several positions is compared (Agarwal et
al., "Estimating position bias without intrusive interventions", WSDM 2019). Clicks are held for Poisson;
given a pair's clicks their positions are then multinomial and its attraction drops out (Hausman, Hall and
Griliches 1984), which leaves a Luce model, fitted by Hunter's MM steps (2004).

Written here because the libraries don't serve: PyClick is unmaintained pure Python and fits by EM only,
clax-models brings JAX and Flax.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from reranker.types import Doubles, Ints

BANDS = (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 16, 21, 31, 51, 101)
"""First positions of the bands that share one examination: deep ones are seen too seldom to stand alone."""

_ASSUMED_CLICKS = 10.0
"""What the curve assumed before any evidence is worth."""

_ROUNDS = 2000
_TOLERANCE = 1e-7


@dataclass(frozen=True, slots=True)
class Impressions:
    """How often a pair (query, product) was shown in a band of positions, and clicked there; a row each."""

    pair: Ints  # (n,) 0 to P-1
    band: Ints  # (n,) rows of BANDS
    shown: Doubles  # (n,)
    clicked: Doubles  # (n,) at most `shown`


@dataclass(frozen=True, slots=True)
class PositionModel:
    """What the clicks say once positions are accounted for.

    `examined` is how many shows of a pair were looked at, by expectation: the evidence that its
    attraction stands on. `compared` is how many clicks examination was learnt from: those of pairs that were
    shown in several bands.
    """

    examination: Doubles  # (B,) of each band, 1 for the first
    attraction: Doubles  # (P,) 0 to 1
    examined: Doubles  # (P,)
    mean: float
    compared: int


def assign_bands(positions: Sequence[int]) -> Ints:
    """Return the band (n,) of positions that count from 1."""
    return np.searchsorted(BANDS, np.asarray(positions), side="right").astype(np.int64) - 1


def sum_by_row(rows: Ints, values: Doubles, count: int) -> Doubles:
    """Return the sums (count,) of the values (n,) that belong to each row (n,)."""
    return np.bincount(rows, values, count).astype(np.float64)


def fit_position_model(shows: Impressions, strength: float) -> PositionModel:
    """Fit the model to shows, at least one.

    A pair's attraction is clicks over examined shows, drawn to the mean of all by a prior worth `strength`
    examined shows, so that few clicks move it little.
    """
    examination, compared = estimate_examination(shows)
    pairs = int(shows.pair.max()) + 1
    clicked = sum_by_row(shows.pair, shows.clicked, pairs)  # (P,)
    examined = sum_by_row(shows.pair, shows.shown * examination[shows.band], pairs)  # (P,)
    mean = min(float(clicked.sum() / examined.sum()), 1.0)
    attraction = np.minimum((clicked + strength * mean) / (examined + strength), 1.0)
    return PositionModel(examination, attraction, examined, mean, compared)


def estimate_examination(shows: Impressions) -> tuple[Doubles, int]:
    """Return each band's examination (B,), 1 for the first, and the number of clicks it was learnt from.

    Before any evidence examination is position^-½, and where products hardly move that is what comes out:
    half the usual correction (Joachims, Swaminathan and Schnabel 2017 take 1 / position), since too little
    keeps the ranker's order and too much turns it round. Nothing is examined more than the first position.
    """
    pairs, count = int(shows.pair.max()) + 1, len(BANDS)
    ends = np.array([*BANDS[1:], 2 * BANDS[-1]])
    assumed = ((np.array(BANDS) + ends - 1) / 2) ** -0.5  # (B,) at the band's middle
    moved = np.bincount(shows.pair, minlength=pairs) > 1
    used = moved[shows.pair]
    pair, band, shown, clicked = shows.pair[used], shows.band[used], shows.shown[used], shows.clicked[used]
    of_pair = sum_by_row(pair, clicked, pairs)
    of_band = sum_by_row(band, clicked, count) + _ASSUMED_CLICKS * assumed / assumed.sum()
    examination = assumed
    for _ in range(_ROUNDS):
        expected = sum_by_row(pair, shown * examination[band], pairs)[pair]  # (n,) of the row's pair
        rate = sum_by_row(band, shown * of_pair[pair] / expected, count) + _ASSUMED_CLICKS / examination.sum()
        before, examination = examination, of_band / rate
        examination = examination / examination[0]
        if np.abs(examination - before).max() < _TOLERANCE:
            break
    return np.minimum(examination, 1.0), int(clicked.sum())
