"""The next order of households never trained on: all of it, what was bought before, and what never was."""

from collections.abc import Callable

import numpy as np
import scipy.sparse
from implicit.als import AlternatingLeastSquares
from implicit.nearest_neighbours import CosineRecommender
from numpy.typing import NDArray

from mappings.types import JsonObject
from reranker.behaviour.diversity import diversify
from reranker.behaviour.scorer import BehaviourScorer, score_untrained
from reranker.behaviour.shop_counts import ShopCounts
from reranker.training.behaviour.examples import CANDIDATES, OrderExample
from reranker.types import Doubles, Floats
from tests.bench.behaviour.groceries import Groceries
from tests.bench.behaviour.ranking_values import TOP, RankingValues, best, summarise

KINDS = ("all", "repeat", "explore")
_DIVERSE = 100


class Rivals:
    """What the ranking is held against, all fitted to the same orders."""

    def __init__(self, data: Groceries, shop: ShopCounts) -> None:
        train = data.train()
        self._shape = (len(train.user_ids), len(train.product_ids))
        matrix = scipy.sparse.csr_matrix(
            (np.ones(len(train), np.float32), (train.users, train.products)), self._shape
        )
        matrix.sum_duplicates()
        self._als = AlternatingLeastSquares(64, regularization=0.05, alpha=10, random_state=7, num_threads=1)
        self._als.fit(matrix.log1p(), show_progress=False)
        knn = CosineRecommender(K=100, num_threads=1)
        knn.fit(matrix.log1p(), show_progress=False)
        self._knn = knn.similarity.tocsr()
        self._shop = shop

    def scores(self, rows: NDArray[np.int64], counts: Doubles) -> dict[str, Doubles]:
        """Score all products (P,) for a history: rows (m,) and decayed counts (m,)."""
        size = self._shape[1]
        own = np.zeros(size)
        own[rows] = counts
        popularity = self._shop.popularity / self._shop.popularity.sum()
        history = scipy.sparse.csr_matrix(
            (np.log1p(counts).astype(np.float32), (np.zeros(len(rows), int), rows)), (1, size)
        )
        factor = self._als.recalculate_user(0, history)
        factor = np.asarray(factor).ravel()
        return {
            "popularity": popularity,
            "item-kNN (implicit)": np.asarray((history @ self._knn).todense()).ravel() + popularity * 1e-6,
            "ALS (implicit)": (self._als.item_factors @ factor).astype(np.float64),
            "EASE": self._shop.by_shoppers.score(rows, np.sqrt(counts)) + popularity * 1e-3,
            "personal popularity with decay": own + popularity * 1e-3,
        }


def measure_next_basket(
    data: Groceries, shop: ShopCounts, scorer: BehaviourScorer, vectors: Floats
) -> JsonObject:
    """Return recall@20 and nDCG@20 of each ranking, and the products shown by each."""
    rivals = Rivals(data, shop)
    values: dict[str, dict[str, RankingValues]] = {kind: {} for kind in KINDS}

    orders = 0
    for example in data.test():
        orders += 1
        _add(example, shop, scorer, rivals, vectors, values)
    explore = values["explore"]
    return {
        "orders": orders,
        **{kind: summarise(values[kind], "MLP") for kind in KINDS},
        "explore_coverage_over_item_knn": round(
            len(explore["MLP, MMR 0.3"].shown) / len(explore["item-kNN (implicit)"].shown), 2
        ),
    }


def _add(
    example: OrderExample,
    shop: ShopCounts,
    scorer: BehaviourScorer,
    rivals: Rivals,
    vectors: Floats,
    values: dict[str, dict[str, RankingValues]],
) -> None:
    rows, counts = shop.history(example.profile, example.day)
    bought = np.zeros(len(shop.product_ids), dtype=bool)
    bought[rows] = True
    allowed = {"all": np.ones_like(bought), "repeat": bought, "explore": ~bought}
    household = str(example.user)
    scored = rivals.scores(rows, counts)
    candidates = shop.candidates(example.profile, example.day, CANDIDATES)
    features = shop.features(example.profile, candidates, example.day)
    ways: dict[str, Callable[[Floats], Floats]] = {"untrained": score_untrained, "MLP": scorer.logits}
    for name, score in ways.items():
        scored[name] = np.full(len(bought), -np.inf)
        scored[name][candidates] = score(features)
    for kind, allow in allowed.items():
        wanted = example.products[allow[example.products]]
        for name, scores in scored.items():
            ranking = best(np.where(allow, scores, -np.inf))
            ranking = ranking[np.isfinite(scores[ranking]) & allow[ranking]]
            values[kind].setdefault(name, RankingValues()).add(household, ranking, wanted)
        deep = best(np.where(allow, scored["MLP"], -np.inf), _DIVERSE)
        deep = deep[allow[deep] & np.isfinite(scored["MLP"][deep])]
        picked = diversify(scored["MLP"][deep].astype(np.float32), vectors[deep], TOP, 0.3)
        values[kind].setdefault("MLP, MMR 0.3", RankingValues()).add(household, deep[picked], wanted)
