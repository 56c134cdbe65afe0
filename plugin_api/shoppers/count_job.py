"""`attune count`: from stored orders to counts in product documents, and a behaviour model of the shop."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from urllib.parse import quote

from mappings import fields
from mappings.errors import LabelsError
from mappings.settings import ShopperSettings
from mappings.types import JsonObject
from plugin_api.opensearch.raw_json import dumps
from plugin_api.shoppers.behaviour_store import BehaviourStore
from plugin_api.shoppers.cluster import ClusterRequests, ShopperStoreError
from plugin_api.shoppers.event_store import EventStore
from plugin_api.shoppers.events import SECONDS_A_DAY
from plugin_api.shoppers.new_products import borrow_neighbours
from plugin_api.shoppers.order_history import read_actions, read_product_kinds, scan_hits
from plugin_api.shoppers.popularity_job import count_priors
from plugin_api.shoppers.product_counts import COUNTS_MAPPING, PACKED, build_product_counts, lend_neighbours
from reranker.behaviour.neighbours import MIN_USERS
from reranker.behaviour.popularity import POPULARITY_FEATURES
from reranker.behaviour.purchases import PurchaseLog, build_purchase_log
from reranker.behaviour.recommendation import BehaviourModel
from reranker.behaviour.scorer import BehaviourScorer
from reranker.behaviour.shop_counts import ShopCounts, count_shop

_BULK = 1_000
_SCRIPT = (
    "if (ctx._source.attune == null) {ctx._source.attune = new HashMap()} "
    "if (params.b == null) {ctx._source.attune.remove('behaviour')} "
    "else if (ctx._source.attune.behaviour == params.b) {ctx.op = 'none'} "
    "else {ctx._source.attune.behaviour = params.b}"
)

Train = Callable[[PurchaseLog, list[str], list[str], float], BehaviourScorer]


def load_trainer() -> Train | None:
    """Return what trains the scorer; None where torch (extra `train`) is not installed."""
    try:
        from reranker.training.behaviour.training import train_on_orders
    except ImportError:
        return None
    return train_on_orders


@dataclass(frozen=True, slots=True)
class CountReport:
    """What was counted. `products_lent` new products borrow neighbours. `not_trained` says why there is no
    trained scorer; `dropped` are expired indexes.

    `popularity` has the log-odds a unit of each feature of popularity, learnt from so many `choices`; they
    are the default where that is 0.
    """

    purchases: int
    shoppers: int
    products_bought: int
    products_updated: int
    products_lent: int
    trained: bool
    not_trained: str
    popularity: dict[str, float]
    choices: int
    dropped: tuple[str, ...]


def count_behaviour(
    requests: ClusterRequests, alias: str, settings: ShopperSettings, now: float, train: Train | None
) -> CountReport:
    """Count an alias's orders and write what comes of it. `now` is seconds since 1970.

    Without `train`, or with too few orders, the scorer is the formula for shops that have trained none.
    Raises ShopperStoreError, and LabelsError where no stored purchase is of a product of the alias.
    """
    dropped = EventStore(requests, settings.key, settings.retention_days).drop_old(now)
    products = dict(read_product_kinds(requests, alias, settings))
    log = build_purchase_log(p for p in read_actions(requests, "purchase") if p.product in products)
    if not len(log):
        raise LabelsError(
            f"no stored purchase is of a product of {alias}: store events first (attune events)"
        )
    day = now / SECONDS_A_DAY
    types = [products[product][0] for product in log.product_ids]
    makers = [products[product][1] for product in log.product_ids]
    shop = count_shop(log, types, makers, day)
    scorer, why_not = None, "training was not asked for"
    if train is not None:
        try:
            scorer, why_not = train(log, types, makers, day), ""
        except LabelsError as error:
            why_not = str(error)
    priors, weights = count_priors(requests, log, products, day)
    updated, lent = _write_all(requests, alias, shop, build_product_counts(shop, priors), products)
    BehaviourStore(requests).write(alias, BehaviourModel(shop.kernels, shop.shares, scorer))
    return CountReport(
        len(log),
        len(log.user_ids),
        len(log.product_ids),
        updated,
        lent,
        scorer is not None,
        why_not,
        dict(zip(POPULARITY_FEATURES, weights.values, strict=True)),
        weights.choices,
        tuple(dropped),
    )


def _write_all(
    requests: ClusterRequests,
    alias: str,
    shop: ShopCounts,
    counts: dict[str, JsonObject],
    kinds: Mapping[str, tuple[str, str]],
) -> tuple[int, int]:
    """Write each product's counts; return how many changed, and how many new products borrow neighbours.

    Those of products that have none any more are removed.
    """
    requests.ask("PUT", f"/{quote(alias, safe='')}/_mapping", COUNTS_MAPPING)
    bought = {product for product, row in shop.rows.items() if shop.buyers[row] >= MIN_USERS}
    updated = _update(requests, alias, {product: counts[product] for product in bought & counts.keys()})
    new = [product for product in kinds if product not in bought]
    lent = {
        product: lend_neighbours(counts.get(product, {}), kinds[product], neighbours)
        for product, neighbours in borrow_neighbours(requests, alias, new, bought)
        if neighbours
    }
    rest = {product: own for product, own in counts.items() if product not in bought} | lent
    had = {
        "query": {
            "bool": {"should": [{"exists": {"field": name}} for name in (fields.POPULARITY_PRIOR, PACKED)]}
        },
        "_source": False,
    }
    gone = [hit["_id"] for hit in scan_hits(requests, alias, had) if hit["_id"] not in bought | rest.keys()]
    return updated + _update(requests, alias, {**rest, **dict.fromkeys(gone)}), len(lent)


def _update(requests: ClusterRequests, alias: str, counts: Mapping[str, JsonObject | None]) -> int:
    """Write the counts of products, remove those that are None, and return how many changed."""
    changes = list(counts.items())
    updated = 0
    for begin in range(0, len(changes), _BULK):
        lines = b"".join(
            dumps({"update": {"_id": product, "retry_on_conflict": 3}})
            + b"\n"
            + dumps({"script": {"source": _SCRIPT, "params": {"b": own}}, "_source": False})
            + b"\n"
            for product, own in changes[begin : begin + _BULK]
        )
        _, answer = requests.ask("POST", f"/{quote(alias, safe='')}/_bulk", lines)
        for item in answer["items"]:
            result = item["update"]
            if result["status"] not in (200, 404):  # 404: deleted meanwhile
                raise ShopperStoreError(f"OpenSearch refused counts: {result['error']['reason']}")
            updated += result.get("result") == "updated"
    requests.ask("POST", f"/{quote(alias, safe='')}/_refresh")
    return updated
