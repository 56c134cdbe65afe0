"""BM25 and Attune over a catalogue in memory: the steps of a search without OpenSearch."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np

from mappings.settings import SearchSettings
from mappings.types import Product
from plugin_api.search.retrieval.fusion import fuse
from plugin_api.search.retrieval.hit import Hit
from reranker.keyword_evidence import TYPICAL_SHARE, add_keyword_evidence
from reranker.model import Model
from reranker.training.datasets.bm25 import KeywordIndex
from reranker.understanding.adjustment import DEFAULT_WEIGHTS, Weights, adjust_scores
from reranker.understanding.demands import TypeDemand, Understanding
from reranker.understanding.facts import FactBatch, pack_facts, unpack_facts
from reranker.understanding.learning import VocabularyLearner
from reranker.understanding.matching import MATCH, match_demand
from reranker.understanding.query import understand
from reranker.understanding.types import TypeIndex, build_type_index
from reranker.understanding.vocabulary import CatalogueVocabulary
from reranker.types import EncodedProduct, EncodedQuery, Floats

CACHE = Path.home() / ".attune" / "bench"


@dataclass(frozen=True)
class Shop:
    """A catalogue in memory: products, stored forms, vectors (N, d), facts, vocabulary, and a BM25 index."""

    products: Sequence[Product]
    stored: Sequence[bytes]
    vectors: Floats
    keywords: KeywordIndex
    model: Model
    facts: Sequence[bytes]
    vocabulary: CatalogueVocabulary

    @cached_property
    def types(self) -> TypeIndex:
        """The types of the catalogue, with their vectors."""
        surface = self.vocabulary.surface
        return build_type_index(self.vocabulary, lambda text: self.model.encode_query(text).vector, surface)

    def nearness(self, understanding: Understanding) -> Floats | None:
        """Return how near each type is to the one that the query names."""
        for demand in understanding.demands:
            if isinstance(demand, TypeDemand):
                return self.types.nearness(self.model.encode_query(demand.words).vector, demand.stems)
        return None

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
    learner = VocabularyLearner()
    facts = [pack_facts(product) for product in products]
    for product, packed in zip(products, facts, strict=True):
        learner.add(product, packed)
    return Shop(products, pieces, vectors, KeywordIndex(products), model, facts, learner.learn())


def rank_by_keywords(shop: Shop, text: str, count: int) -> list[int]:
    """Return the rows of the best `count` products by BM25."""
    return [row for row, _ in _best(shop.keywords.scores(text), count)]


@dataclass(frozen=True)
class Options:
    """Which steps a search takes: understanding, and further candidates that satisfy what it understood."""

    understands: bool = True
    retrieves: bool = True
    core_vector: bool = True
    types: bool = True
    weights: Weights = field(default_factory=lambda: DEFAULT_WEIGHTS)


def rank_by_attune(
    shop: Shop, text: str, settings: SearchSettings, options: Options
) -> tuple[list[int], list[float]]:
    """Return the rows of the window and their probabilities, best first: what the sidecar does."""
    understanding = understand(text, shop.vocabulary)
    query = shop.model.encode_query(understanding.core if options.core_vector and options.understands else text)
    window = choose_window(shop, text, query, settings)
    if options.understands and options.retrieves and any(not isinstance(d, TypeDemand) for d in understanding.demands):
        window += find_satisfying(shop, understanding, query, {hit.id for hit in window})
    heads = settings.relevance_weight, settings.click_weight, settings.purchase_weight
    rows = [int(hit.id) for hit in window]
    scores = shop.model.score(query, [shop.stored[row] for row in rows], heads).tolist()
    scores = add_keyword_evidence(scores, [hit.keyword_score for hit in window], settings.keyword_weight)
    if options.understands:
        facts = [shop.facts[row] for row in rows]
        prices = [shop.products[row].price for row in rows]
        near = shop.nearness(understanding) if options.types else None
        types = shop.types if options.types else None
        scores = adjust_scores(understanding, facts, prices, scores, options.weights, types, near).scores
    order = sorted(range(len(rows)), key=lambda i: scores[i], reverse=True)
    return [rows[i] for i in order], [scores[i] for i in order]


def find_satisfying(
    shop: Shop, understanding: Understanding, query: EncodedQuery, known: set[str], count: int = 50
) -> list[Hit]:
    """Return the nearest products by vector among those that meet all demands."""
    prices = [product.price for product in shop.products]
    met = np.ones(len(shop.products), dtype=bool)
    for demand in understanding.demands:
        if not isinstance(demand, TypeDemand):
            met &= match_demand(demand, shop.batch, prices)[:, MATCH] > 0
    near = shop.nearness(understanding)
    if near is not None:
        met &= shop.types.compare(near, shop.batch) <= 0.25
    cosines = np.where(met, (1 + shop.vectors @ query.vector) / 2, 0)
    typical = TYPICAL_SHARE * float(shop.keywords.scores(understanding.text).max())
    found = _best(cosines, count)
    return [Hit("", str(row), typical, score) for row, score in found if str(row) not in known]


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
