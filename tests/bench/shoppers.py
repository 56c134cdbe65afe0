"""Events, profiles and recommendations on a real index whose orders were counted.

    attune events --orders orders.csv && attune count --alias shop
    python -m tests.bench.shoppers --alias shop

It makes shoppers of its own, with 200 products bought, 50 viewed and ten titles each, and forgets them at the
end.
"""

import json
import secrets
import time
from concurrent.futures import ThreadPoolExecutor

import click
import numpy as np

from mappings.settings import OpenSearchSettings, Settings, ShopperSettings
from mappings.types import JsonObject
from plugin_api.opensearch.http_client import HttpClient
from plugin_api.shoppers.cluster import ClusterRequests
from plugin_api.shoppers.event_store import EventStore
from plugin_api.shoppers.forget import forget_shopper
from plugin_api.shoppers.profile_store import USERS
from plugin_api.shoppers.recommend_call import RecommendCall
from plugin_api.shoppers.recommender import Recommender
from reranker.behaviour.counts import MAX_PRODUCTS, MAX_VIEWS
from reranker.behaviour.recommendation import RecommendationKind
from tests.bench.inputs import machine, percentiles

SHOPPERS = 40
LIVE_SHOPPERS, LIVE_REQUESTS, LIVE_CLIENTS = 100, 200, 4
SEED = 7


@click.command()
@click.option("--url", default="http://localhost:9200", show_default=True, help="OpenSearch.")
@click.option("--alias", default="products", show_default=True, help="Index whose orders were counted.")
@click.option("--calls", default=100, show_default=True, help="Recommendations of each kind.")
def main(url: str, alias: str, calls: int) -> None:
    """Measure; print one JSON object."""
    click.echo(json.dumps(measure(url, alias, calls), indent=2))


def measure(url: str, alias: str, calls: int) -> JsonObject:
    """Return times in milliseconds, events a second, and bytes of index."""
    facts = machine("numpy")
    rng = np.random.default_rng(SEED)
    settings = Settings(
        opensearch=OpenSearchSettings(url=url), shoppers=ShopperSettings(key=secrets.token_hex(16))
    )
    client = HttpClient(settings.opensearch)
    requests = ClusterRequests(client, {})
    store = EventStore(requests, settings.shoppers.key, settings.shoppers.retention_days)
    recommender = Recommender(client, settings)
    search = {
        "size": 2_000,
        "_source": ["title"],
        "query": {"exists": {"field": "attune.behaviour.popularity"}},
    }
    hits = requests.ask("POST", f"/{alias}/_search", search)[1]["hits"]["hits"]
    products = [hit["_id"] for hit in hits]
    titles = [str(hit["_source"]["title"]) for hit in hits]
    shoppers = [secrets.token_hex(8) for _ in range(SHOPPERS)]
    live = [secrets.token_hex(8) for _ in range(LIVE_SHOPPERS)]
    events_a_second = _store_histories(store, shoppers, products, titles, rng)
    result: JsonObject = {**facts, "events_a_second": events_a_second}
    result["event_to_changed_answer_ms"] = _measure_changes(store, recommender, alias, shoppers, products)
    result["recommend_ms"] = {
        kind.value: _measure_calls(recommender, alias, kind, shoppers, products, calls)
        for kind in RecommendationKind
    }
    requests.ask("POST", f"/{USERS}/_forcemerge?max_num_segments=1")
    requests.ask("POST", f"/{USERS}/_refresh")
    stats = requests.ask("GET", f"/{USERS}/_stats/store,docs")[1]["_all"]["primaries"]
    result["bytes_a_user"] = round(stats["store"]["size_in_bytes"] / stats["docs"]["count"])
    result["users"] = stats["docs"]["count"]
    result["live_events_a_second"] = {
        size: _store_live(store, live, products, size, rng) for size in (1, 20, 100)
    }
    left = [
        forget_shopper(requests, settings.shoppers.key, user).documents_left for user in [*shoppers, *live]
    ]
    result["left_after_forgetting"] = sum(left)
    return result


def _buy(user: str, product: str, at: float) -> dict[str, object]:
    return {
        "action_name": "purchase",
        "user_id": user,
        "timestamp": at * 1000,
        "event_attributes": {"object": {"object_id": product}, "order_id": str(int(at))},
    }


def _store_histories(
    store: EventStore,
    shoppers: list[str],
    products: list[str],
    titles: list[str],
    rng: np.random.Generator,
) -> float:
    """Store what each shopper bought and viewed; return events a second."""
    now = time.time()
    count = 0
    began = time.perf_counter()
    for user in shoppers:
        chosen = rng.choice(len(products), MAX_PRODUCTS, replace=False)
        times = now - 86_400 * rng.integers(1, 20, MAX_PRODUCTS)
        events = [_buy(user, products[row], at) for row, at in zip(chosen, times.tolist(), strict=True)]
        for row in rng.choice(len(products), MAX_VIEWS, replace=False).tolist():
            view = _buy(user, products[row], now - float(rng.integers(86_400)))
            view["event_attributes"] = {"object": {"object_id": products[row], "description": titles[row]}}
            events.append(view | {"action_name": "click"})
        count += store.store(events, now).stored
    return round(count / (time.perf_counter() - began))


def _store_live(
    store: EventStore, shoppers: list[str], products: list[str], size: int, rng: np.random.Generator
) -> int:
    """Return clicks a second of many shoppers, `size` of them a request, in parallel requests."""

    def click_one() -> dict[str, object]:
        user, product = rng.choice(shoppers), products[int(rng.integers(len(products)))]
        return {**_buy(str(user), product, time.time()), "action_name": "click"}

    batches = [[click_one() for _ in range(size)] for _ in range(LIVE_REQUESTS)]
    began = time.perf_counter()
    with ThreadPoolExecutor(LIVE_CLIENTS) as clients:
        stored = sum(
            report.stored for report in clients.map(lambda batch: store.store(batch, time.time()), batches)
        )
    return round(stored / (time.perf_counter() - began))


def _measure_changes(
    store: EventStore, recommender: Recommender, alias: str, shoppers: list[str], products: list[str]
) -> JsonObject:
    """Return how long it takes from sending an event to an answer that it changed."""
    took = []
    for at, user in enumerate(shoppers):
        began = time.perf_counter()
        click_event = {**_buy(user, products[at], time.time()), "action_name": "click"}
        store.store([click_event], time.time())
        call = RecommendCall(index=alias, user=user, kind=RecommendationKind.SESSION)
        answer = recommender.recommend(call, {})
        took.append((time.perf_counter() - began) * 1000)
        assert answer["hits"]["hits"]
    return percentiles(took, 50, 95)


def _measure_calls(
    recommender: Recommender,
    alias: str,
    kind: RecommendationKind,
    shoppers: list[str],
    products: list[str],
    calls: int,
) -> JsonObject:
    took = []
    for at in range(calls):
        user = shoppers[at % len(shoppers)]
        context = [] if kind is RecommendationKind.NEXT_PURCHASE else [products[at % len(products)]]
        began = time.perf_counter()
        recommender.recommend(RecommendCall(index=alias, kind=kind, user=user, products=context), {})
        took.append((time.perf_counter() - began) * 1000)
    return percentiles(took, 50, 95)


if __name__ == "__main__":
    main()
