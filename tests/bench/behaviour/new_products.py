"""Products that nobody has bought yet: a fifth of all are made new, and households choose among those."""

import numpy as np

from mappings.types import JsonObject
from reranker.behaviour.counts import Profile
from reranker.behaviour.evaluation.order_split import OrderSplit
from reranker.behaviour.evaluation.ranking_values import (
    RankingValues,
    ShownProducts,
    pick_best,
    summarise_rankings,
)
from reranker.behaviour.recommendation import score_by_likeness
from reranker.behaviour.shop_counts import ShopCounts
from reranker.types import Floats
from tests.bench.behaviour.next_basket import list_figures


def rank_new_products(split: OrderSplit, shop: ShopCounts, vectors: Floats) -> dict[str, RankingValues]:
    """Return the values of rankings of new products by vectors, by type and maker, and by both."""
    rng = np.random.default_rng(7)
    new = np.flatnonzero(rng.random(len(shop.product_ids)) < 0.2)
    is_new = np.zeros(len(shop.product_ids), dtype=bool)
    is_new[new] = True
    values = {name: RankingValues() for name in ("random", "vectors", "type and maker", "both")}

    for example in split.examples():
        wanted = example.products[is_new[example.products]]
        if not len(wanted):
            continue
        known = {
            product: count
            for product, count in example.profile.bought.items()
            if not is_new[shop.rows[product]]
        }
        profile = Profile(known)
        rows, counts = shop.history(profile, example.day)
        likeness = score_by_likeness(vectors[new], vectors[rows], counts)
        features = shop.features(profile, new, example.day)
        columns = features[:, 11] + features[:, 12]
        by_columns = np.exp(np.clip(columns, -20, 20)).astype(np.float64)
        ways = {
            "random": rng.random(len(new)),
            "vectors": likeness,
            "type and maker": by_columns,
            "both": likeness * np.sqrt(by_columns),
        }
        for name, scores in ways.items():
            values[name].add(str(example.user), new[pick_best(scores)], wanted)
    return values


def summarise_new_products(values: dict[str, RankingValues], shop: ShopCounts, vectors: Floats) -> JsonObject:
    """Return the figures of each ranking."""
    return list_figures(summarise_rankings(values, "both", ShownProducts(shop.popularity, vectors)))
