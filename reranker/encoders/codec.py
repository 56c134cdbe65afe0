"""The bytes of the field `attune.tokens`: all that the scorer needs to know of a product.

Little-endian, in this order: a header of eight uint16 (format, d, t, number of token vectors, and the
numbers of title, brand, category and other words), the pooled vector as int8 (d,), the token vectors
as int8 (n, t) or, in the other format, as the bits of their signs (n, t / 8), the words as uint32 hashes.
Vectors are unit vectors scaled to use int8's whole range; their scale is not kept, since a unit vector's can
be had back from itself.
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

FORMATS = {8: 1, 1: 2}
"""Bits a component of a token vector → format."""

SIGNS_COSINE = math.sqrt(2 / math.pi)
"""The mean cosine between a vector of many like components and its signs."""

WORD_FIELDS = ("title", "brand", "category", "other")
_HEADER = 4 + len(WORD_FIELDS)
_SIGNS_OF_BYTE: Floats = np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1) * np.float32(2) - 1

Int8s = NDArray[np.int8]


def pack_product(vector: Floats, tokens: Floats, words: Sequence[WordHashes], bits: int = 8) -> bytes:
    """Return the stored form of one product.

    vector: (d,), tokens: (n, t), rows of any length; words: the word hashes of each of FIELDS; `bits` a
    component of a token vector, 8 or 1: then t is a multiple of 8.
    """
    sizes = [len(vector), tokens.shape[1], len(tokens), *(min(len(w), 65535) for w in words)]
    header = np.array([FORMATS[bits], *sizes], dtype="<u2")
    small = _quantised(tokens) if bits == 8 else np.packbits(tokens > 0, axis=1)
    body = [_quantised(vector[None, :]).tobytes(), small.tobytes()]
    return b"".join([header.tobytes(), *body, *(w[:65535].astype("<u4").tobytes() for w in words)])


@dataclass(frozen=True, slots=True)
class StoredBatch:
    """The stored forms of n candidates, unpacked side by side."""

    vectors: Floats  # (n, d) unit rows
    tokens: Floats  # (n, K, t) unit rows (longer ones of bits), zero where a product has fewer than K
    mask: NDArray[np.bool_]  # (n, K) True where there is a token
    words: WordHashes  # (W,) all candidates' words, one after another, field by field
    ends: NDArray[np.int64]  # (n, 4) where each candidate's field ends in `words`


def unpack_products(stored: Sequence[bytes], dimension: int, width: int) -> StoredBatch:
    """Unpack n stored products with d = `dimension` and t = `width`, all of one format.

    Rows of bits are as long as makes their dot products, on average, those of the vectors they were.
    Raises ModelError where one is malformed.
    """
    n = len(stored)
    try:
        heads = np.frombuffer(b"".join([s[: 2 * _HEADER] for s in stored]), dtype="<u2").reshape(n, _HEADER)
    except ValueError as error:
        raise ModelError("stored product vectors are cut short: index the catalogue again") from error
    heads = heads.astype(np.int64)
    counts = heads[:, 3]
    vectors_at = 2 * _HEADER
    tokens_at = vectors_at + dimension
    one_bit = bool(n and heads[0, 0] == FORMATS[1])
    row_bytes = width // 8 if one_bit else width
    words_at = tokens_at + counts * row_bytes
    sizes = words_at + 4 * heads[:, 4:].sum(1)
    if n and not (
        (heads[:, 0] == FORMATS[1 if one_bit else 8]).all()
        and (heads[:, 1] == dimension).all()
        and (heads[:, 2] == width).all()
        and all(map(int.__eq__, map(len, stored), sizes.tolist()))
    ):
        raise ModelError("stored product vectors have another format: index the catalogue again")
    most = int(counts.max(initial=1))
    vectors = np.empty((n, dimension), dtype=np.int8)
    tokens = np.zeros((n, most, row_bytes), dtype=np.uint8)
    for i, (data, count) in enumerate(zip(stored, counts.tolist(), strict=True)):
        vectors[i] = np.frombuffer(data, np.int8, dimension, vectors_at)
        tokens[i, :count] = np.frombuffer(data, np.uint8, count * row_bytes, tokens_at).reshape(-1, row_bytes)
    words = np.frombuffer(
        b"".join([s[a:] for s, a in zip(stored, words_at.tolist(), strict=True)]), dtype="<u4"
    )
    mask = np.arange(most) < counts[:, None]
    return StoredBatch(
        vectors=normalise(vectors.astype(np.float32)),
        tokens=_signs(tokens, mask) if one_bit else normalise(tokens.view(np.int8).astype(np.float32)),
        mask=mask,
        words=words,
        ends=heads[:, 4:].ravel().cumsum().reshape(n, len(WORD_FIELDS)),
    )


def is_well_formed(stored: bytes, dimension: int, width: int, most: int) -> bool:
    """Return whether a stored product has the sizes that its header claims, those of a model.

    That is d = `dimension`, t = `width` and at most `most` token vectors. Takes a microsecond.
    """
    if len(stored) < 2 * _HEADER:
        return False
    kind, d, t, count, *words = struct.unpack_from(f"<{_HEADER}H", stored)
    row_bytes = {FORMATS[8]: width, FORMATS[1]: width // 8}.get(kind)
    if row_bytes is None or (d, t) != (dimension, width) or count > most:
        return False
    size: int = 2 * _HEADER + dimension + count * row_bytes + 4 * sum(words)
    return len(stored) == size


def quantise_vector(vector: Floats) -> list[int]:
    """Return a vector (d,) of the same direction in whole numbers from -127 to 127.

    A k-NN field of bytes takes nothing else. To one of floats a query may come so as well: OpenSearch's
    cosine sees no length (checked on 2.19.1 and 3.5.0).
    """
    whole: list[int] = _quantised(vector[None, :])[0].tolist()
    return whole


def normalise(x: Floats) -> Floats:
    """Return x with its last axis scaled to length 1; zero rows stay zero."""
    norm = np.sqrt(np.einsum("...i,...i->...", x, x))[..., None]
    result: Floats = x / np.maximum(norm, np.float32(1e-9))
    return result


def _signs(packed: NDArray[np.uint8], mask: NDArray[np.bool_]) -> Floats:
    """Return the rows (n, K, t) of packed bits (n, K, t / 8)."""
    length = np.float32(1 / (SIGNS_COSINE * math.sqrt(8 * packed.shape[2])))
    # `take` of whole bytes: a twentieth of the time of unpackbits and arithmetic on its result.
    rows = (_SIGNS_OF_BYTE * length).take(packed.ravel(), axis=0).reshape(*packed.shape[:2], -1)
    rows[~mask] = 0
    return rows


def _quantised(rows: Floats) -> Int8s:
    """Scale each row of (n, t) so that its largest component is 127, and round."""
    top = np.abs(rows).max(axis=1, keepdims=True, initial=0.0)
    result: Int8s = np.rint(rows * (127.0 / np.maximum(top, 1e-9))).astype(np.int8)
    return result
