"""The model over texts that come with the request, instead of products that an index stores.

A text is encoded as a product of which nothing but the title is known. Measured on the electronics judgements
with the shipped model (nDCG@10 over judged products): title and description in fields of their own 0.960, the
same as one title 0.959, as a title that ends with the first sentence 0.951; all fields 0.961, joined into one
title 0.952.
"""

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import msgspec
import numpy as np
from tokenizers import Tokenizer

from mappings.errors import ModelError
from mappings.types import Product
from reranker.types import EncodedProduct, Floats, Reranker

MAX_QUERY_CHARACTERS = 512
"""Beyond it a query is not read: the tower stops at 32 tokens, and time grows with every word compared."""

MAX_TEXT_CHARACTERS = 2000
"""Beyond it a field of a document is not read: the tower stops at 96 tokens; words count up to here."""

CACHE_BYTES = 32_000_000
"""Room for the encodings of texts seen before: some 20,000 products, by the demo's."""

_SCORED_AT_ONCE = 64


class TextModel(Reranker, Protocol):
    """What reranking and embedding texts need of a model; reranker.model.Model is one."""

    @property
    def dimension(self) -> int:
        """Components d of a vector."""

    @property
    def tokenizer(self) -> Tokenizer:
        """The query encoder's tokenizer."""

    @property
    def product_tokenizer(self) -> Tokenizer:
        """The product encoder's tokenizer."""

    def encode_products(self, products: Sequence[Product]) -> list[EncodedProduct]:
        """Encode products, in the order given."""


@dataclass(frozen=True, slots=True)
class Scores:
    """Each document's probability (n,), and the share of the query's tokens that the model doesn't know."""

    probabilities: Floats
    unknown: float


@dataclass(frozen=True, slots=True)
class Vectors:
    """Unit vectors (n, d), and how many tokens the texts have."""

    vectors: Floats
    tokens: int


class Texts:
    """Scores and embeds texts. Thread-safe; documents seen before are not encoded again."""

    def __init__(self, model: TextModel, weights: Sequence[float]) -> None:
        self._model = model
        self._weights = weights
        self._cache = _Cache(CACHE_BYTES)

    def score(self, query: str, documents: Sequence[Product]) -> Scores:
        """Return how probably each document answers the query. Raises ModelError."""
        encoded = self._model.encode_query(query[:MAX_QUERY_CHARACTERS])
        stored = self._stored([_cut(document) for document in documents])
        parts = [
            self._model.score(encoded, stored[at : at + _SCORED_AT_ONCE], self._weights)
            for at in range(0, len(stored), _SCORED_AT_ONCE)
        ]
        probabilities = np.concatenate(parts)
        if len(probabilities) != len(documents) or not np.isfinite(probabilities).all():
            raise ModelError(f"model {self._model.version} returned scores that are no probabilities")
        return Scores(probabilities, encoded.unknown)

    def embed_queries(self, texts: Sequence[str]) -> Vectors:
        """Embed texts by the query tower. Raises ModelError."""
        read = [text[:MAX_QUERY_CHARACTERS] for text in texts]
        vectors = np.stack([self._model.encode_query(text).vector for text in read])
        return Vectors(vectors, _tokens(self._model.tokenizer, read))

    def embed_documents(self, texts: Sequence[str]) -> Vectors:
        """Embed texts by the product tower. Raises ModelError."""
        read = [text[:MAX_TEXT_CHARACTERS] for text in texts]
        found = self._model.encode_products([Product("", title=text) for text in read])
        vectors = np.stack([product.vector for product in found])
        return Vectors(vectors, _tokens(self._model.product_tokenizer, read))

    def _stored(self, products: Sequence[Product]) -> list[bytes]:
        """Each product's `attune.tokens`, equal products encoded once."""
        keys = [_key(product) for product in products]
        known = self._cache.known(keys)
        new = {key: product for key, product in zip(keys, products, strict=True) if key not in known}
        if new:
            encoded = self._model.encode_products(list(new.values()))
            made = {key: product.stored for key, product in zip(new, encoded, strict=True)}
            self._cache.add(made)
            known = known | made
        return [known[key] for key in keys]


class _Cache:
    """Bytes by key, the least recently used of which go first when they pass `most` bytes."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._size = 0
        self._values: OrderedDict[bytes, bytes] = OrderedDict()
        self._lock = threading.Lock()

    def known(self, keys: Sequence[bytes]) -> dict[bytes, bytes]:
        found = {}
        with self._lock:
            for key in keys:
                if key in self._values:
                    self._values.move_to_end(key)
                    found[key] = self._values[key]
        return found

    def add(self, values: dict[bytes, bytes]) -> None:
        with self._lock:
            for key, value in values.items():
                self._size += len(value) - len(self._values.pop(key, b""))
                self._values[key] = value
            while self._size > self._most:
                self._size -= len(self._values.popitem(last=False)[1])


def _cut(product: Product) -> Product:
    return replace(
        product,
        title=product.title[:MAX_TEXT_CHARACTERS],
        brand=product.brand[:MAX_TEXT_CHARACTERS],
        category=product.category[:MAX_TEXT_CHARACTERS],
        description=product.description[:MAX_TEXT_CHARACTERS],
    )


def _key(product: Product) -> bytes:
    """What an encoding is kept by; the texts themselves would take more room than their encodings."""
    fields = (product.title, product.brand, product.category, product.description)
    return hashlib.blake2b(msgspec.msgpack.encode(fields), digest_size=16).digest()


def _tokens(tokenizer: Tokenizer, texts: Sequence[str]) -> int:
    return sum(len(encoding.ids) for encoding in tokenizer.encode_batch(list(texts)))
