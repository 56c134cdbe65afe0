"""What answers a made query: told by products' facts, never by how they are searched."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from reranker.understanding import facts
from reranker.understanding.facts import FactBatch, hash_key, hash_stem
from reranker.understanding.measures import UNITS
from reranker.understanding.type_index import TypeIndex

_EQUAL = 0.01
"""Share of a number by which another may differ and still be the same."""


@dataclass(frozen=True, slots=True)
class ProbedProducts:
    """n products that may answer a query: their ids, facts and prices."""

    ids: Sequence[str]
    facts: FactBatch
    prices: Sequence[float | None]


Truth = Callable[[ProbedProducts], NDArray[np.bool_]]
"""Tells which of n products answer a query (n,)."""


def is_product(product_id: str) -> Truth:
    """Return the truth of a query that one product answers."""
    return lambda products: np.array([i == product_id for i in products.ids], dtype=bool)


def has_all(*truths: Truth) -> Truth:
    """Return the truth of a query that products answer by which all of these are met."""
    return lambda products: np.logical_and.reduce([truth(products) for truth in truths])


def is_of_category(stems: Collection[str]) -> Truth:
    """Return whether products are of the category with these words."""
    wanted = [hash_stem(stem) for stem in stems]

    def check(products: ProbedProducts) -> NDArray[np.bool_]:
        batch = products.facts
        own = (batch.kinds == facts.GROUP) & (batch.keys == facts.CATEGORY)
        words = np.bincount(batch.owners[own], minlength=batch.count)
        shared = np.bincount(batch.owners[own & np.isin(batch.values, wanted)], minlength=batch.count)
        return np.asarray((words == len(wanted)) & (shared == len(wanted)))

    return check


def is_of_type(types: TypeIndex, stems: Sequence[str]) -> Truth:
    """Return whether products' titles name a type that ends in these stems: a gaming mouse is a mouse."""
    matching = np.array([phrase.stems[-len(stems) :] == tuple(stems) for phrase in types.phrases], dtype=bool)

    def check(products: ProbedProducts) -> NDArray[np.bool_]:
        owners, kinds = types.find_types(products.facts)
        return _mark(products.facts, owners[matching[kinds]])

    return check


def has_number(name: str, value: float, dimension: str, base: float) -> Truth:
    """Return whether an attribute has a value, or a text says it: `base` in the dimension's base unit."""
    units = [unit.number for unit in UNITS if unit.dimension == dimension]

    def check(products: ProbedProducts) -> NDArray[np.bool_]:
        batch = products.facts
        own = (batch.kinds == facts.NUMBER) & (batch.keys == hash_key(name)) & _equals(batch.numbers, value)
        said = (batch.kinds == facts.MEASURE) & np.isin(batch.keys, units) & _equals(batch.numbers, base)
        return _mark(batch, batch.owners[own | said])

    return check


def has_value(names: Collection[str], stems: Collection[str]) -> Truth:
    """Return whether one of the attributes has one of the stems; without them, whether the title has it."""
    keys, values = [hash_key(name) for name in names], [hash_stem(stem) for stem in stems]

    def check(products: ProbedProducts) -> NDArray[np.bool_]:
        batch = products.facts
        own = (batch.kinds == facts.TEXT) & np.isin(batch.keys, keys)
        titled = (batch.kinds == facts.TITLE) & np.isin(batch.values, values)
        has = _mark(batch, batch.owners[own])
        agrees = _mark(batch, batch.owners[own & np.isin(batch.values, values)])
        return agrees | (~has & _mark(batch, batch.owners[titled]))

    return check


def has_feature(name: str) -> Truth:
    """Return whether a yes-or-no attribute is yes."""

    def check(products: ProbedProducts) -> NDArray[np.bool_]:
        batch = products.facts
        own = (batch.kinds == facts.FLAG) & (batch.keys == hash_key(name)) & (batch.numbers > 0)
        return _mark(batch, batch.owners[own])

    return check


def has_model_number(number: str) -> Truth:
    """Return whether products have or fit a model number, written without separators."""

    def check(products: ProbedProducts) -> NDArray[np.bool_]:
        batch = products.facts
        own = (batch.kinds == facts.FITS) & (batch.values == np.uint32(hash_stem(number)))
        return _mark(batch, batch.owners[own])

    return check


def costs_at_most(limit: float) -> Truth:
    """Return whether products have a price up to the limit."""
    return lambda products: np.array([p is not None and p <= limit for p in products.prices], dtype=bool)


def _equals(numbers: NDArray[np.float32], value: float) -> NDArray[np.bool_]:
    with np.errstate(invalid="ignore"):  # hashes of words read as numbers may be infinite
        return np.asarray(np.abs(numbers - value) <= _EQUAL * abs(value) + 1e-9)


def _mark(batch: FactBatch, owners: NDArray[np.int64]) -> NDArray[np.bool_]:
    marked = np.zeros(batch.count, dtype=bool)
    marked[owners] = True
    return marked
