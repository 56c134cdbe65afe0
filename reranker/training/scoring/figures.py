"""The figures of a training run's model, on held-out queries made from the catalogue and on judged ones."""

from collections.abc import Mapping, Sequence

import numpy as np

from mappings.errors import ModelError
from mappings.types import Product
from reranker.evaluation.measures import (
    Grades,
    find_trained_queries,
    measure,
    measure_by_query,
    select_answerable,
)
from reranker.model import Model
from reranker.probes.known_items import make_queries
from reranker.training.scoring.catalogue_ranker import CatalogueRanker
from reranker.types import EncodedProduct, Floats

_HELD_SEED = 1_000_003


def hold_out_queries(
    products: Sequence[Product], trained: Sequence[str], seed: int, count: int
) -> dict[str, Product]:
    """Return up to `count` queries made from `products`, each with its product; none of `trained`."""
    seen = {text.casefold() for text in trained}
    made = make_queries(products, 2 * count, seed + _HELD_SEED)
    held_out = [(text, products[row]) for text, row in made if text.casefold() not in seen]
    return dict(held_out[:count])


def measure_known_item(
    model: Model,
    products: Sequence[Product],
    encoded: Sequence[EncodedProduct],
    queries: Mapping[str, Product],
) -> dict[str, float]:
    """Return recall@10 and nDCG@10 of finding, among `products`, the one that each query was made from.

    As a search does: the best by BM25 and by vector, ordered by the scorer.
    """
    ranker = CatalogueRanker(model, products, encoded)
    places = []
    for text, wanted in queries.items():
        best = [products[row].id for row in ranker.rank(text)[:10]]
        places.append(best.index(wanted.id) if wanted.id in best else None)
    ranks = [place for place in places if place is not None]
    count = max(1, len(places))
    return {
        "recall@10": round(len(ranks) / count, 4),
        "ndcg@10": round(sum(1 / np.log2(2 + place) for place in ranks) / count, 4),
    }


def measure_judged_queries(
    model: Model, products: Sequence[Product], grades: Mapping[str, Grades]
) -> dict[str, float]:
    """Return nDCG@10 of each answerable query over its judged products; empty where there is none.

    Raises ModelError where the model learnt from one of these queries.
    """
    seen = find_trained_queries(model.config.origin, grades)
    if seen:
        raise ModelError(
            f"model {model.version} was trained on {len(seen)} of these {len(grades)} queries "
            f"({', '.join(seen[:3])} ...): no figure on them is reported"
        )
    counts = select_answerable(grades)
    values = measure_by_query(_rankings(model, products, grades), counts)
    return {query: value["ndcg@10"] for query, value in values.items()}


def measure_judged_ndcg(rankings: Mapping[str, Sequence[str]], grades: Mapping[str, Grades]) -> float:
    """Return nDCG@10 over the queries that some product answers well; NaN where there is none."""
    counts = select_answerable(grades)
    return measure(rankings, counts)["ndcg@10"] if counts else float("nan")


def rank_ids(ids: Sequence[str], scores: Floats) -> list[str]:
    """Return ids by their scores (n,), best first."""
    return [ids[at] for at in np.argsort(-scores, kind="stable")]


def _rankings(
    model: Model, products: Sequence[Product], grades: Mapping[str, Grades]
) -> dict[str, list[str]]:
    row_of = {p.id: row for row, p in enumerate(products)}
    wanted = sorted({row_of[i] for judged in grades.values() for i in judged if i in row_of})
    encoded = dict(zip(wanted, model.encode_products([products[row] for row in wanted]), strict=True))
    rankings = {}
    for text, judged in grades.items():
        ids = [i for i in judged if i in row_of]
        scores = _scores(model, text, [encoded[row_of[i]] for i in ids])
        rankings[text] = rank_ids(ids, scores)
    return rankings


def _scores(model: Model, text: str, encoded: Sequence[EncodedProduct]) -> Floats:
    return model.score(model.encode_query(text), [e.stored for e in encoded])
