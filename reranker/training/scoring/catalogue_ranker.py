"""Rank a catalogue in memory as a search does: the best by BM25 and by vector, ordered by the scorer."""

from collections.abc import Sequence

import numpy as np

from mappings.types import Product
from reranker.model import Model
from reranker.training.datasets.bm25 import KeywordIndex
from reranker.types import EncodedProduct

_DEPTH = 50
"""How many of the best by BM25 and by vector the scorer orders."""


class CatalogueRanker:
    """Ranks products (n,) for queries by a model that encoded them."""

    def __init__(
        self,
        model: Model,
        products: Sequence[Product],
        encoded: Sequence[EncodedProduct],
        keywords: KeywordIndex | None = None,
    ) -> None:
        self._model, self._encoded = model, encoded
        self._keywords = keywords or KeywordIndex(products)
        self._vectors = np.stack([each.vector for each in encoded])  # (n, d)

    def rank(self, text: str) -> list[int]:
        """Return the rows of the candidates for a query, best first; of equals the earlier row."""
        query, keyword = self._model.encode_query(text), self._keywords.scores(text)
        near = np.argsort(-(self._vectors @ query.vector), kind="stable")[:_DEPTH]
        matching = np.argsort(-keyword, kind="stable")[:_DEPTH]
        rows = np.union1d(near, matching[keyword[matching] > 0])
        scores = self._model.score(query, [self._encoded[row].stored for row in rows])
        order: list[int] = rows[np.argsort(-scores, kind="stable")].tolist()
        return order
