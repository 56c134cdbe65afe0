"""Do made queries rise and fall with what people say? Rankings of differing quality, measured by both.

Each catalogue is ranked in memory in 13 ways: BM25, cosine, vectors cut short or made noisy, the scorer with
more or less of the keyword search. Each way has a figure by made queries (`reranker.probes`, of every kind)
and two by people's grades: over the whole catalogue, where what nobody judged counts as wrong, and over the
judged products of each query alone, where a query has several. Prints JSON: by catalogue the rank
correlation (Spearman's) of both, that of known items alone and of each family, and how often the probe names
the better of two ways where people's grades differ by 0.01 or more.

    python -m tests.bench.probes
"""

import itertools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray
from scipy import stats

from mappings.types import Product
from plugin_api.commands.demo.catalogue import PRODUCTS
from reranker.evaluation.measures import Grades, measure_by_query
from reranker.keyword_evidence import add_keyword_evidence
from reranker.model import Model, load_model
from reranker.probes.queries import FOUND_BY_WORDS, KNOWN_ITEM
from reranker.training.scoring.probing import CatalogueProbe, make_catalogue_probes, measure_probe
from reranker.types import Floats
from tests.bench.demands.systems import Shop, open_shop
from tests.bench.inputs.catalogue import products
from tests.bench.tuning import list_esci_products, read_grades

_CATALOGUES = ("electronics", "esci-us", "esci-es", "esci-jp")
_DEPTH = 50
_SEED = 5
_MOST_QUERIES = 200
_DIFFERENT = 0.01
_SEVERAL = 3
"""Judged products of a query, from which on their order tells something."""


@dataclass(frozen=True)
class Candidates:
    """The candidates of a query: rows, and what each part of a ranking says of them (n,)."""

    rows: Sequence[int]
    parts: Mapping[str, NDArray[Any]]


@click.command(help=__doc__)
@click.argument("catalogues", nargs=-1, type=click.Choice(_CATALOGUES))
def main(catalogues: tuple[str, ...]) -> None:
    """Measure and print."""
    model = load_model()
    print(json.dumps({name: _compare(name, model) for name in catalogues or _CATALOGUES}, indent=2))


def _compare(name: str, model: Model) -> dict[str, object]:
    catalogue = _read_products(name)
    shop = open_shop(catalogue, model)
    grades = dict(sorted(read_grades(name).items())[:_MOST_QUERIES])
    probes = make_catalogue_probes(catalogue, list(grades), _SEED)
    noise = np.random.default_rng(_SEED).normal(size=shop.vectors.shape).astype(np.float32)
    noise /= np.linalg.norm(noise, axis=1, keepdims=True)
    made = [_rank_all(_gather(shop, noise, probe.text)) for probe in probes]
    ways = list(made[0])
    by_probe = {way: _measure_families(probes, [each[way] for each in made]) for way in ways}
    families = list(by_probe[ways[0]])
    figures = {
        "probes": [float(np.mean(list(by_probe[way].values()))) for way in ways],
        "not found by words": [
            float(np.mean([v for f, v in by_probe[way].items() if f not in FOUND_BY_WORDS] or [0.0]))
            for way in ways
        ],
        **{family: [by_probe[way][family] for way in ways] for family in families},
    }
    people = {
        "whole": _measure_people(catalogue, grades, {q: _gather(shop, noise, q) for q in grades}),
    }
    row_of = {product.id: row for row, product in enumerate(catalogue)}
    pools = {q: [row_of[i] for i in judged if i in row_of] for q, judged in grades.items()}
    if np.mean([len(pool) for pool in pools.values()]) >= _SEVERAL:
        pooled = {q: _gather(shop, noise, q, np.array(pool)) for q, pool in pools.items()}
        people["judged"] = _measure_people(catalogue, grades, pooled)
    return {
        "queries": {"made": len(probes), "judged": len(grades)},
        "ways": {
            way: {
                "probes": round(figures["probes"][i], 4),
                **{side: round(values[i], 4) for side, values in people.items()},
            }
            for i, way in enumerate(ways)
        },
        "correlation": {
            side: {each: _correlate(own, values) for each, own in figures.items()}
            for side, values in people.items()
        },
        "names the better": {
            side: {each: _count_agreements(figures[each], values) for each in ("probes", KNOWN_ITEM)}
            for side, values in people.items()
        },
    }


def _gather(shop: Shop, noise: Floats, text: str, rows: NDArray[np.int64] | None = None) -> Candidates:
    """Return the rows, or else the best by keywords and by vector, as each way scores them."""
    query = shop.model.encode_query(text)
    keywords, cosines = shop.keywords.scores(text), shop.vectors @ query.vector
    if rows is None:
        rows = np.union1d(np.argsort(-cosines)[:_DEPTH], np.argsort(-keywords)[:_DEPTH])
    probabilities = shop.model.score_raw(query, [shop.stored[row] for row in rows]).tolist()
    parts: dict[str, NDArray[Any]] = {"BM25": keywords[rows], "cosine": cosines[rows]}
    for width in (192, 96, 48, 24):
        cut = shop.vectors[rows, :width]
        parts[f"cosine of {width}"] = cut @ query.vector[:width] / np.linalg.norm(cut, axis=1)
    for share in (0.5, 1.0, 2.0):
        parts[f"cosine, noise {share}"] = (shop.vectors[rows] + share * noise[rows]) @ query.vector
    for weight in (0.0, 1.0, 3.0, 7.0):
        scores = add_keyword_evidence(probabilities, keywords[rows].tolist(), weight)
        parts[f"scorer, keyword weight {weight:g}"] = np.array(scores)
    return Candidates(rows.tolist(), parts)


def _rank_all(candidates: Candidates) -> dict[str, list[int]]:
    return {
        way: [candidates.rows[i] for i in np.argsort(-scores, kind="stable")[:10]]
        for way, scores in candidates.parts.items()
    }


def _measure_families(
    probes: Sequence[CatalogueProbe], rankings: Sequence[Sequence[int]]
) -> dict[str, float]:
    values: dict[str, list[float]] = {}
    for probe, ranking in zip(probes, rankings, strict=True):
        values.setdefault(probe.family, []).append(measure_probe(probe, ranking))
    return {family: float(np.mean(each)) for family, each in values.items()}


def _measure_people(
    catalogue: Sequence[Product], grades: Mapping[str, Grades], gathered: Mapping[str, Candidates]
) -> list[float]:
    """Return nDCG@10 by people's grades of each way."""
    ranked = {query: _rank_all(candidates) for query, candidates in gathered.items()}
    means = []
    for way in next(iter(ranked.values())):
        ids = {query: [catalogue[row].id for row in ways[way]] for query, ways in ranked.items()}
        means.append(float(np.mean([v["ndcg@10"] for v in measure_by_query(ids, grades).values()])))
    return means


def _correlate(values: Sequence[float], people: Sequence[float]) -> float | None:
    """Return Spearman's rank correlation; None where all values are alike."""
    if np.ptp(values) == 0:
        return None
    return round(float(stats.spearmanr(values, people).statistic), 3)


def _count_agreements(values: Sequence[float], people: Sequence[float]) -> float:
    """Return the share of pairs of ways that people's grades tell apart in which the probe agrees."""
    pairs = [
        (values[i] > values[j]) == (people[i] > people[j])
        for i, j in itertools.combinations(range(len(values)), 2)
        if abs(people[i] - people[j]) >= _DIFFERENT
    ]
    return round(float(np.mean(pairs)), 3)


def _read_products(name: str) -> list[Product]:
    return list(products(PRODUCTS)) if name == "electronics" else list_esci_products(name)


if __name__ == "__main__":
    main()
