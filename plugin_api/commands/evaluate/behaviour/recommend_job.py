"""`attune evaluate --recommend`: recommendations by the stored orders of an alias's products."""

from collections.abc import Sequence
from urllib.parse import quote

import numpy as np

from mappings import fields
from mappings.errors import EvaluationError, LabelsError
from mappings.settings import Settings
from plugin_api.commands.evaluate.behaviour.evaluation import BehaviourEvaluation, BehaviourPart
from plugin_api.commands.evaluate.job import Working
from plugin_api.opensearch.raw_json import dumps
from plugin_api.shoppers.cluster import ClusterRequests
from plugin_api.shoppers.count_job import Train
from plugin_api.shoppers.order_history import read_actions, read_product_kinds
from plugin_api.shoppers.product_counts import read_hit_vectors
from reranker.behaviour.evaluation.next_orders import OrderRanking, pick_diverse, rank_orders
from reranker.behaviour.evaluation.order_scores import fit_implicit, make_baselines, score_by_attune
from reranker.behaviour.evaluation.order_split import (
    OrderSplit,
    set_aside,
    split_by_time,
    split_last_orders,
)
from reranker.behaviour.evaluation.ranking_values import ShownProducts, summarise_rankings
from reranker.behaviour.purchases import build_purchase_log
from reranker.behaviour.scorer import BehaviourScorer, score_untrained
from reranker.types import Floats

_MAX_VECTORS = 50_000
"""Products bought up to which their vectors are read, for diversity."""

_CHUNK = 500

_KINDS = {
    "all": "whole orders",
    "repeat": "what the shopper had bought before, among that",
    "explore": "what the shopper had never bought, among that",
}
_FIRST = "Attune"


def evaluate_recommendations(
    requests: ClusterRequests,
    alias: str,
    settings: Settings,
    days: float,
    train: Train | None,
    working: Working,
) -> BehaviourEvaluation:
    """Predict the orders of shoppers that nothing was counted or trained on.

    `train` fits the behaviour scorer to the other shoppers. Raises LabelsError without orders, and
    ShopperStoreError.
    """
    products = dict(read_product_kinds(requests, alias, settings.shoppers))
    log = build_purchase_log(p for p in read_actions(requests, "purchase") if p.product in products)
    if not len(log):
        raise LabelsError(
            f"no stored purchase is of a product of {alias}: store events first (attune events)"
        )
    types = [products[product][0] for product in log.product_ids]
    makers = [products[product][1] for product in log.product_ids]
    aside = set_aside(log.user_ids)
    begin = float(log.days.max()) - days
    notes: list[str] = []
    vectors = _read_vectors(requests, alias, log.product_ids)
    if vectors is None:
        notes.append("no diversity: the products have no vectors, or there are too many of them")
    by_time = split_by_time(log, types, makers, aside, begin)
    scorer = _train(train, by_time, types, makers, begin, notes)
    parts: list[BehaviourPart] = []
    for split in (by_time, split_last_orders(log, types, makers, aside)):
        parts += _measure(split, scorer, vectors, float(log.days.max()), notes, working)
    if not parts:
        raise LabelsError(
            f"no shopper of the fifth that is set aside ordered three products again within {days:g} days: "
            "store more orders, or give more --days"
        )
    counted = {
        "purchases": len(log),
        "shoppers": len(log.user_ids),
        "shoppers set aside": int(aside.sum()),
        "products bought": len(log.product_ids),
    }
    return BehaviourEvaluation(f"Recommendations for {alias}", counted, tuple(parts), tuple(notes))


def _train(
    train: Train | None, split: OrderSplit, types: list[str], makers: list[str], day: float, notes: list[str]
) -> BehaviourScorer | None:
    if train is None:
        notes.append("the scorer is not trained, which needs torch: pip install 'attune[train]'")
        return None
    try:
        return train(split.train, types, makers, day)
    except LabelsError as error:
        notes.append(f"the scorer is not trained: {error}")
        return None


def _measure(
    split: OrderSplit,
    scorer: BehaviourScorer | None,
    vectors: Floats | None,
    end: float,
    notes: list[str],
    working: Working,
) -> list[BehaviourPart]:
    """Return a part for each kind of order that there is."""
    shop = split.shop_at(end)
    untrained = score_by_attune(split.shop_at, score_untrained)
    best = score_by_attune(split.shop_at, scorer.logits) if scorer else untrained
    rankings = {_FIRST: OrderRanking(best)}
    if vectors is not None:
        rankings[f"{_FIRST}, diverse"] = OrderRanking(best, pick_diverse(vectors))
    if scorer:
        rankings[f"{_FIRST}, untrained"] = OrderRanking(untrained)
    simple = make_baselines(split.shop_at)
    try:
        simple |= fit_implicit(split.train, split.shop_at)
    except EvaluationError as error:
        notes += [] if str(error) in notes else [str(error)]
    rankings |= {name: OrderRanking(score) for name, score in simple.items()}
    orders = list(split.examples())
    with working(f"orders {split.name}", len(orders)) as advance:
        values = rank_orders(orders, rankings, len(shop.product_ids), advance)
    shown = ShownProducts(shop.popularity, vectors)
    figures = {kind: summarise_rankings(of_kind, _FIRST, shown) for kind, of_kind in values.items()}
    return [
        BehaviourPart(f"{split.name}, {kind}", f"{len(orders):,} orders: {_KINDS[kind]}", of_kind)
        for kind, of_kind in figures.items()
        if of_kind
    ]


def _read_vectors(requests: ClusterRequests, alias: str, ids: Sequence[str]) -> Floats | None:
    """Return the unit vectors (P, d) of products, zero where one has none.

    None where no product has one, or where they are too many.
    """
    if len(ids) > _MAX_VECTORS:
        return None
    vectors: list[Floats | None] = []
    for begin in range(0, len(ids), _CHUNK):
        some = list(ids[begin : begin + _CHUNK])
        body = {
            "query": {"ids": {"values": some}},
            "size": len(some),
            "_source": False,
            "docvalue_fields": [fields.TOKENS],
        }
        _, answer = requests.ask("POST", f"/{quote(alias, safe='')}/_search", dumps(body))
        hits = answer["hits"]["hits"]
        by_id = dict(zip((hit["_id"] for hit in hits), read_hit_vectors(hits), strict=True))
        vectors += [by_id.get(product) for product in some]
    some_vector = next((vector for vector in vectors if vector is not None), None)
    if some_vector is None:
        return None
    return np.stack([np.zeros_like(some_vector) if vector is None else vector for vector in vectors])
