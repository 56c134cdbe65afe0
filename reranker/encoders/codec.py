"""The bytes of the field `attune.tokens`: all that the scorer needs to know of a product.

Little-endian, in this order: a header of eight uint16 (format, d, t, number of token vectors, and the
numbers of title, brand, category and other words), the pooled vector as int8 (d,), the token vectors
as int8 (n, t) or, in the other format, as the bits of their signs (n, t / 8), the words as uint32 hashes.
Vectors are unit vectors, scaled to use int8's whole range. The scale is not stored: a unit vector's length
gives it back.
"""

import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from mappings.errors import ModelError
from reranker.text.word_tokens import WordHashes
from reranker.types import Floats

_FORMATS = {8: 1, 1: 2}
"""Bits a component of a token vector → format."""

_SIGNS_COSINE = math.sqrt(2 / math.pi)
"""The mean cosine between a vector of many like components and its signs."""

WORD_FIELDS = ("title", "brand", "category", "other")
_HEADER = 4 + len(WORD_FIELDS)
_HEAD_BYTES = 2 * _HEADER
_read_head = struct.Struct(f"<{_HEADER}H").unpack_from

MAX_TOKENS = 256
"""Most token vectors that a product of any model may have."""

_MAX_WORDS = 4096
"""Words of one field that are stored at most."""

_SIGNS_OF_BYTE: Floats = np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1) * np.float32(2) - 1

Int8s = NDArray[np.int8]


def pack_product(vector: Floats, tokens: Floats, words: Sequence[WordHashes], bits: int = 8) -> bytes:
    """Return the stored form of one product.

    vector: (d,), tokens: (n, t), rows of any length; words: the word hashes of each of WORD_FIELDS; `bits` a
    component of a token vector, 8 or 1: then t is a multiple of 8.
    """
    sizes = [len(vector), tokens.shape[1], len(tokens), *(min(len(w), _MAX_WORDS) for w in words)]
    header = np.array([_FORMATS[bits], *sizes], dtype="<u2")
    small = _quantise_rows(tokens) if bits == 8 else np.packbits(tokens > 0, axis=1)
    body = [_quantise_rows(vector[None, :]).tobytes(), small.tobytes()]
    return b"".join([header.tobytes(), *body, *(w[:_MAX_WORDS].astype("<u4").tobytes() for w in words)])


@dataclass(frozen=True, slots=True)
class StoredBatch:
    """The stored forms of n candidates, unpacked side by side."""

    vectors: Floats  # (n, d) unit rows
    tokens: Floats  # (n, K, t) unit rows (longer ones of bits), anything where a product has fewer than K
    mask: NDArray[np.bool_]  # (n, K) True where there is a token
    words: WordHashes  # (W,) all candidates' words, one after another, field by field
    sizes: NDArray[np.int64]  # (n, 4) how many words each candidate's field has

    @property
    def ends(self) -> NDArray[np.int64]:
        """Where each candidate's field ends in `words` (n, 4)."""
        return self.sizes.ravel().cumsum().reshape(self.sizes.shape)


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
            np.empty((0, len(WORD_FIELDS)), np.int64),
        )
    tokens_at = _HEAD_BYTES + dimension
    block = _join_rows([s[:tokens_at] for s in stored], tokens_at)
    heads = block[:, :_HEAD_BYTES].view("<u2").astype(np.int64)
    counts, sizes = heads[:, 3], heads[:, 4:]
    one_bit = bool(heads[0, 0] == _FORMATS[1])
    row_bytes = width // 8 if one_bit else width
    words_at = tokens_at + counts * row_bytes
    largest = heads.max(0)
    if not (
        (heads[:, :3] == (_FORMATS[1 if one_bit else 8], dimension, width)).all()
        and largest[3] <= most
        and largest[4:].max() <= _MAX_WORDS
        and (words_at + 4 * sizes.sum(1)).tolist() == list(map(len, stored))
    ):
        raise ModelError("stored product vectors have another format: index the catalogue again")
    slots = max(int(largest[3]), 1)
    longest = slots * row_bytes
    packed = _join_rows([s[tokens_at : tokens_at + longest].ljust(longest, b"\0") for s in stored], longest)
    ends = words_at.tolist()
    return StoredBatch(
        vectors=_normalise_in_place(block[:, _HEAD_BYTES:].view(np.int8).astype(np.float32)),
        tokens=_read_rows(packed.reshape(n, slots, row_bytes), one_bit),
        mask=np.arange(slots) < counts[:, None],
        words=np.frombuffer(b"".join([s[at:] for s, at in zip(stored, ends, strict=True)]), dtype="<u4"),
        sizes=sizes,
    )


def is_well_formed(stored: bytes, dimension: int, width: int, most: int, bits: int) -> bool:
    """Return whether a stored product has the sizes that its header claims, those of a model.

    That is d = `dimension`, t = `width` of `bits` a component, and at most `most` token vectors. Takes a
    microsecond.
    """
    if len(stored) < _HEAD_BYTES:
        return False
    kind, d, t, count, *sizes = _read_head(stored)
    if kind != _FORMATS[bits] or d != dimension or t != width or count > most or max(sizes) > _MAX_WORDS:
        return False
    size: int = _HEAD_BYTES + d + count * (t * bits // 8) + 4 * sum(sizes)
    return len(stored) == size


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


def _quantise_rows(rows: Floats) -> Int8s:
    """Scale each row of (n, t) so that its largest component is 127, and round."""
    top = np.abs(rows).max(axis=1, keepdims=True, initial=0.0)
    result: Int8s = np.rint(rows * (127.0 / np.maximum(top, 1e-9))).astype(np.int8)
    return result
