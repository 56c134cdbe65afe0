"""Hits of a search as personal search sees them, read from their stored forms alone."""

from collections.abc import Sequence

import numpy as np

from reranker.behaviour.personal_search import WindowProduct
from reranker.encoders.codec import WORD_FIELDS, read_words, select_hash_bits
from reranker.text.word_tokens import WordHashes, hash_words

_MAKER = np.uint32(1 << WORD_FIELDS.index("brand"))
_TYPE = np.uint32(1 << WORD_FIELDS.index("category"))


def read_window(
    ids: Sequence[str], stored: Sequence[bytes], numbers: Sequence[int], query_words: Sequence[str]
) -> list[WindowProduct]:
    """Return the hits of a window; `stored` are their well-formed `attune.tokens`.

    A hit's tier rises with each model number of the query that it holds (`numbers`), and by a half where it
    holds all words. Makers and types are the words of brand and category.
    """
    wanted = np.unique(select_hash_bits(hash_words(query_words)))
    window = []
    for product, form, count in zip(ids, stored, numbers, strict=True):
        words = read_words(form)
        holds_all = bool(np.isin(wanted, select_hash_bits(words)).all())
        tier = 2 * count + holds_all
        window.append(WindowProduct(product, _name(words, _TYPE), _name(words, _MAKER), tier=tier))
    return window


def _name(words: WordHashes, field: np.uint32) -> str:
    """Return what tells the words of a field from others; empty where it has none."""
    return np.sort(select_hash_bits(words[(words & field) != 0])).tobytes().hex()
