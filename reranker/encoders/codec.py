"""The bytes of the field `attune.tokens`: all that the scorer needs to know of a product.

Little-endian, in this order:

- a header of nine uint16: format, d, t, the number of token vectors, the numbers of words of title, brand,
  category and everything else, and the number of distinct words
- the pooled vector, 4 bits a component (_LEVELS), two components a byte, the lower bits first
- the token vectors as int8 (n, t) or, in the other format, as the bits of their signs (n, t / 8)
- each distinct word as a uint32: the upper 28 bits of its hash, and a bit for each field that has it

Vectors are unit vectors. Their scale is not stored: a unit vector's length gives it back. 4 bits move a
cosine by 0.004 on average, which moves neither nDCG nor the rank of known items measurably.
"""

import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mappings.errors import ModelError
from reranker.text.word_tokens import WordHashes
from reranker.types import Floats

FORMATS = {8: 3, 1: 4}
"""Bits a component of a token vector → format. A model's version depends on it: old forms are not read."""

_SIGNS_COSINE = math.sqrt(2 / math.pi)
"""The mean cosine between a vector of many like components and its signs."""

WORD_FIELDS = ("title", "brand", "category", "other")
_HEADER = 5 + len(WORD_FIELDS)
_HEAD_BYTES = 2 * _HEADER
_FORM_BYTES = 6
_read_head = struct.Struct(f"<{_HEADER}H").unpack_from

MAX_TOKENS = 256
"""Most token vectors that a product of any model may have."""

_MAX_WORDS = 4096
"""Words of one field that are stored at most."""

_HALF_LEVELS = np.array([0.1284, 0.3881, 0.6568, 0.9424, 1.2562, 1.6181, 2.0690, 2.7326], np.float32)
_LEVELS: Floats = np.concatenate([-_HALF_LEVELS[::-1], _HALF_LEVELS])
"""What 4 bits of a component stand for, in root mean squares: the best levels for a normal distribution
(Lloyd 1982, Max 1960). Even levels turn a vector a sixth further."""

_BOUNDS: Floats = (_LEVELS[1:] + _LEVELS[:-1]) * np.float32(0.5)
_STRETCHES: Floats = np.array([[0.85], [0.925], [1], [1.075], [1.15]], np.float32)
"""Scales that are tried for each vector, since few are quite normal."""

_LEVELS_OF_BYTE: Floats = _LEVELS[np.arange(256)[:, None] >> np.array([0, 4]) & 15]  # (256, 2)

_FIELD_BITS = np.uint32((1 << len(WORD_FIELDS)) - 1)
"""The bits of a stored word that tell its fields; the others are its hash's."""

_SIGNS_OF_BYTE: Floats = np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1) * np.float32(2) - 1

_NO_WORDS: WordHashes = np.empty(0, np.uint32)

Int8s = NDArray[np.int8]


def pack_product(vector: Floats, tokens: Floats, words: Sequence[WordHashes], bits: int = 8) -> bytes:
    """Return the stored form of one product.

    vector: (d,), tokens: (n, t), rows of any length; words: the word hashes of each of WORD_FIELDS; `bits` a
    component of a token vector, 8 or 1: then t is a multiple of 8.
    """
    fields_of: dict[int, int] = {}
    names = [select_hash_bits(hashes[:_MAX_WORDS]).tolist() for hashes in words]
    for field, hashes in enumerate(names):
        for word in hashes:
            fields_of[word] = fields_of.get(word, 0) | 1 << field
    sizes = [len(vector), tokens.shape[1], len(tokens), *map(len, names), len(fields_of)]
    small = _quantise_rows(tokens) if bits == 8 else np.packbits(tokens > 0, axis=1)
    parts = [
        np.array([FORMATS[bits], *sizes], dtype="<u2"),
        _pack_levels(vector),
        small,
        np.array([word | where for word, where in fields_of.items()], dtype="<u4"),
    ]
    return b"".join(part.tobytes() for part in parts)


@dataclass(frozen=True, slots=True)
class StoredBatch:
    """The stored forms of n candidates, unpacked side by side."""

    vectors: Floats  # (n, d) unit rows
    tokens: Floats  # (n, K, t) unit rows (longer ones of bits), anything where a product has fewer than K
    mask: NDArray[np.bool_]  # (n, K) True where there is a token
    words: WordHashes  # (W,) each candidate's distinct words, one candidate after another
    ends: NDArray[np.int64]  # (n,) where each candidate's words end in `words`
    sizes: NDArray[np.int64]  # (n, 4) how many words each candidate's field has

    def list_field_words(self, candidate: int) -> list[WordHashes]:
        """Return the words of each field of one candidate, as `select_hash_bits` gives them."""
        words = self.words[self.ends[candidate - 1] if candidate else 0 : self.ends[candidate]]
        return [select_hash_bits(words[words >> field & 1 == 1]) for field in range(len(WORD_FIELDS))]


def select_hash_bits(hashes: WordHashes) -> WordHashes:
    """Return the bits of word hashes that are stored, the others 0."""
    return hashes & ~_FIELD_BITS


def unpack_products(
    stored: Sequence[bytes], dimension: int, width: int, most: int = MAX_TOKENS
) -> StoredBatch:
    """Unpack n stored products with d = `dimension` and t = `width`, all of one format.

    A product has at most `most` token vectors. Rows of bits get the length at which their dot products are,
    on average, those of the vectors that they were. Raises ModelError where a product is malformed or claims
    more than that: all sizes are checked before anything is allocated by them.
    """
    n = len(stored)
    if n == 0:
        return StoredBatch(
            np.empty((0, dimension), np.float32),
            np.empty((0, 1, width), np.float32),
            np.empty((0, 1), np.bool_),
            np.empty(0, np.uint32),
            np.empty(0, np.int64),
            np.empty((0, len(WORD_FIELDS)), np.int64),
        )
    tokens_at = _HEAD_BYTES + (dimension + 1) // 2
    block = _join_rows([s[:tokens_at] for s in stored], tokens_at)
    heads = block[:, :_HEAD_BYTES].view("<u2").astype(np.int64)
    counts, sizes, distinct = heads[:, 3], heads[:, 4:-1], heads[:, -1]
    one_bit = bool(heads[0, 0] == FORMATS[1])
    row_bytes = width // 8 if one_bit else width
    words_at = tokens_at + counts * row_bytes
    largest = heads.max(0)
    if not (
        (heads[:, :3] == (FORMATS[1 if one_bit else 8], dimension, width)).all()
        and largest[3] <= most
        and largest[4:-1].max() <= _MAX_WORDS
        and (words_at + 4 * distinct).tolist() == list(map(len, stored))
    ):
        raise ModelError("stored product vectors have another format: index the catalogue again")
    slots = max(int(largest[3]), 1)
    longest = slots * row_bytes
    packed = _join_rows([s[tokens_at : tokens_at + longest].ljust(longest, b"\0") for s in stored], longest)
    starts = words_at.tolist()
    return StoredBatch(
        vectors=_read_pooled(block, dimension),
        tokens=_read_rows(packed.reshape(n, slots, row_bytes), one_bit),
        mask=np.arange(slots) < counts[:, None],
        words=np.frombuffer(b"".join([s[at:] for s, at in zip(stored, starts, strict=True)]), dtype="<u4"),
        ends=distinct.cumsum(),
        sizes=sizes,
    )


class StoredForm(NamedTuple):
    """What products of one model have in common: their format, d and t."""

    format: int
    dimension: int
    width: int


def read_form(stored: bytes) -> StoredForm:
    """Return the form of a well-formed product."""
    return StoredForm(*_read_head(stored)[:3])


def unpack_vectors(stored: Sequence[bytes]) -> Floats:
    """Return the pooled vectors (n, d) of stored products, of unit length. Nothing else is unpacked.

    Raises ModelError where they are cut short, or not all of one model.
    """
    if not stored or len(stored[0]) < _HEAD_BYTES:
        raise ModelError("stored product vectors have another format: index the catalogue again")
    dimension = read_form(stored[0]).dimension
    width = _HEAD_BYTES + (dimension + 1) // 2
    block = _join_rows([s[:width] for s in stored], width)
    if (block[:, :_FORM_BYTES] != block[0, :_FORM_BYTES]).any():
        raise ModelError("stored product vectors are of several models: index the catalogue again")
    return _read_pooled(block, dimension)


def _read_pooled(block: NDArray[np.uint8], dimension: int) -> Floats:
    """Return the pooled vectors (n, d) of rows that hold a header and then 4 bits a component."""
    levels = _LEVELS_OF_BYTE.take(block[:, _HEAD_BYTES:], axis=0)
    return _normalise_in_place(levels.reshape(len(block), -1)[:, :dimension])


def is_well_formed(stored: bytes, dimension: int, width: int, most: int, bits: int) -> bool:
    """Return whether a stored product has the sizes that its header claims, those of a model.

    That is d = `dimension`, t = `width` of `bits` a component, and at most `most` token vectors. Takes a
    microsecond.
    """
    if len(stored) < _HEAD_BYTES:
        return False
    kind, d, t, count, *sizes, distinct = _read_head(stored)
    if kind != FORMATS[bits] or d != dimension or t != width or count > most or max(sizes) > _MAX_WORDS:
        return False
    size: int = _HEAD_BYTES + (d + 1) // 2 + count * (t * bits // 8) + 4 * distinct
    return len(stored) == size


def read_words(stored: bytes) -> WordHashes:
    """Return the distinct words (w,) of a well-formed product: hash bits and field bits of each."""
    distinct = _read_head(stored)[-1]
    return np.frombuffer(stored, "<u4", distinct, len(stored) - 4 * distinct)


def have_words(stored: Sequence[bytes], hashes: WordHashes) -> NDArray[np.bool_]:
    """Return whether each of n well-formed products has one of the words (n,), given by their hashes."""
    words = [read_words(each) for each in stored]
    is_wanted = np.isin(select_hash_bits(np.concatenate([_NO_WORDS, *words])), select_hash_bits(hashes))
    owners = np.arange(len(words)).repeat([len(own) for own in words])
    has_one: NDArray[np.bool_] = np.bincount(owners[is_wanted], minlength=len(words)) > 0
    return has_one


def quantise_vector(vector: Floats) -> list[int]:
    """Return a vector (d,) of the same direction in whole numbers from -127 to 127.

    A k-NN field of bytes takes nothing else. To one of floats a query may come so as well: OpenSearch's
    cosine sees no length (checked on 2.19.1 and 3.5.0).
    """
    integers: list[int] = _quantise_rows(vector[None, :])[0].tolist()
    return integers


def normalise(x: Floats) -> Floats:
    """Return x with its last axis scaled to length 1; zero rows stay zero."""
    return _normalise_in_place(x.copy())


def _normalise_in_place(x: Floats) -> Floats:
    norm = np.sqrt(np.einsum("...i,...i->...", x, x))[..., None]
    x /= np.maximum(norm, np.float32(1e-9))
    return x


def _join_rows(rows: Sequence[bytes], width: int) -> NDArray[np.uint8]:
    """Return equally long rows as an array (n, width). Raises ModelError where one is shorter."""
    try:
        return np.frombuffer(b"".join(rows), np.uint8).reshape(-1, width)
    except ValueError as error:
        raise ModelError("stored product vectors are cut short: index the catalogue again") from error


def _read_rows(packed: NDArray[np.uint8], one_bit: bool) -> Floats:
    """Return the rows (n, K, t) of packed ones: int8 components, or the bits of their signs."""
    if not one_bit:
        return _normalise_in_place(packed.view(np.int8).astype(np.float32))
    # `take` of whole bytes: a twentieth of the time of unpackbits and arithmetic on its result.
    rows: Floats = _scale_signs(packed.shape[2]).take(packed.ravel(), axis=0).reshape(*packed.shape[:2], -1)
    return rows


@cache
def _scale_signs(row_bytes: int) -> Floats:
    """Return the components (256, 8) that each byte of a row of bits stands for."""
    return _SIGNS_OF_BYTE * np.float32(1 / (_SIGNS_COSINE * math.sqrt(8 * row_bytes)))


def _pack_levels(vector: Floats) -> NDArray[np.uint8]:
    """Return a vector (d,) as 4 bits a component (d / 2,): the levels of the most similar direction."""
    even = np.append(vector, np.zeros(len(vector) % 2, np.float32))
    scale = max(math.sqrt(float(vector @ vector) / len(vector)), 1e-9)
    codes = np.searchsorted(_BOUNDS, even / (scale * _STRETCHES))  # (s, d)
    levels = _LEVELS[codes[:, : len(vector)]]
    best = codes[((levels @ vector) / np.linalg.norm(levels, axis=1)).argmax()].astype(np.uint8)
    packed: NDArray[np.uint8] = best[::2] | best[1::2] << np.uint8(4)
    return packed


def _quantise_rows(rows: Floats) -> Int8s:
    """Scale each row of (n, t) so that its largest component is 127, and round."""
    top = np.abs(rows).max(axis=1, keepdims=True, initial=0.0)
    result: Int8s = np.rint(rows * (127.0 / np.maximum(top, 1e-9))).astype(np.int8)
    return result
