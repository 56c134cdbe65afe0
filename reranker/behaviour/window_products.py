"""Hits of a search as behaviour sees them, read from their stored forms alone."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from reranker.behaviour.personal_search import WindowProduct
from reranker.encoders.codec import WORD_FIELDS, read_words, select_hash_bits
from reranker.text.word_tokens import WordHashes, hash_words

_MAKER = np.uint32(1 << WORD_FIELDS.index("brand"))
_TYPE = np.uint32(1 << WORD_FIELDS.index("category"))


@dataclass(frozen=True, slots=True)
class StoredHit:
    """A hit: its id, its well-formed `attune.tokens`, and what popularity adds to its log-odds.

    `price` is None where it is unknown. `rank` is greater where it holds more of the query's model numbers,
    or meets more of its demands.
    """

    id: str
    stored: bytes
    rank: int = 0
    popularity: float = 0.0
    price: float | None = None


def read_window(
    hits: Sequence[StoredHit], query_words: Sequence[str], with_kinds: bool = True
) -> list[WindowProduct]:
    """Return the hits of a window.

    A hit's tier rises with its rank, and by a half where it holds all words. Makers and types are the words
    of brand and category; they are empty unless `with_kinds`.
    """
    wanted = frozenset(select_hash_bits(hash_words(query_words)).tolist())
    window = []
    for hit in hits:
        words = read_words(hit.stored)
        tier = 2 * hit.rank + wanted.issubset(select_hash_bits(words).tolist())
        kind, maker = (_name(words, _TYPE), _name(words, _MAKER)) if with_kinds else ("", "")
        window.append(WindowProduct(hit.id, kind, maker, tier, hit.popularity, hit.price))
    return window


def _name(words: WordHashes, field: np.uint32) -> str:
    """Return what tells the words of a field from others; empty where it has none."""
    return np.sort(select_hash_bits(words[(words & field) != 0])).tobytes().hex()
