"""Measure models by queries of every kind that are made from a catalogue, and tell a gain from chance."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np

from mappings.types import Product
from reranker.probes.choice import FEWEST, choose_setting, compare_probes
from reranker.probes.measure import measure_ranking
from reranker.probes.queries import make_probe_queries
from reranker.probes.truth import ProbedProducts
from reranker.training.scoring.catalogue_ranker import CatalogueRanker
from reranker.types import Doubles
from reranker.understanding.facts import pack_facts, unpack_facts
from reranker.understanding.learning import learn_vocabulary
from reranker.understanding.type_index import build_type_index

_PLACES = 10


@dataclass(frozen=True, slots=True)
class CatalogueProbe:
    """A made query, the family that it was made as, and the rows of the products that answer it."""

    family: str
    text: str
    rows: frozenset[int]


class ModelOrigin(StrEnum):
    """Which model a training run hands over."""

    START = "start"
    TRAINED = "trained"


def make_catalogue_probes(
    products: Sequence[Product], trained: Collection[str], seed: int
) -> list[CatalogueProbe]:
    """Return probes of every family that the products allow; none of the queries that were `trained`."""
    vocabulary = learn_vocabulary(products)
    types = build_type_index(vocabulary, lambda _: np.zeros(1, dtype=np.float32))
    batch = unpack_facts([pack_facts(product) for product in products])
    probed = ProbedProducts([p.id for p in products], batch, [p.price for p in products])
    known = {text.casefold() for text in trained}
    probes = []
    for query in make_probe_queries(products, vocabulary, types, seed):
        rows = frozenset(np.flatnonzero(query.truth(probed)).tolist())
        if rows and query.text.casefold() not in known:
            probes.append(CatalogueProbe(query.family, query.text, rows))
    return probes


def measure_probes(ranker: CatalogueRanker, probes: Sequence[CatalogueProbe]) -> Doubles:
    """Return nDCG@10 of each probe (n,)."""
    return np.array([measure_probe(probe, ranker.rank(probe.text)) for probe in probes])


def measure_probe(probe: CatalogueProbe, ranking: Sequence[int]) -> float:
    """Return nDCG@10 of rows, best first."""
    hits = np.array([row in probe.rows for row in ranking[:_PLACES]], dtype=bool)
    return measure_ranking(hits, len(probe.rows), _PLACES)[1]


def choose_source(
    start: Doubles,
    trained: Doubles,
    families: Sequence[str],
    judged: tuple[Sequence[float], Sequence[float]] = ((), ()),
) -> ModelOrigin:
    """Return which model to hand over, by nDCG@10 of probes (n,) and of `judged` queries before and after.

    Where enough queries were judged that neither learnt from, they decide, if they can tell. Else the probes
    do, as they do for settings: the trained model must be better beyond chance.
    """
    if len(judged[0]) >= FEWEST:
        change = compare_probes(np.subtract(judged[1], judged[0]), ["judged"] * len(judged[0]))
        if change.low > 0 or change.high < 0:
            return ModelOrigin.TRAINED if change.low > 0 else ModelOrigin.START
    if not len(start):
        return ModelOrigin.START
    return choose_setting(
        ModelOrigin.START, {ModelOrigin.START: start, ModelOrigin.TRAINED: trained}, families
    )


def summarise_probes(start: Doubles, trained: Doubles, families: Sequence[str]) -> Mapping[str, Any]:
    """Return the figures of probes (n,): means over families before and after, and those of each family."""
    if not len(start):
        return {"queries": 0}
    change = compare_probes(trained - start, families)
    by_family = {}
    for family in dict.fromkeys(families):
        rows = [row for row, each in enumerate(families) if each == family]
        by_family[family] = {
            "queries": len(rows),
            "before": round(float(start[rows].mean()), 4),
            "after": round(float(trained[rows].mean()), 4),
        }
    return {
        "queries": len(families),
        "change": [round(change.mean, 4), round(change.low, 4), round(change.high, 4)],
        "families": by_family,
    }
