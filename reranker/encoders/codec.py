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
    tokens: Floats  # (n, K, t) unit rows (longer ones of bits), zero where a product has fewer than K
    mask: NDArray[np.bool_]  # (n, K) True where there is a token
    words: WordHashes  # (W,) all candidates' words, one after another, field by field
    ends: NDArray[np.int64]  # (n, 4) where each candidate's field ends in `words`


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
    try:
        heads = np.frombuffer(b"".join([s[:_HEAD_BYTES] for s in stored]), dtype="<u2").reshape(n, _HEADER)
    except ValueError as error:
        raise ModelError("stored product vectors are cut short: index the catalogue again") from error
    heads = heads.astype(np.int64)
    counts, words = heads[:, 3], heads[:, 4:]
    one_bit = bool(heads[0, 0] == _FORMATS[1])
    row_bytes = width // 8 if one_bit else width
    tokens_at = _HEAD_BYTES + dimension
    words_at = tokens_at + counts * row_bytes
    sizes = words_at + 4 * words.sum(1)
    if not (
        (heads[:, :3] == (_FORMATS[1 if one_bit else 8], dimension, width)).all()
        and counts.max() <= most
        and words.max() <= _MAX_WORDS
        and sizes.tolist() == list(map(len, stored))
    ):
        raise ModelError("stored product vectors have another format: index the catalogue again")
    slots = max(int(counts.max()), 1)
    fixed = tokens_at + slots * row_bytes
    block = np.frombuffer(b"".join([s[:fixed].ljust(fixed, b"\0") for s in stored]), np.uint8).reshape(
        n, fixed
    )
    packed = np.ascontiguousarray(block[:, tokens_at:]).reshape(n, slots, row_bytes)
    tokens = _read_signs(packed) if one_bit else normalise(packed.view(np.int8).astype(np.float32))
    mask = np.arange(slots) < counts[:, None]
    if not mask.all():
        tokens[~mask] = 0
    return StoredBatch(
        vectors=normalise(block[:, _HEAD_BYTES:tokens_at].view(np.int8).astype(np.float32)),
        tokens=tokens,
        mask=mask,
        words=np.frombuffer(
            b"".join([s[at:] for s, at in zip(stored, words_at.tolist(), strict=True)]), dtype="<u4"
        ),
        ends=words.ravel().cumsum().reshape(n, len(WORD_FIELDS)),
    )


def is_well_formed(stored: bytes, dimension: int, width: int, most: int, bits: int) -> bool:
    """Return whether a stored product has the sizes that its header claims, those of a model.

    That is d = `dimension`, t = `width` of `bits` a component, and at most `most` token vectors. Takes a
    microsecond.
    """
    if len(stored) < _HEAD_BYTES:
        return False
    kind, d, t, count, *words = struct.unpack_from(f"<{_HEADER}H", stored)
    if (kind, d, t) != (_FORMATS[bits], dimension, width) or count > most or max(words) > _MAX_WORDS:
        return False
    size: int = _HEAD_BYTES + dimension + count * (width * bits // 8) + 4 * sum(words)
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
    norm = np.sqrt(np.einsum("...i,...i->...", x, x))[..., None]
    result: Floats = x / np.maximum(norm, np.float32(1e-9))
    return result


def _read_signs(packed: NDArray[np.uint8]) -> Floats:
    """Return the rows (n, K, t) of packed bits (n, K, t / 8)."""
    length = np.float32(1 / (_SIGNS_COSINE * math.sqrt(8 * packed.shape[2])))
    # `take` of whole bytes: a twentieth of the time of unpackbits and arithmetic on its result.
    rows: Floats = (_SIGNS_OF_BYTE * length).take(packed.ravel(), axis=0).reshape(*packed.shape[:2], -1)
    return rows


def _quantise_rows(rows: Floats) -> Int8s:
    """Scale each row of (n, t) so that its largest component is 127, and round."""
    top = np.abs(rows).max(axis=1, keepdims=True, initial=0.0)
    result: Int8s = np.rint(rows * (127.0 / np.maximum(top, 1e-9))).astype(np.int8)
    return result
