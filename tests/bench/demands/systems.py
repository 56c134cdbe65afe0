"""BM25 and Attune over a catalogue in memory: the steps of a search without OpenSearch."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mappings.settings import SearchSettings
from mappings.types import Product
from plugin_api.search.retrieval.fusion import fuse
from plugin_api.search.retrieval.hit import Hit
from reranker.keyword_evidence import TYPICAL_SHARE, add_keyword_evidence, weigh_keywords
from reranker.model import Model
from reranker.training.datasets.bm25 import KeywordIndex
from reranker.types import EncodedProduct, EncodedQuery, Floats
from reranker.understanding.demands import KINDS, TypeDemand, Understanding
from reranker.understanding.facts import FactBatch, pack_facts, unpack_facts
from reranker.understanding.interpreter import QueryInterpreter
from reranker.understanding.learning import VocabularyLearner
from reranker.understanding.matching import MATCH, match_demand
from reranker.understanding.vocabulary import CatalogueVocabulary

CACHE = Path.home() / ".attune" / "bench"

_FAR = 0.25
"""By how much a product's type may be less near than the nearest for the product to be a candidate."""


@dataclass(frozen=True)
class Shop:
    """A catalogue in memory: products, stored forms, vectors (N, d), and a BM25 index."""

    products: Sequence[Product]
    stored: Sequence[bytes]
    vectors: Floats
    keywords: KeywordIndex
    model: Model

    @cached_property
    def facts(self) -> list[bytes]:
        """The facts of each product."""
        return [pack_facts(product) for product in self.products]

    @cached_property
    def vocabulary(self) -> CatalogueVocabulary:
        """What the catalogue's products are called and have."""
        learner = VocabularyLearner()
        for product, packed in zip(self.products, self.facts, strict=True):
            learner.add(product, packed)
        return learner.learn()

    @cached_property
    def interpreter(self) -> QueryInterpreter:
        """What understands the queries of this catalogue."""
        return QueryInterpreter(self.vocabulary, lambda text: self.model.encode_query(text).vector)

    @cached_property
    def batch(self) -> FactBatch:
        """The facts of all products."""
        return unpack_facts(self.facts)


def open_shop(products: Sequence[Product], model: Model) -> Shop:
    """Encode a catalogue, or read what an earlier run encoded with the same model."""
    digest = hashlib.blake2b(digest_size=8)
    for product in products:
        digest.update(f"{product.id}\0{product.title}\0{product.description}\0".encode())
    path = CACHE / f"encoded-{model.version}-{digest.hexdigest()}.npz"
    if not path.is_file():
        encoded: list[EncodedProduct] = model.encode_products(products)
        path.parent.mkdir(parents=True, exist_ok=True)
        stored = np.array([product.stored for product in encoded], dtype=object)
        sizes = np.array([len(each) for each in stored])
        joined = np.frombuffer(b"".join(stored), dtype=np.uint8)
        np.savez(path, vectors=np.stack([product.vector for product in encoded]), sizes=sizes, stored=joined)
    with np.load(path) as arrays:
        vectors, ends, joined = arrays["vectors"], np.cumsum(arrays["sizes"]), arrays["stored"].tobytes()
    starts = [0, *ends.tolist()]
    pieces = [joined[start:end] for start, end in zip(starts, ends.tolist(), strict=False)]
    return Shop(products, pieces, vectors, KeywordIndex(products), model)


def rank_by_keywords(shop: Shop, text: str, count: int) -> list[int]:
    """Return the rows of the best `count` products by BM25."""
    return [row for row, _ in _best(shop.keywords.scores(text), count)]


@dataclass(frozen=True)
class Options:
    """Which steps a search takes: which kinds of demands are read, and what is done with them."""

    kinds: frozenset[str] = frozenset(KINDS)
    retrieves: bool = True
    encodes_core: bool = True


@dataclass(frozen=True)
class Window:
    """The candidates of a search: rows, the model's probabilities, keyword scores, and what those weigh."""

    understanding: Understanding
    rows: list[int]
    probabilities: list[float]
    keyword_scores: list[float]
    weight: float


def rank_by_attune(shop: Shop, text: str, settings: SearchSettings, options: Options) -> list[int]:
    """Return the rows of the window, best first: what the sidecar does."""
    window = gather_window(shop, text, settings, options)
    scores = add_keyword_evidence(window.probabilities, window.keyword_scores, window.weight)
    if window.understanding.demands:
        facts = [shop.facts[row] for row in window.rows]
        prices = [shop.products[row].price for row in window.rows]
        scores = shop.interpreter.adjust(window.understanding, facts, prices, scores).scores
    order = sorted(range(len(window.rows)), key=lambda i: scores[i], reverse=True)
    return [window.rows[i] for i in order]


def gather_window(shop: Shop, text: str, settings: SearchSettings, options: Options) -> Window:
    """Gather candidates and score them with the model."""
    everything = shop.interpreter.understand(text)
    demands = tuple(demand for demand in everything.demands if demand.kind in options.kinds)
    core = everything.core if demands else everything.text
    understanding = replace(everything, demands=demands, core=core)
    query = shop.model.encode_query(understanding.core if options.encodes_core else text)
    window = choose_window(shop, text, query, settings)
    if options.retrieves and any(not isinstance(demand, TypeDemand) for demand in demands):
        known = {hit.id for hit in window}
        window += [hit for hit in find_satisfying(shop, understanding, query) if hit.id not in known]
    heads = settings.relevance_weight, settings.click_weight, settings.purchase_weight
    rows = [int(hit.id) for hit in window]
    scores = shop.model.score_raw(query, [shop.stored[row] for row in rows], heads).tolist()
    weight = weigh_keywords(settings.keyword_weight, query, understanding.is_checked)
    return Window(understanding, rows, scores, [hit.keyword_score for hit in window], weight)


def find_satisfying(
    shop: Shop, understanding: Understanding, query: EncodedQuery, count: int = 50
) -> list[Hit]:
    """Return the nearest products by vector among those that meet all demands.

    They count as typical hits of the keyword search: it was not asked for them.
    """
    met = _meets_demands(shop, understanding)
    cosines = np.where(met, (1 + shop.vectors @ query.vector) / 2, 0)
    typical = TYPICAL_SHARE * float(shop.keywords.scores(understanding.text).max())
    return [Hit("", str(row), typical, score) for row, score in _best(cosines, count)]


def _meets_demands(shop: Shop, understanding: Understanding) -> NDArray[np.bool_]:
    """Return which products (N,) meet all demands and are not of quite another type."""
    prices = [product.price for product in shop.products]
    met = np.ones(shop.batch.count, dtype=bool)
    for demand in understanding.sought:
        if not isinstance(demand, TypeDemand):
            met &= match_demand(demand, shop.batch, prices)[:, MATCH] > 0
    near = shop.interpreter.find_nearness(understanding)
    return met if near is None else met & (shop.interpreter.types.compare(near, shop.batch) <= _FAR)


def choose_window(shop: Shop, text: str, query: EncodedQuery, settings: SearchSettings) -> list[Hit]:
    """Fuse the best by keywords and the nearest by vector, as a search does."""
    by_keyword = _best(shop.keywords.scores(text), settings.window)
    cosines = (1 + shop.vectors @ query.vector) / 2
    own = [Hit("", str(row), keyword_score=score) for row, score in by_keyword]
    near = [Hit("", str(row), vector_score=score) for row, score in _best(cosines, settings.window)]
    return fuse(own, near, settings, query.query_type)


def _best(scores: Floats, count: int) -> list[tuple[int, float]]:
    """Return rows and scores of the best that have any, best first."""
    top = np.argpartition(-scores, min(count, len(scores) - 1))[:count]
    top = top[np.argsort(-scores[top], kind="stable")]
    return [(int(row), float(scores[row])) for row in top if scores[row] > 0]
