"""Lists that the recipe does not have: of what queries demand, and around what people found right."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mappings.types import Product
from reranker.model import Model
from reranker.probes.queries import FOUND_BY_WORDS, ProbeQuery, make_probe_queries
from reranker.probes.truth import ProbedProducts
from reranker.training.recipe import SoftConfig
from reranker.training.scoring.examples import CandidateList, EncodedCatalogue, draw_candidates
from reranker.types import Floats, Ints
from reranker.understanding.facts import pack_facts, unpack_facts
from reranker.understanding.learning import learn_vocabulary
from reranker.understanding.type_index import build_type_index

_UNREADABLE = frozenset({"price", "feature"})
"""Families whose answers are told by what the scorer does not read."""

_HARDEST = 3
"""Breaking products are drawn from the nearest, this many times as many as are drawn."""


@dataclass(frozen=True)
class DemandConfig:
    """How many products of each sort a list holds.

    `breaking` is for each demand: products that break it and meet all others.
    """

    answers: int = 6
    breaking: int = 8
    others: int = 4
    seed: int = 7


def make_demand_lists(
    model: Model, products: Sequence[Product], vectors: Floats, config: DemandConfig
) -> list[CandidateList]:
    """Return one list a made query: products that answer it, near ones that break one demand, and others.

    `vectors` are those of the products (N, d). Families that titles answer by their own words teach nothing
    that the other examples don't, and are left out.
    """
    vocabulary = learn_vocabulary(products)
    types = build_type_index(vocabulary, lambda _: np.zeros(1, dtype=np.float32))
    batch = unpack_facts([pack_facts(product) for product in products])
    probed = ProbedProducts([p.id for p in products], batch, [p.price for p in products])
    random = np.random.default_rng(config.seed)
    made = make_probe_queries(products, vocabulary, types, config.seed)
    return [
        each
        for query in made
        if query.family not in FOUND_BY_WORDS | _UNREADABLE
        if (each := _make_list(model, query, probed, vectors, config, random)) is not None
    ]


def make_pair_lists(
    model: Model, catalogue: EncodedCatalogue, pairs: Sequence[tuple[str, str, float]], config: SoftConfig
) -> list[CandidateList]:
    """Return one list for each pair (query, product's id, probability that it is relevant) that is certain.

    Its product is to come before BM25 and vector neighbours and random others, which nobody judged: of a
    catalogue whose products come from other queries, hardly one of them answers this query as well.
    """
    row_of = {product.id: row for row, product in enumerate(catalogue.products)}
    queries = [(text, row_of[i]) for text, i, relevant in pairs if relevant == 1 and i in row_of]
    drawn = draw_candidates(model, catalogue, queries, config)
    return [
        CandidateList(text, rows, (rows == source).astype(np.float32))
        for (text, source), rows in zip(queries, drawn, strict=True)
    ]


def _make_list(
    model: Model,
    query: ProbeQuery,
    products: ProbedProducts,
    vectors: Floats,
    config: DemandConfig,
    random: np.random.Generator,
) -> CandidateList | None:
    """Return the list of a query; None where all products answer it, or none."""
    met = np.stack([demand(products) for demand in query.demands])  # (demands, N)
    cosines = vectors @ model.encode_query(query.text).vector  # (N,)
    answers = np.asarray(met.all(0))
    if answers.all() or not answers.any():
        return None
    drawn = [
        _draw(np.flatnonzero(answers), config.answers, random),
        _draw(np.flatnonzero(~answers), config.others, random),
    ]
    for demand in range(len(met)):
        broken = np.flatnonzero(~met[demand] & np.asarray(np.delete(met, demand, 0).all(0)))
        hardest = broken[np.argsort(-cosines[broken], kind="stable")[: _HARDEST * config.breaking]]
        drawn.append(_draw(hardest, config.breaking, random))
    rows = np.unique(np.concatenate(drawn))
    return CandidateList(query.text, rows, answers[rows].astype(np.float32))


def _draw(rows: Ints, most: int, random: np.random.Generator) -> Ints:
    return random.choice(rows, min(most, len(rows)), replace=False)
