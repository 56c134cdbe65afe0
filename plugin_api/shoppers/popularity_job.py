"""Counts how popular products are for `attune count`, and learns from logged searches how much that says."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np

from plugin_api.shoppers.cluster import ClusterRequests
from plugin_api.shoppers.event_store import EVENT_INDEXES, QUERY_INDEXES
from plugin_api.shoppers.events import SECONDS_A_DAY
from plugin_api.shoppers.order_history import read_actions, scan_hits
from reranker.behaviour.popularity import (
    PopularityWeights,
    SearchChoice,
    build_popularity_features,
    compute_priors,
    fit_popularity,
)
from reranker.behaviour.purchases import PurchaseLog, build_purchase_log
from reranker.training.clicks.click_log import ACTIONS
from reranker.types import Doubles

_CHOICE_DAYS = 28.0
"""Days of logged searches that weights are learnt from, by what was counted before them."""

_MAX_CHOICES = 50_000
_CHOSEN = ("click", "cart", "purchase")


def count_priors(
    requests: ClusterRequests, purchases: PurchaseLog, products: Collection[str], day: float
) -> tuple[dict[str, float], PopularityWeights]:
    """Return each product's prior on a day, for those bought or clicked, and the weights of its features."""
    clicks = build_purchase_log(p for p in read_actions(requests, "click", "cart") if p.product in products)
    ids = list(dict.fromkeys([*purchases.product_ids, *clicks.product_ids]))
    rows = {product: row for row, product in enumerate(ids)}
    purchases, clicks = (_renumber(log, rows) for log in (purchases, clicks))
    begin = day - _CHOICE_DAYS
    then = build_popularity_features(purchases, clicks, begin)
    weights = fit_popularity(list(_read_choices(requests, rows, then, begin)))
    priors = compute_priors(build_popularity_features(purchases, clicks, day), weights)
    return dict(zip(ids, priors.tolist(), strict=True)), weights


def _renumber(log: PurchaseLog, rows: Mapping[str, int]) -> PurchaseLog:
    """Return a log that numbers its products by `rows`."""
    places = np.array([rows[product] for product in log.product_ids], dtype=np.int64)
    return replace(log, products=places[log.products], product_ids=list(rows))


def _read_choices(
    requests: ClusterRequests, rows: Mapping[str, int], features: Doubles, begin: float
) -> Iterator[SearchChoice]:
    """Yield the searches since `begin` whose hits are stored, with what was chosen of them."""
    since = {"range": {"timestamp": {"gte": datetime.fromtimestamp(begin * SECONDS_A_DAY, UTC).isoformat()}}}
    wanted = {"query": since, "_source": ["query_id", "query_response_hit_ids"]}
    shown: dict[str, list[str]] = {}
    for hit in scan_hits(requests, QUERY_INDEXES, wanted):
        query = hit["_source"]
        if query.get("query_id") and len(query.get("query_response_hit_ids", ())) > 1:
            shown[query["query_id"]] = [str(product) for product in query["query_response_hit_ids"]]
        if len(shown) >= _MAX_CHOICES:
            break
    names = [name for name, action in ACTIONS.items() if action in _CHOSEN]
    filters = [since, {"terms": {"action_name": names}}, {"exists": {"field": "query_id"}}]
    acted = {"query": {"bool": {"filter": filters}}, "_source": ["query_id", "event_attributes"]}
    unknown = np.zeros(features.shape[1])
    for hit in scan_hits(requests, EVENT_INDEXES, acted):
        event = hit["_source"]
        product = event.get("event_attributes", {}).get("object", {}).get("object_id", "")
        hits = shown.get(event["query_id"], [])
        if product in hits:
            known = [features[rows[one]] if one in rows else unknown for one in hits]
            yield SearchChoice(np.array(known), hits.index(product))
            shown.pop(event["query_id"])  # what was chosen first; of one search, one choice
