"""Events, counting, recommendations and forgetting on real OpenSearch."""

import base64
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass

import msgspec
import numpy as np
import pytest
from opensearchpy import OpenSearch

from mappings.settings import ExperimentSettings, OpenSearchSettings, Settings, ShopperSettings
from mappings.types import JsonObject
from plugin_api.commands.evaluate.behaviour.recommend_job import evaluate_recommendations
from plugin_api.opensearch.http_client import HttpClient
from plugin_api.shoppers.cluster import ClusterRequests
from plugin_api.shoppers.count_job import CountReport, count_behaviour
from plugin_api.shoppers.event_store import EventStore
from plugin_api.shoppers.experiments.results import count_experiment
from plugin_api.shoppers.experiments.tag import ExperimentTag, write_tag
from plugin_api.shoppers.experiments.watch import REWARD_SECONDS, ExperimentWatch
from plugin_api.shoppers.forget import forget_shopper
from plugin_api.shoppers.pseudonyms import hash_shopper
from plugin_api.shoppers.recommend_call import RecommendBoost, RecommendCall
from plugin_api.shoppers.recommender import ClusterRefusal, Recommender
from plugin_api.terminal import task_progress
from reranker.behaviour.recommendation import RecommendationKind
from reranker.encoders.codec import pack_product
from tests.fakes.orders import make_orders

VECTORS = {"tea": [100, 10, 0, 0], "honey": [90, 40, 0, 0], "new tea": [100, 12, 0, 0]}


@dataclass(frozen=True)
class CountedShop:
    """A shop whose orders were stored and counted."""

    client: OpenSearch
    alias: str
    settings: Settings
    requests: ClusterRequests
    recommender: Recommender
    report: CountReport

    def recommend(self, **call: object) -> list[JsonObject]:
        """Return the hits of a call."""
        made = RecommendCall(index=self.alias, **call)  # type: ignore[arg-type]
        hits: list[JsonObject] = self.recommender.recommend(made, {})["hits"]["hits"]
        return hits


@pytest.fixture(scope="module")
def counted(opensearch: str, client: OpenSearch) -> Iterator[CountedShop]:
    alias = f"counted-{uuid.uuid4().hex[:8]}"
    own = ShopperSettings(key=uuid.uuid4().hex)
    settings = Settings(opensearch=OpenSearchSettings(url=opensearch), shoppers=own)
    orders = make_orders()
    vector = {"type": "knn_vector", "dimension": 4, "data_type": "byte", "method": _METHOD}
    text = {"type": "text", "fields": {"keyword": {"type": "keyword"}}}
    properties = {
        "title": text,
        "attune": {"properties": {"vector": vector, "tokens": {"type": "binary", "doc_values": True}}},
        "available": {"type": "boolean"},
    }
    client.indices.create(
        index=alias,
        body={"settings": {"index.knn": True}, "mappings": {"dynamic": False, "properties": properties}},
    )
    for at, product in enumerate(sorted({p.product for p in orders} | {"new tea"})):
        values = VECTORS.get(product, [0, 0, 1 + at, 100])
        body = {
            "title": product.title(),
            "category": product.rstrip("0123456789"),
            "available": product != "butter",
            "attune": {"vector": values, "tokens": _pack(values)},
        }
        client.index(index=alias, id=product, body=body)
    http = HttpClient(settings.opensearch)
    requests = ClusterRequests(http, {})
    now = time.time()
    shift = now / 86_400 - max(p.day for p in orders)
    events = [
        {
            "action_name": "purchase",
            "user_id": p.user,
            "timestamp": (p.day + shift) * 86_400_000,
            "event_attributes": {"object": {"object_id": p.product}, "order_id": p.order},
        }
        for p in orders
    ]
    store = EventStore(requests, own.key, own.retention_days)
    for begin in range(0, len(events), 1_000):
        store.store(events[begin : begin + 1_000], now)
    report = count_behaviour(requests, alias, own, now, None)
    yield CountedShop(client, alias, settings, requests, Recommender(http, settings), report)
    client.indices.delete(index=f"{alias},attune-events-*,attune-queries-*,attune-users,attune-behaviour")
    http.close()


def _pack(vector: list[int]) -> str:
    words = [np.empty(0, np.uint32)] * 4
    return base64.b64encode(
        pack_product(np.array(vector, np.float32), np.zeros((1, 8), np.float32), words)
    ).decode()


_METHOD = {"name": "hnsw", "space_type": "cosinesimil", "engine": "lucene"}


def test_all_orders_were_counted(counted: CountedShop) -> None:
    assert counted.report.shoppers == 30
    assert counted.report.purchases == len({(p.user, p.order, p.product) for p in make_orders()})
    assert counted.report.products_lent == 11  # ten staples of three shoppers each, and the new tea
    assert counted.report.products_updated == counted.report.products_bought + 1
    body = counted.client.get(index=counted.alias, id="tea")["_source"]
    assert body["title"] == "Tea"  # nothing but the counts was changed
    assert body["attune"]["vector"] == VECTORS["tea"]
    assert body["attune"]["behaviour"]["by_orders"]


def test_counting_again_changes_few_products(counted: CountedShop) -> None:
    again = count_behaviour(counted.requests, counted.alias, counted.settings.shoppers, time.time(), None)
    assert again.purchases == counted.report.purchases


def test_a_scorer_that_is_trained_ranks(counted: CountedShop) -> None:
    training = pytest.importorskip("reranker.training.behaviour.training")
    own = counted.settings.shoppers
    report = count_behaviour(counted.requests, counted.alias, own, time.time(), training.train_on_orders)
    assert (report.trained, report.not_trained) == (True, "")
    fresh = Recommender(HttpClient(counted.settings.opensearch), counted.settings)
    answer = fresh.recommend(RecommendCall(index=counted.alias, user="s3", size=50), {})
    count_behaviour(counted.requests, counted.alias, own, time.time(), None)
    assert answer["ext"]["attune"]["trained"]
    assert answer["hits"]["hits"][-1]["_id"] == "new tea"  # nobody bought it


def test_the_shoppers_staple_comes_first_and_says_why(counted: CountedShop) -> None:
    first = counted.recommend(user="s3", size=3)[0]
    assert first["_id"] == "staple3"
    assert first["_source"] == {"title": "Staple3", "category": "staple", "available": True}
    assert first["fields"]["attune.reason"] == ["you buy it every 7 days"]


def test_products_bought_together(counted: CountedShop) -> None:
    first = counted.recommend(kind=RecommendationKind.BOUGHT_TOGETHER, products=["pasta"])[0]
    assert (first["_id"], first["fields"]["attune.reason"]) == ("sauce", ["bought with Pasta"])


def test_similar_products_are_near_and_may_be_new(counted: CountedShop) -> None:
    hits = counted.recommend(kind=RecommendationKind.SIMILAR, products=["tea"], size=2)
    assert [hit["_id"] for hit in hits] == ["new tea", "honey"]


def test_a_new_product_is_recommended_to_who_buys_its_like(counted: CountedShop) -> None:
    only = msgspec.Raw(b'{"ids": {"values": ["new tea", "butter"]}}')
    reasons = {
        hit["_id"]: hit["fields"]["attune.reason"][0] for hit in counted.recommend(user="s3", filter=only)
    }
    assert set(reasons) == {"new tea", "butter"}
    assert reasons["new tea"] in ("like Tea", "like Honey")
    again = count_behaviour(counted.requests, counted.alias, counted.settings.shoppers, time.time(), None)
    assert (again.products_lent, again.products_updated) == (11, 0)


def test_the_callers_filter_holds_for_every_kind(counted: CountedShop) -> None:
    only = msgspec.Raw(b'{"term": {"available": true}}')
    for kind in RecommendationKind:
        hits = counted.recommend(kind=kind, user="s3", products=["bread"], filter=only, size=50)
        assert hits
        assert "butter" not in {hit["_id"] for hit in hits}


def test_exclusions_and_boosts(counted: CountedShop) -> None:
    together = {"kind": RecommendationKind.BOUGHT_TOGETHER, "products": ["pasta"]}
    assert "sauce" not in {hit["_id"] for hit in counted.recommend(**together, exclude=["sauce"])}
    boost = RecommendBoost(msgspec.Raw(b'{"match": {"title": "honey"}}'), 10)
    assert counted.recommend(**together, boosts=[boost])[0]["_id"] == "honey"


def test_a_purchase_changes_the_next_answer(counted: CountedShop) -> None:
    tea = {
        "action_name": "purchase",
        "user_id": "newcomer",
        "event_attributes": {"object": {"object_id": "tea"}},
    }
    assert counted.recommend(user="newcomer")[0]["fields"]["attune.reason"] == ["bought by many"]
    EventStore(counted.requests, counted.settings.shoppers.key, 400).store([tea], time.time())
    reasons = {hit["_id"]: hit["fields"]["attune.reason"] for hit in counted.recommend(user="newcomer")}
    assert reasons["tea"] == ["you bought it before"]


def test_a_query_that_opensearch_refuses_is_its_own_error(counted: CountedShop) -> None:
    with pytest.raises(ClusterRefusal) as refused:
        counted.recommend(filter=msgspec.Raw(b'{"nonsense": {}}'))
    assert refused.value.status == 400
    with pytest.raises(ClusterRefusal) as missing:
        counted.recommender.recommend(RecommendCall(index="no-such-index"), {})
    assert missing.value.status == 404


def test_recommendations_are_measured_on_the_stored_orders(counted: CountedShop) -> None:
    evaluation = evaluate_recommendations(
        counted.requests, counted.alias, counted.settings, 28, None, task_progress
    )
    parts = {part.title: part.figures for part in evaluation.parts}
    assert {"by time, all", "by time, repeat", "last orders, all"} <= parts.keys()
    figures = parts["by time, all"]
    assert {"Attune", "Attune, diverse", "popularity", "EASE"} <= figures.keys()
    assert figures["Attune"].means["mrr"].mean == 1  # a staple is in every order
    assert figures["Attune"].diversity is not None
    assert figures["popularity"].compared is not None
    assert any("torch" in note for note in evaluation.notes)


def test_a_forgotten_shopper_is_a_stranger(counted: CountedShop) -> None:
    key = counted.settings.shoppers.key
    query = {"user_query": "a very rare herb", "user_id": "s9", "client_id": "phone"}
    EventStore(counted.requests, key, 400).store([query], time.time())
    traces = (hash_shopper(key, "s9"), "a very rare herb")
    assert all(trace in _dump_everything(counted) for trace in traces)
    report = forget_shopper(counted.requests, key, "s9")
    assert (report.profiles_removed, report.queries_removed) == (1, 1)
    assert not any(trace in _dump_everything(counted) for trace in traces)
    assert report.events_removed == len({(p.order, p.product) for p in make_orders() if p.user == "s9"})
    assert counted.recommend(user="s9")[0]["fields"]["attune.reason"] == ["bought by many"]


def _dump_everything(counted: CountedShop) -> str:
    """Return all that is stored in Attune's own indexes and in the shop's."""
    indexes = f"attune-*,{counted.alias}"
    counted.client.indices.refresh(index=indexes)
    found = counted.client.search(index=indexes, body={"size": 10_000})
    assert found["_shards"]["failed"] == 0
    assert found["hits"]["total"]["value"] == len(found["hits"]["hits"])
    return str(found["hits"]["hits"])


def test_popularity_is_written_as_a_doc_value_that_hits_show(counted: CountedShop) -> None:
    body = {"query": {"match_all": {}}, "_source": False, "docvalue_fields": ["attune.behaviour.prior"]}
    hits = counted.client.search(index=counted.alias, body={**body, "size": 100})["hits"]["hits"]
    priors = {hit["_id"]: hit.get("fields", {}).get("attune.behaviour.prior", [0])[0] for hit in hits}
    assert priors["bread"] > 0
    assert priors["new tea"] == 0
    assert counted.report.choices == 0  # no search was stored: the weights are the default


def test_an_experiments_events_are_read_as_they_come(counted: CountedShop) -> None:
    key = counted.settings.shoppers.key
    store = EventStore(counted.requests, key, 400)
    experiment = ExperimentSettings("words", "bandit", second="keyword_weight=9")
    now = time.time()
    watch = ExperimentWatch(counted.requests, experiment, key, 1, 1_000, lambda: now + REWARD_SECONDS + 1)
    assert watch.refresh().is_known
    for number in range(60):
        tag = ExperimentTag("words", ("first", "second")[number % 2], propensity=0.5, at=int(now))
        query_id = write_tag(tag, key)
        documents: list[JsonObject] = [{"user_query": "tea", "query_id": query_id, "client_id": "b"}]
        if number % 4 < 2:
            thing = {"object_id": "tea", "object_detail": {"price": 2.5}}
            event = {"action_name": "purchase", "query_id": query_id, "client_id": "b"}
            documents.append({**event, "event_attributes": {"object": thing, "position": {"ordinal": 1}}})
        store.store(documents, now)
    counted.client.indices.refresh(index="attune-queries-*,attune-events-*")
    state = watch.refresh()
    assert not state.stopped
    assert set(state.probabilities[0]) == {"first", "second"}
    first, second = count_experiment(counted.requests, "words", key, 1_000, drawn=True).variants
    assert (first.searches, first.acted, first.revenue) == (30, 15, 37.5)
    assert (second.searches, second.acted) == (30, 15)
    assert "fewer than 1000" in first.too_few
