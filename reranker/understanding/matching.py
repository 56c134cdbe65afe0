"""Compare demands with products' facts: does each product match a demand, come near, or contradict it?"""

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from reranker.understanding import facts
from reranker.understanding.demands import (
    Demand,
    MeasureDemand,
    ModelDemand,
    PresenceDemand,
    PriceDemand,
    ValueDemand,
)
from reranker.understanding.facts import FactBatch, hash_key, hash_stem
from reranker.understanding.lexicon import list_synonyms, names_absence
from reranker.understanding.measures import EXACT, UNITS

_NEAR = 0.12
"""By how much measures may differ to be near."""

_NOT_QUITE = 0.8
"""How much of a match a measure is that is equal but not exactly."""

_COMPARABLE = 16.0
"""Factor within which one measure may contradict another: 512 GB of disk says nothing of 16 GB of RAM."""

Bools = NDArray[np.bool_]
Outcome = NDArray[np.float32]
"""Match, near and contradiction of each product (n, 3), each 0 to 1."""

MATCH, CLOSE, CONTRADICTION = range(3)


def match_demand(demand: Demand, batch: FactBatch, prices: Sequence[float | None]) -> Outcome:
    """Return how n products meet a demand (n, 3). `prices` (n,) are None where unknown."""
    outcome = np.zeros((batch.count, 3), dtype=np.float32)
    match demand:
        case MeasureDemand():
            _match_measure(demand, batch, outcome)
        case ValueDemand():
            _match_value(demand, batch, outcome)
        case PriceDemand():
            _match_price(demand, prices, outcome)
        case PresenceDemand():
            _match_presence(demand, batch, outcome)
        case ModelDemand():
            mixed = [model for model in demand.models if not model.isdecimal()]
            fitting = _owners(batch, facts.FITS, values=map(hash_stem, mixed or demand.models))
            number = _owners(batch, facts.FITS, values=map(hash_stem, demand.models)) & ~fitting
            outcome[:, MATCH], outcome[:, CLOSE] = fitting, number
            outcome[:, CONTRADICTION] = _owners(batch, facts.FITS) & ~fitting & ~number
    return outcome


def _owners(
    batch: FactBatch, kind: int, keys: Iterable[int] | None = None, values: Iterable[int] | None = None
) -> Bools:
    """Return which products (n,) have a record of this kind with one of the keys and one of the values."""
    chosen = batch.kinds == kind
    if keys is not None:
        chosen &= _among(batch.keys, keys)
    if values is not None:
        chosen &= _among(batch.values, values)
    present = np.zeros(batch.count, dtype=bool)
    present[batch.owners[chosen]] = True
    return present


def _among(array: facts.Hashes, wanted: Iterable[int]) -> Bools:
    present = np.zeros(len(array), dtype=bool)
    for each in wanted:
        present |= array == np.uint32(each)
    return present


def _match_measure(demand: MeasureDemand, batch: FactBatch, outcome: Outcome) -> None:
    decided = np.zeros(batch.count, dtype=bool)
    best = np.full(batch.count, np.inf)
    numbers = batch.kinds == facts.NUMBER
    for name, factor in demand.attributes:
        own = numbers & (batch.keys == hash_key(name))
        owners, values = batch.owners[own], batch.numbers[own] * np.float32(factor)
        distances = _distance(demand, values)
        if demand.named:  # the likeliest attribute that a product has decides
            open_ = ~decided[owners]
            owners, distances = owners[open_], distances[open_]
        else:
            comparable = distances <= np.log(_COMPARABLE)
            owners, distances = owners[comparable], distances[comparable]
        np.minimum.at(best, owners, distances)
        decided[owners] = True
    said = batch.kinds == facts.MEASURE
    said &= _among(batch.keys, [u.number for u in UNITS if u.dimension == demand.dimension])
    owners, values = batch.owners[said], batch.numbers[said]
    distances = _distance(demand, values)
    weighed = ~decided[owners] if demand.named else distances <= np.log(_COMPARABLE)
    owners, distances = owners[weighed], distances[weighed]
    if demand.named and demand.beside:
        _limit_to_company(demand, batch, owners, values[weighed], distances)
    np.minimum.at(best, owners, distances)
    outcome[:, MATCH] = np.where(best <= EXACT, 1.0, _NOT_QUITE * (best <= demand.tolerance))
    outcome[:, CLOSE] = np.where(best > demand.tolerance, np.clip(1 - best / _NEAR, 0, 1), 0)
    outcome[:, CONTRADICTION] = (best > _NEAR) & np.isfinite(best)


def _limit_to_company(
    demand: MeasureDemand, batch: FactBatch, owners: NDArray[np.int64], values: Outcome, distances: Outcome
) -> None:
    """Leave out, in `distances`, measures in texts that do not stand beside the words that are named."""
    near = batch.kinds == facts.BESIDE
    near &= _among(batch.keys, [hash_key(stem) for stem in demand.beside])
    company = set(zip(batch.owners[near].tolist(), batch.numbers[near].tolist(), strict=True))
    for i, pair in enumerate(zip(owners.tolist(), values.tolist(), strict=True)):
        if pair not in company:
            distances[i] = np.inf


def _distance(demand: MeasureDemand, values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return by how much values miss the demanded range, as the logarithm of a ratio."""
    with np.errstate(divide="ignore"):
        logs = np.log(np.maximum(values, 1e-12))
    low = np.log(max(demand.low, 1e-12))
    high = np.log(max(demand.high, 1e-12)) if np.isfinite(demand.high) else np.inf
    result: NDArray[np.float32] = np.maximum(np.maximum(low - logs, logs - high), 0).astype(np.float32)
    return result


def _match_value(demand: ValueDemand, batch: FactBatch, outcome: Outcome) -> None:
    keys = [hash_key(name) for name in demand.attributes] or None
    has = np.zeros(batch.count, dtype=bool)
    if keys:
        has = _owners(batch, facts.TEXT, keys)
        has |= _owners(batch, facts.NUMBER, keys) if demand.kind == "size" else False
    agrees = np.ones(batch.count, dtype=bool)
    titled = np.ones(batch.count, dtype=bool)
    for synonyms in demand.stems:
        hashes = [hash_stem(stem) for stem in synonyms]
        agrees &= _owners(batch, facts.TEXT, keys, hashes) | _have_number(batch, keys, synonyms)
        titled &= _owners(batch, facts.TITLE, values=hashes)
    outcome[:, MATCH] = agrees | (titled & ~has)
    outcome[:, CLOSE] = titled & has & ~agrees
    outcome[:, CONTRADICTION] = (has & ~agrees & ~titled) * demand.reliability


def _have_number(batch: FactBatch, keys: Sequence[int] | None, stems: Iterable[str]) -> Bools:
    """Return which products (n,) have a number of these, written as stems, as an attribute's value."""
    numbers = [float(stem) for stem in stems if stem.replace(".", "", 1).isdecimal()]
    present = np.zeros(batch.count, dtype=bool)
    if keys and numbers:
        chosen = (batch.kinds == facts.NUMBER) & _among(batch.keys, keys)
        chosen &= np.isin(batch.numbers, np.array(numbers, dtype=np.float32))
        present[batch.owners[chosen]] = True
    return present


def _match_price(demand: PriceDemand, prices: Sequence[float | None], outcome: Outcome) -> None:
    known = np.array([price is not None for price in prices], dtype=bool)
    values = np.array([price or 0.0 for price in prices])
    if demand.cheap:
        if known.any():
            order = np.searchsorted(np.sort(values[known]), values) / max(int(known.sum()), 1)
            outcome[:, CLOSE] = known * (1 - order)
        return
    inside = known & (values >= demand.low) & (values <= demand.high)
    outcome[:, MATCH] = inside
    outcome[:, CONTRADICTION] = known & ~inside


def _match_presence(demand: PresenceDemand, batch: FactBatch, outcome: Outcome) -> None:
    free = [name for name in demand.attributes if demand.kind == "absence" and names_absence(name)]
    on, off = _read_flags(batch, [name for name in demand.attributes if name not in free])
    is_free, is_not_free = _read_flags(batch, free)
    on, off = on | is_not_free, off | is_free
    if demand.valued:
        valued = [hash_key(name) for name in demand.valued]
        has = _owners(batch, facts.TEXT, valued)
        for stem in demand.stems:
            has &= _owners(batch, facts.TEXT, valued, map(hash_stem, list_synonyms(stem)))
        on |= has
        off |= _owners(batch, facts.TEXT, valued) & ~has
    titled = np.ones(batch.count, dtype=bool)
    for stem in demand.stems:
        titled &= _owners(batch, facts.TITLE, values=[hash_stem(stem)])
    instead = _lack_in_title(batch, demand.stems)
    if demand.instead:
        hashes = [hash_stem(stem) for stem in demand.instead]
        instead |= _owners(batch, facts.TITLE, values=hashes) | _owners(batch, facts.TEXT, values=hashes)
    if demand.kind == "feature":
        outcome[:, MATCH] = on | (titled & ~off)
        outcome[:, CONTRADICTION] = off & ~on & ~titled
        return
    outcome[:, MATCH] = off | instead
    outcome[:, CLOSE] = ~on & ~off & ~titled & ~instead
    outcome[:, CONTRADICTION] = (on | titled) & ~off & ~instead


def _read_flags(batch: FactBatch, names: Sequence[str]) -> tuple[Bools, Bools]:
    """Return for which products (n,) one of the attributes says yes, and for which no."""
    keys = [hash_key(name) for name in names]
    flags = (batch.kinds == facts.FLAG) & _among(batch.keys, keys)
    yes, no = (np.zeros(batch.count, dtype=bool) for _ in range(2))
    yes[batch.owners[flags & (batch.numbers > 0)]] = True
    no[batch.owners[flags & (batch.numbers == 0)]] = True
    return yes | _owners(batch, facts.TEXT, keys), no


def _lack_in_title(batch: FactBatch, stems: Sequence[str]) -> Bools:
    """Return which products' titles (n,) say that they are without a thing of these stems."""
    lacking = np.ones(batch.count, dtype=bool)
    said = (batch.kinds == facts.TITLE) & ((batch.keys & facts.ABSENT) > 0)
    for stem in stems:
        present = np.zeros(batch.count, dtype=bool)
        present[batch.owners[said & (batch.values == np.uint32(hash_stem(stem)))]] = True
        lacking &= present
    return lacking
