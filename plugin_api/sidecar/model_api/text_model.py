"""Scores and embeds texts that come with the request, instead of products that an index stores.

A text is encoded as a product of which nothing but the title is known. Measured on the electronics judgements
with the shipped model (nDCG@10 over judged products): title and description in fields of their own 0.960, the
same as one title 0.959, as a title that ends with the first sentence 0.951; all fields 0.961, joined into one
title 0.952.
"""

import hashlib
import math
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Protocol, TypeVar

import msgspec
import numpy as np
from cachetools import LRUCache
from tokenizers import Tokenizer

from mappings.errors import ModelError
from mappings.types import Product
from reranker.types import EncodedProduct, EncodedQuery, Floats, Reranker

_T = TypeVar("_T")

MAX_QUERY_CHARACTERS = 512
"""Beyond them a query is not read: the tower stops at 32 tokens, and time grows with every word compared."""

MAX_TEXT_CHARACTERS = 2000
"""Beyond them a field of a document is not read: the tower stops at 96 tokens; words count up to here."""

CACHE_BYTES = 32_000_000
"""Memory for the encodings of earlier texts: some 20,000 products like the demo's."""

_ENCODED_AT_ONCE = 16
_SCORED_AT_ONCE = 64


class DeadlineExceeded(Exception):
    """The texts took longer to encode or score than a call may take."""


class TextModel(Reranker, Protocol):
    """What reranking and embedding texts need of a model; reranker.model.Model is one."""

    def score(self, query: EncodedQuery, stored: Sequence[bytes], weights: Sequence[float]) -> Floats:
        """Return the probability (n,) of each stored product. Raises ModelError for malformed bytes."""

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
class TextScores:
    """The probability of each document (n,).

    `unknown` is the share of the query's tokens that the model does not know; `tokens` counts those of all
    texts.
    """

    probabilities: Floats
    unknown: float
    tokens: int


@dataclass(frozen=True, slots=True)
class TextVectors:
    """Unit vectors (n, d), and how many tokens the texts have."""

    vectors: Floats
    tokens: int


class TextScorer:
    """Scores and embeds texts. Thread-safe. Documents of earlier calls are not encoded again.

    Every method raises ModelError, and DeadlineExceeded once the clock has passed `deadline` (seconds).
    """

    def __init__(
        self,
        model: TextModel,
        weights: Sequence[float],
        cache_bytes: int = CACHE_BYTES,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._model = model
        self._weights = weights
        self._clock = clock
        self._lock = threading.Lock()
        self._cache: LRUCache[bytes, bytes] = LRUCache(cache_bytes, getsizeof=len)

    def score(self, query: str, documents: Sequence[Product], deadline: float = math.inf) -> TextScores:
        """Return how probably each document answers the query."""
        encoded = self._model.encode_query(query[:MAX_QUERY_CHARACTERS])
        documents = [_cut(document) for document in documents]
        stored = self._encode(documents, deadline)
        parts = []
        for part in _batched(stored, _SCORED_AT_ONCE):
            self._check(deadline)
            parts.append(self._model.score(encoded, part, self._weights))
        probabilities = np.concatenate(parts)
        if len(probabilities) != len(documents) or not np.isfinite(probabilities).all():
            raise ModelError(f"model {self._model.version} returned scores that are not probabilities")
        texts = [" ".join(_texts(document)) for document in documents]
        tokens = self._count_tokens(self._model.product_tokenizer, texts, deadline)
        tokens += self._count_tokens(self._model.tokenizer, [query[:MAX_QUERY_CHARACTERS]], deadline)
        return TextScores(probabilities, encoded.unknown, tokens)

    def embed_queries(self, texts: Sequence[str], deadline: float = math.inf) -> TextVectors:
        """Embed texts by the query tower."""
        texts = [text[:MAX_QUERY_CHARACTERS] for text in texts]
        vectors = []
        for text in texts:
            self._check(deadline)
            vectors.append(self._model.encode_query(text).vector)
        return TextVectors(np.stack(vectors), self._count_tokens(self._model.tokenizer, texts, deadline))

    def embed_documents(self, texts: Sequence[str], deadline: float = math.inf) -> TextVectors:
        """Embed texts by the product tower."""
        texts = [text[:MAX_TEXT_CHARACTERS] for text in texts]
        vectors = []
        for part in _batched([Product("", title=text) for text in texts], _ENCODED_AT_ONCE):
            self._check(deadline)
            vectors += [product.vector for product in self._model.encode_products(part)]
        tokens = self._count_tokens(self._model.product_tokenizer, texts, deadline)
        return TextVectors(np.stack(vectors), tokens)

    def _encode(self, products: Sequence[Product], deadline: float) -> list[bytes]:
        """Return each product's `attune.tokens`, equal products encoded once.

        What is encoded before the deadline stays in the cache, so that the same call gets further next time.
        """
        keys = [_key(product) for product in products]
        with self._lock:
            encoded = {key: self._cache[key] for key in keys if key in self._cache}
        new = {key: product for key, product in zip(keys, products, strict=True) if key not in encoded}
        for part in _batched(new.items(), _ENCODED_AT_ONCE):
            self._check(deadline)
            stored = [made.stored for made in self._model.encode_products([product for _, product in part])]
            with self._lock:
                for (key, _), value in zip(part, stored, strict=True):
                    encoded[key] = value
                    if len(value) <= self._cache.maxsize:
                        self._cache[key] = value
        return [encoded[key] for key in keys]

    def _count_tokens(self, tokenizer: Tokenizer, texts: Sequence[str], deadline: float) -> int:
        count = 0
        for part in _batched(texts, _SCORED_AT_ONCE):
            self._check(deadline)
            count += sum(len(encoding.ids) for encoding in tokenizer.encode_batch(part))
        return count

    def _check(self, deadline: float) -> None:
        if self._clock() > deadline:
            raise DeadlineExceeded


def _batched(items: Iterable[_T], size: int) -> Iterator[list[_T]]:
    """Yield the items in lists of `size`, the last one shorter."""
    rest = iter(items)
    while part := list(islice(rest, size)):
        yield part


def _cut(product: Product) -> Product:
    return replace(
        product,
        title=product.title[:MAX_TEXT_CHARACTERS],
        brand=product.brand[:MAX_TEXT_CHARACTERS],
        category=product.category[:MAX_TEXT_CHARACTERS],
        description=product.description[:MAX_TEXT_CHARACTERS],
    )


def _texts(product: Product) -> tuple[str, str, str, str]:
    return product.title, product.brand, product.category, product.description


def _key(product: Product) -> bytes:
    """The key of an encoding: a hash, since the texts would take more memory than their encodings."""
    return hashlib.blake2b(msgspec.msgpack.encode(_texts(product)), digest_size=16).digest()
