from collections.abc import Sequence

import numpy as np
import pytest
from tokenizers import Tokenizer

from mappings.errors import ModelError
from mappings.types import Product
from plugin_api.sidecar.model_api.text_model import (
    MAX_QUERY_CHARACTERS,
    MAX_TEXT_CHARACTERS,
    DeadlineExceeded,
    TextScorer,
)
from reranker.model import Model, load_model
from reranker.types import EncodedProduct, EncodedQuery, Floats

WEIGHTS = (1.0, 0.5, 0.5)
MICE = (
    Product("", title="USB-C charging cable, 2 m"),
    Product("", title="Logitech M185 wireless mouse, grey"),
    Product("", title="Cordless floor lamp"),
)


class CountingModel:
    """The shipped model, and what it was asked to encode."""

    def __init__(self, model: Model) -> None:
        self._model = model
        self.version, self.dimension = model.version, model.dimension
        self.products: list[Product] = []
        self.queries: list[str] = []
        self.broken = False

    @property
    def tokenizer(self) -> Tokenizer:
        return self._model.tokenizer

    @property
    def product_tokenizer(self) -> Tokenizer:
        return self._model.product_tokenizer

    def encode_query(self, text: str) -> EncodedQuery:
        self.queries.append(text)
        return self._model.encode_query(text)

    def encode_products(self, products: Sequence[Product]) -> list[EncodedProduct]:
        self.products += products
        return self._model.encode_products(products)

    def score(self, query: EncodedQuery, stored: Sequence[bytes], weights: Sequence[float]) -> Floats:
        found = self._model.score(query, stored, weights)
        return np.full_like(found, np.nan) if self.broken else found

    def score_raw(self, query: EncodedQuery, stored: Sequence[bytes], weights: Sequence[float]) -> Floats:
        return self._model.score_raw(query, stored, weights)


@pytest.fixture(scope="module")
def shipped() -> Model:
    return load_model(None)


@pytest.fixture
def model(shipped: Model) -> CountingModel:
    return CountingModel(shipped)


@pytest.fixture
def texts(model: CountingModel) -> TextScorer:
    return TextScorer(model, WEIGHTS)


def test_scores_are_those_of_a_search_over_products_with_these_texts(
    shipped: Model, texts: TextScorer
) -> None:
    scores = texts.score("wireless mouse", MICE)
    stored = [product.stored for product in shipped.encode_products(MICE)]
    query = shipped.encode_query("wireless mouse")
    expected = shipped.score(query, stored, WEIGHTS)
    np.testing.assert_allclose(scores.probabilities, expected)
    assert scores.probabilities.argmax() == 1
    assert scores.unknown == 0.0


def test_what_the_model_does_not_know_is_said(texts: TextScorer) -> None:
    assert texts.score("苹果手机", MICE).unknown > 0.5


def test_a_text_is_encoded_once_however_often_it_comes(texts: TextScorer, model: CountingModel) -> None:
    first = texts.score("wireless mouse", [*MICE, MICE[1]])
    assert len(model.products) == 3
    assert first.probabilities[1] == first.probabilities[3]
    again = texts.score("wireless mouse", [*MICE, MICE[1]])
    assert len(model.products) == 3
    np.testing.assert_array_equal(first.probabilities, again.probabilities)
    texts.score("wireless mouse", [Product("", title=MICE[0].title, brand="Anker")])
    assert len(model.products) == 4


def test_a_call_that_fills_the_cache_by_itself_is_answered(model: CountingModel) -> None:
    expected = TextScorer(model, WEIGHTS).score("wireless mouse", MICE).probabilities
    [one] = model.encode_products(MICE[:1])
    texts = TextScorer(model, WEIGHTS, cache_bytes=len(one.stored) + 10)
    np.testing.assert_array_equal(texts.score("wireless mouse", MICE).probabilities, expected)
    model.products.clear()
    texts.score("wireless mouse", MICE)
    assert len(model.products) >= 2, "only what fits is kept"


def test_the_least_recently_used_goes_first(model: CountingModel) -> None:
    sizes = [len(product.stored) for product in model.encode_products(MICE)]
    texts = TextScorer(model, WEIGHTS, cache_bytes=sum(sizes) - 1)
    for product in (MICE[0], MICE[1], MICE[0], MICE[2]):
        texts.score("mouse", [product])
    model.products.clear()
    texts.score("mouse", [MICE[0], MICE[2]])
    assert model.products == []
    texts.score("mouse", [MICE[1]])
    assert model.products == [MICE[1]]


def test_more_documents_than_are_scored_at_once_keep_their_order(texts: TextScorer) -> None:
    documents = [MICE[at % 3] for at in range(150)]
    scores = texts.score("wireless mouse", documents).probabilities
    assert len(scores) == 150
    for at in range(3):
        np.testing.assert_allclose(scores[at::3], scores[at], rtol=1e-5)


def test_texts_are_read_up_to_their_limits(texts: TextScorer, model: CountingModel) -> None:
    texts.score("mouse " * 1000, [Product("", *4 * ["lamp " * 1000])])
    assert len(model.queries[-1]) == MAX_QUERY_CHARACTERS
    product = model.products[-1]
    fields = (product.title, product.brand, product.category, product.description)
    assert [len(text) for text in fields] == [MAX_TEXT_CHARACTERS] * 4
    texts.embed_queries(["mouse " * 1000])
    assert len(model.queries[-1]) == MAX_QUERY_CHARACTERS
    texts.embed_documents(["mouse " * 1000])
    assert len(model.products[-1].title) == MAX_TEXT_CHARACTERS


def test_scores_that_are_not_probabilities_are_an_error(texts: TextScorer, model: CountingModel) -> None:
    model.broken = True
    with pytest.raises(ModelError, match="not probabilities"):
        texts.score("mouse", MICE)


def test_both_towers_embed_into_one_space(texts: TextScorer) -> None:
    queries = texts.embed_queries(["wireless mouse", "floor lamp"])
    documents = texts.embed_documents([product.title for product in MICE])
    for found in (queries.vectors, documents.vectors):
        np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1.0, rtol=1e-5)
    cosines = queries.vectors @ documents.vectors.T
    assert cosines.argmax(axis=1).tolist() == [1, 2]


def test_tokens_are_counted(texts: TextScorer) -> None:
    one = texts.embed_queries(["wireless mouse"]).tokens
    assert texts.embed_queries(["wireless mouse"] * 2).tokens == 2 * one
    assert texts.embed_documents(["wireless mouse"]).tokens >= 2


def test_a_call_ends_at_its_deadline_and_the_next_one_gets_further(model: CountingModel) -> None:
    documents = [Product("", title=f"wireless mouse {number}") for number in range(40)]
    now = iter([0.0, 2.0])  # the second batch of the first call comes after the deadline
    texts = TextScorer(model, WEIGHTS, clock=lambda: next(now, 0.0))
    with pytest.raises(DeadlineExceeded):
        texts.score("mouse", documents, deadline=1.0)
    assert len(model.products) == 16
    assert len(texts.score("mouse", documents, deadline=1.0).probabilities) == 40
    assert len(model.products) == 40, "what was encoded before the deadline is not encoded again"


def test_embedding_ends_at_its_deadline(texts: TextScorer, model: CountingModel) -> None:
    for embed in (texts.embed_queries, texts.embed_documents):
        with pytest.raises(DeadlineExceeded):
            embed(["wireless mouse"], deadline=0.0)
    assert (model.products, model.queries) == ([], [])
