"""BM25 over a catalogue in memory, for hard negatives and as a baseline.

The ranking is bm25s's, over the words that the scorer compares, folded and stemmed.
"""

from collections.abc import Sequence

import bm25s
import numpy as np

from mappings.types import Product
from reranker.text.word_tokens import split_words
from reranker.types import Floats


class KeywordIndex:
    """BM25 over title, brand, category and description; title and brand count twice."""

    def __init__(self, products: Sequence[Product]) -> None:
        corpus = [
            [
                *2 * (split_words(p.title) + split_words(p.brand)),
                *split_words(p.category),
                *split_words(p.description),
            ]
            for p in products
        ]
        self._index = bm25s.BM25()
        self._index.index(corpus, show_progress=False)

    def scores(self, query: str) -> Floats:
        """BM25 score of every product (n,)."""
        known = [word for word in split_words(query) if word in self._index.vocab_dict]
        if not known:
            return np.zeros(self._index.scores["num_docs"], dtype=np.float32)
        scores: Floats = self._index.get_scores(known).astype(np.float32)
        return scores
