"""Scores of all products for a shopper's next order: Attune's, and those that are easy to have."""

import warnings
from collections.abc import Callable
from functools import lru_cache

import numpy as np

from mappings.errors import EvaluationError
from reranker.behaviour.order_replay import OrderExample
from reranker.behaviour.purchases import PurchaseLog
from reranker.behaviour.shop_counts import CANDIDATES, ShopCounts
from reranker.types import Doubles, Floats, Ints

ScoreOrder = Callable[[OrderExample], Doubles]
"""An order to predict → scores of all products (P,); −inf for those that are not ranked."""

ShopAt = Callable[[float], ShopCounts]

_TIE_BREAK = 1e-3
"""Share of popularity that breaks the ties of counts."""

_ALS_FACTORS, _ALS_REGULARISATION, _ALS_ALPHA = 64, 0.05, 10
_KNN_NEIGHBOURS = 100
_SEED = 7


def score_by_attune(shop_at: ShopAt, score: Callable[[Floats], Floats]) -> ScoreOrder:
    """Return Attune's scores by a behaviour scorer, or by its formula for shops that trained none."""

    @lru_cache(maxsize=1)
    def score_order(example: OrderExample) -> Doubles:
        shop = shop_at(example.day)
        candidates = shop.candidates(example.profile, example.day, CANDIDATES)
        result = np.full(len(shop.product_ids), -np.inf)
        result[candidates] = score(shop.features(example.profile, candidates, example.day))
        return result

    return score_order


def make_baselines(shop_at: ShopAt) -> dict[str, ScoreOrder]:
    """Return what counting alone gives: popularity, the shopper's own decayed counts, and EASE."""

    def score_popularity(example: OrderExample) -> Doubles:
        popularity = shop_at(example.day).popularity
        return popularity / max(float(popularity.sum()), 1.0)

    def score_own(example: OrderExample) -> Doubles:
        rows, counts = shop_at(example.day).history(example.profile, example.day)
        own = _TIE_BREAK * score_popularity(example)
        own[rows] += counts
        return own

    def score_ease(example: OrderExample) -> Doubles:
        shop = shop_at(example.day)
        rows, counts = shop.history(example.profile, example.day)
        return shop.by_shoppers.score(rows, np.sqrt(counts)) + _TIE_BREAK * score_popularity(example)

    return {
        "popularity": score_popularity,
        "personal popularity with decay": score_own,
        "EASE": score_ease,
    }


def fit_implicit(train: PurchaseLog, shop_at: ShopAt) -> dict[str, ScoreOrder]:
    """Fit item-kNN and ALS by the library `implicit`. Raises EvaluationError where it is not installed."""
    try:
        import scipy.sparse
        from implicit.als import AlternatingLeastSquares
        from implicit.nearest_neighbours import CosineRecommender
        from implicit.utils import ParameterWarning
        from threadpoolctl import threadpool_limits
    except ImportError as error:
        raise EvaluationError("item-kNN and ALS need implicit: pip install 'attune[recommend]'") from error
    size = len(train.product_ids)
    ones = np.ones(len(train), dtype=np.float32)
    bought = scipy.sparse.csr_matrix((ones, (train.users, train.products)), (len(train.user_ids), size))
    bought.sum_duplicates()
    with threadpool_limits(1, "blas"), warnings.catch_warnings():  # more threads than one slow it down
        warnings.simplefilter("ignore", ParameterWarning)  # it converts matrices of its own
        als = AlternatingLeastSquares(
            _ALS_FACTORS,
            regularization=_ALS_REGULARISATION,
            alpha=_ALS_ALPHA,
            random_state=_SEED,
            num_threads=1,
        )
        als.fit(bought.log1p(), show_progress=False)
        knn = CosineRecommender(K=_KNN_NEIGHBOURS, num_threads=1)
        knn.fit(bought.log1p(), show_progress=False)
    similar = knn.similarity.tocsr()

    def read_history(example: OrderExample) -> tuple[Doubles, Ints, Doubles]:
        shop = shop_at(example.day)
        rows, counts = shop.history(example.profile, example.day)
        return shop.popularity / max(float(shop.popularity.sum()), 1.0), rows, np.log1p(counts)

    def make_row(rows: Ints, weights: Doubles) -> scipy.sparse.csr_matrix:
        return scipy.sparse.csr_matrix(
            (weights.astype(np.float32), (np.zeros(len(rows), int), rows)), (1, size)
        )

    def score_knn(example: OrderExample) -> Doubles:
        popularity, rows, weights = read_history(example)
        near: Doubles = np.asarray((make_row(rows, weights) @ similar).todense()).ravel().astype(np.float64)
        return near + 1e-6 * popularity

    def score_als(example: OrderExample) -> Doubles:
        _, rows, weights = read_history(example)
        factor = np.asarray(als.recalculate_user(0, make_row(rows, weights))).ravel()
        scores: Doubles = (als.item_factors @ factor).astype(np.float64)
        return scores

    return {"item-kNN (implicit)": score_knn, "ALS (implicit)": score_als}
