"""One product of an order is hidden: is it among ten that belong to the others?"""

import numpy as np

from mappings.types import JsonObject
from reranker.behaviour.evaluation.order_split import OrderSplit
from reranker.behaviour.recommendation import HISTORY_SHARE
from reranker.behaviour.shop_counts import ShopCounts
from reranker.evaluation.significance import bootstrap_mean
from reranker.types import Doubles

_TOP = 10


TogetherValues = dict[str, dict[int, list[float]]]
"""Way to score → household → 1 for each order whose hidden product was found, 0 for others."""


def hide_products(split: OrderSplit, shop: ShopCounts) -> TogetherValues:
    """Return whether the hidden product is found, anonymous and with the household's history."""
    rng = np.random.default_rng(7)
    popularity = shop.popularity / shop.popularity.sum() * 1e-3
    recalls: TogetherValues = {}
    for example in split.examples():
        hidden = int(rng.integers(len(example.products)))
        wanted, rest = example.products[hidden], np.delete(example.products, hidden)
        rows, counts = shop.history(example.profile, example.day)
        own = np.zeros(len(popularity))
        own[rows] = counts
        one = np.ones(len(rest))
        together = shop.by_orders.score(rest, one) + popularity
        ways: dict[str, Doubles] = {
            "popularity": popularity.copy(),
            "EASE": shop.by_shoppers.score(rest, one) + popularity,
            "anonymous": together,
            "household known": together + HISTORY_SHARE * own,
        }
        for name, scores in ways.items():
            scores[rest] = -1
            hit = float((scores > scores[wanted]).sum() < _TOP)
            recalls.setdefault(name, {}).setdefault(example.user, []).append(hit)
    return recalls


def summarise_together(recalls: TogetherValues) -> JsonObject:
    """Return recall@10 of the hidden product by way to score."""
    result: JsonObject = {}
    for name, households in recalls.items():
        mean = bootstrap_mean([float(np.mean(hits)) for hits in households.values()])
        result[name] = {"recall": round(mean.mean, 4), "interval": [round(mean.low, 4), round(mean.high, 4)]}
    return result
