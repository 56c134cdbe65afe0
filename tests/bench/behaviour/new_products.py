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
from reranker.behaviour.features import BEHAVIOUR_FEATURES
from reranker.behaviour.likeness import LENDERS, score_new_products, weigh_likeness
from reranker.behaviour.neighbours import MIN_USERS
from reranker.behaviour.shop_counts import ShopCounts
from reranker.types import Floats
from tests.bench.behaviour.next_basket import list_figures


def rank_new_products(split: OrderSplit, shop: ShopCounts, vectors: Floats) -> dict[str, RankingValues]:
    """Return the values of rankings of new products by vectors, by type and maker, and by both."""
    rng = np.random.default_rng(7)
    is_new = rng.random(len(shop.product_ids)) < 0.2
    new = np.flatnonzero(is_new)
    lenders = np.flatnonzero(~is_new & (shop.buyers >= MIN_USERS))
    cosines = vectors[new] @ vectors[lenders].T  # (n, lenders)
    near = np.argpartition(-cosines, LENDERS, axis=1)[:, :LENDERS]
    weights = np.vectorize(weigh_likeness)(np.take_along_axis(cosines, near, 1))  # (n, LENDERS)
    near = lenders[near]
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
        strengths = np.zeros(len(is_new))
        strengths[rows] = np.sqrt(counts)
        features = shop.features(profile, new, example.day)
        borrowed = (weights * strengths[near]).sum(1)
        features[:, BEHAVIOUR_FEATURES.index("neighbours")] = np.log1p(borrowed)
        taste = [BEHAVIOUR_FEATURES.index(name) for name in ("type", "maker")]
        ways = {
            "random": rng.random(len(new)),
            "vectors": borrowed,
            "type and maker": features[:, taste].sum(1).astype(np.float64),
            "both": score_new_products(features),
        }
        for name, scores in ways.items():
            values[name].add(str(example.user), new[pick_best(scores)], wanted)
    return values


def summarise_new_products(values: dict[str, RankingValues], shop: ShopCounts, vectors: Floats) -> JsonObject:
    """Return the figures of each ranking."""
    return list_figures(summarise_rankings(values, "both", ShownProducts(shop.popularity, vectors)))
