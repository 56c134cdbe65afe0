"""What kind of thing a product is, by the attributes that it has: notebooks and netbooks have much the same.

A title may name no type that is known, or a rare one ("Chromebook"). Which attributes a product has, whatever
their values, then says whether it is of the kind that is sought. Attributes become vectors of few dimensions
(latent semantic analysis, Deerwester 1990), a product is the sum of its attributes' vectors, and a type the
mean of its products.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from reranker.types import Floats, Ints
from reranker.understanding import facts
from reranker.understanding.facts import FactBatch

_KEYS = 1000
"""Attributes that are told apart, the commonest."""
_FEWEST_PRODUCTS = 4
"""Products that an attribute or a type must have to count."""
_FEWEST_KEYS = 3
"""Known attributes that a product must have for them to say what it is."""
_DIMENSIONS = 32
_CHUNK = 1000
_LOW_MEMBERS = 0.2
"""Share of a type's products that are less like its mean than its `spread`."""
_ALIKE = 0.1
"""By how much less near than the nearest type another counts only 1 / e in what is sought."""
_OTHER = 0.2
"""By how much less near than the nearest a type is none of those that are sought."""
_LEAST = 0.5
"""Products of near types, weighed, from which on it is known which attributes are sought."""

_ATTRIBUTES = (facts.NUMBER, facts.TEXT, facts.FLAG)


@dataclass(frozen=True, slots=True)
class SoughtProfile:
    """The products that are sought: their unit vector (D,), and the cosine that most have with it at least.

    By `lacking` their types are less near, on average, than the nearest type.
    """

    vector: Floats
    spread: float
    lacking: float


@dataclass(frozen=True)
class TypeProfiles:
    """Vectors of attributes and types. Bytes, because they are stored with the vocabulary.

    `keys` are the hashed names of K attributes, of 4 bytes; `vectors` K x D bytes; `types` T x D bytes in the
    order of the vocabulary's types. `spreads` are T bytes: the cosine, times 255, that most products of a
    type have with it at least; 0 where too few have attributes.
    """

    keys: bytes = b""
    vectors: bytes = b""
    types: bytes = b""
    spreads: bytes = b""

    @cached_property
    def _keys(self) -> facts.Hashes:
        return np.frombuffer(self.keys, dtype="<u4")

    @cached_property
    def _vectors(self) -> Floats:  # (K, D)
        return _read_vectors(self.vectors, len(self._keys))

    @cached_property
    def _types(self) -> Floats:  # (T, D)
        vectors = _read_vectors(self.types, len(self.spreads))
        norms = np.linalg.norm(vectors, axis=1, keepdims=True)
        unit: Floats = vectors / np.maximum(norms, 1e-9)
        return unit

    def choose(self, types: Sequence[int]) -> "TypeProfiles":
        """Return the profiles of some types (T',) alone."""
        if not self.spreads:
            return self
        vectors = np.frombuffer(self.types, dtype=np.int8).reshape(len(self.spreads), -1)[list(types)]
        return replace(self, types=vectors.tobytes(), spreads=bytes(self.spreads[place] for place in types))

    def place_products(self, batch: FactBatch) -> tuple[Floats, NDArray[np.bool_]]:
        """Return the unit vectors (n, D) of products, and which have enough attributes (n,) to be told."""
        owners, columns = _find_keys(batch, self._keys)
        positions = np.zeros((batch.count, self._vectors.shape[1]), dtype=np.float32)
        has_profile = np.zeros(batch.count, dtype=bool)
        for start in range(0, batch.count, _CHUNK):
            end = min(start + _CHUNK, batch.count)
            first, last = np.searchsorted(owners, (start, end))
            has = np.zeros((end - start, len(self._keys)), dtype=np.float32)
            has[owners[first:last] - start, columns[first:last]] = 1
            positions[start:end] = has @ self._vectors
            has_profile[start:end] = has.sum(1) >= _FEWEST_KEYS
        positions /= np.maximum(np.linalg.norm(positions, axis=1, keepdims=True), 1e-9)
        return positions, has_profile

    def find_sought(self, near: Floats, counts: Floats) -> "SoughtProfile | None":
        """Return what the products that are sought have in common.

        `near` (T,) says how near each type is to it, `counts` (T,) how common each is. None where no near
        type has a profile.
        """
        if not len(self.spreads) or len(near) != len(self.spreads):
            return None
        spreads = np.frombuffer(self.spreads, dtype=np.uint8) / 255
        weights = counts * np.exp((near - near.max()) / _ALIKE) * spreads**2 * (near >= near.max() - _OTHER)
        if weights.sum() < _LEAST:
            return None
        weights /= weights.sum()
        vector = weights @ self._types
        vector /= max(float(np.linalg.norm(vector)), 1e-9)
        spread = float(weights @ (spreads * np.clip(self._types @ vector, 0, 1)))
        return SoughtProfile(vector, spread, float(weights @ (near.max() - near)))


def _read_vectors(stored: bytes, count: int) -> Floats:
    array = np.frombuffer(stored, dtype=np.int8).astype(np.float32)
    return array.reshape(count, -1) if count else np.zeros((0, 1), dtype=np.float32)


def _list_keys(batch: FactBatch, keys: facts.Hashes) -> tuple[Ints, Ints]:
    """Return the attributes that products have, each once: whose it is (r,), and its place in `keys` (r,)."""
    owners, places = _find_keys(batch, keys)
    pairs = np.unique(owners * max(len(keys), 1) + places)
    return pairs // max(len(keys), 1), pairs % max(len(keys), 1)


def _find_keys(batch: FactBatch, keys: facts.Hashes) -> tuple[Ints, Ints]:
    """Return the same for each record of an attribute, in the order of products."""
    if not len(keys):
        return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64)
    chosen = (batch.kinds >= facts.NUMBER) & (batch.kinds <= facts.FLAG)
    place = np.minimum(np.searchsorted(keys, batch.keys[chosen]), len(keys) - 1)
    known = keys[place] == batch.keys[chosen]
    return batch.owners[chosen][known], place[known]


def learn_profiles(batch: FactBatch, owners: Ints, kinds: Ints, types: int) -> TypeProfiles:
    """Return the profiles of `types` types, by which products' titles (f,) name which of them (f,)."""
    all_keys = np.unique(batch.keys[np.isin(batch.kinds, _ATTRIBUTES)])
    rows, columns = _list_keys(batch, all_keys)
    counts = np.bincount(columns, minlength=len(all_keys))
    often = np.argsort(-counts, kind="stable")[:_KEYS]
    keys = np.sort(all_keys[often[counts[often] >= _FEWEST_PRODUCTS]])
    rows, columns = _list_keys(batch, keys)
    if len(keys) < _FEWEST_KEYS or not len(owners):
        return TypeProfiles()
    rarity = np.log(batch.count / np.bincount(columns, minlength=len(keys))).astype(np.float32)
    vectors = rarity[:, None] * _find_dimensions(rows, columns, rarity, batch.count)
    quantised = _quantise(vectors)
    spaces = TypeProfiles(keys.astype("<u4").tobytes(), quantised.tobytes())
    positions, has_profile = spaces.place_products(batch)
    members = np.unique(np.stack([kinds, owners])[:, has_profile[owners]], axis=1)
    sums = np.zeros((types, positions.shape[1]), dtype=np.float32)
    np.add.at(sums, members[0], positions[members[1]])
    norms = np.linalg.norm(sums, axis=1, keepdims=True)
    means = sums / np.maximum(norms, 1e-9)
    spreads = np.zeros(types, dtype=np.uint8)
    for kind in np.flatnonzero(np.bincount(members[0], minlength=types) >= _FEWEST_PRODUCTS).tolist():
        cosines = positions[members[1][members[0] == kind]] @ means[kind]
        spreads[kind] = int(255 * np.clip(np.quantile(cosines, _LOW_MEMBERS), 0, 1))
    return TypeProfiles(spaces.keys, spaces.vectors, _quantise(means).tobytes(), spreads.tobytes())


def _find_dimensions(rows: Ints, columns: Ints, rarity: Floats, count: int) -> Floats:
    """Return the directions (K, D) in which products differ most, by which attributes (r,) they have (r,)."""
    gram = np.zeros((len(rarity), len(rarity)), dtype=np.float32)
    starts = np.searchsorted(rows, range(0, count, _CHUNK)).tolist()
    for start, end in zip(starts, [*starts[1:], len(rows)], strict=True):
        some = np.zeros((_CHUNK, len(rarity)), dtype=np.float32)
        some[rows[start:end] % _CHUNK, columns[start:end]] = rarity[columns[start:end]]
        some /= np.maximum(np.linalg.norm(some, axis=1, keepdims=True), 1e-9)
        gram += some.T @ some
    directions: Floats = np.linalg.eigh(gram)[1][:, ::-1][:, :_DIMENSIONS]
    return directions


def _quantise(vectors: Floats) -> NDArray[np.int8]:
    scale = 127 / max(float(np.abs(vectors).max(initial=0)), 1e-9)
    return np.round(vectors * scale).astype(np.int8)
