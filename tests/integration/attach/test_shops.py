"""Three shops with indexes of their own: attached, followed, searched straight and through the sidecar."""

import json
import random
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from opensearchpy import OpenSearch

from indexer.attach.job import FollowJob, attach_index, follow_index
from indexer.attach.sample import guess_shop_map, read_sample
from indexer.attach.shop_index import find_shop_indexes
from indexer.store.retry import RetryPolicy
from indexer.store.session import IndexSession, OneEncoder
from mappings.settings import OpenSearchSettings, Settings, SidecarSettings
from mappings.types import JsonObject
from plugin_api import create_app
from plugin_api.opensearch.http_client import HttpClient
from reranker import load_model
from reranker.model import Model
from tests.fakes.foreign_shops import HEADLESS, SHOPS, THINGS, ForeignShop, fill_shop

WANTED = {
    "phone": {"phone-1"},
    "headphones": {"head-1", "head-2"},
    "laptop": {"laptop-1", "laptop-2", "laptop-3", "laptop-4"},
    "printer": {"print-1"},
    "television": {"tv-1"},
    "wireless mouse": {"mouse-1"},
}
"""What a shopper looks for. Accessories and other things share words with it."""


GROUPS = {
    "magento2_product_1_v3": "color_value",
    "shopexample-post-1": "terms.product_cat.slug",
    "catalog-live": "maker.name",
}
"""A field of each shop's that products are grouped by."""


@dataclass(frozen=True)
class Searched:
    """A shop's index, attached, and the two ways to search it."""

    shop: ForeignShop
    client: OpenSearch
    web: Any
    model: Model

    @property
    def session(self) -> IndexSession:
        return IndexSession(self.client, self.shop.name, OneEncoder(self.model), retry=RetryPolicy(60))

    def straight(self, text: str, **more: object) -> JsonObject:
        body = self.shop.query(text) | {"size": 10, **more}
        answer: JsonObject = self.client.search(index=self.shop.name, body=body)
        return answer

    def reranked(self, text: str, index: str = "", **more: object) -> JsonObject:
        body = self.shop.query(text) | {"size": 10, **more}
        response = self.web.post(f"/{index or self.shop.name}/_search", json=body)
        assert response.status_code == 200, response.text
        answer: JsonObject = json.loads(response.data)
        return answer

    def write_anew(self, things: Any) -> None:
        for thing in things:
            self.client.index(index=self.shop.name, id=thing.sku, body=self.shop.document(thing))
        self.client.indices.refresh(index=self.shop.name)

    def follow(self) -> None:
        follow_index(self.session, FollowJob(once=True), threading.Event())


@pytest.fixture(scope="module")
def model() -> Model:
    return load_model()


@pytest.fixture(scope="module", params=SHOPS, ids=lambda shop: shop.name)
def searched(
    request: pytest.FixtureRequest, opensearch: str, client: OpenSearch, model: Model
) -> Iterator[Searched]:
    shop: ForeignShop = request.param
    fill_shop(client, shop)
    settings = Settings(
        opensearch=OpenSearchSettings(url=opensearch), sidecar=SidecarSettings(deadline_ms=60_000)
    )
    web = create_app(settings, HttpClient(settings.opensearch), model).test_client()
    searched = Searched(shop, client, web, model)
    session = searched.session
    attach_index(session, guess_shop_map(read_sample(session, find_shop_indexes(session))))
    yield searched
    client.indices.delete(index=shop.name)


def ids(answer: JsonObject) -> list[str]:
    return [hit["_id"] for hit in answer["hits"]["hits"]]


@pytest.mark.parametrize("text", ["notebook for gaming", "wireless mouse", "pixelon phone"])
def test_filters_facets_and_fields_are_the_shops_own(searched: Searched, text: str) -> None:
    own, reranked = searched.straight(text), searched.reranked(text)
    assert reranked["ext"]["attune"]["rerank_status"] == "reranked"
    assert reranked["aggregations"] == own["aggregations"]
    sources = {hit["_id"]: hit["_source"] for hit in own["hits"]["hits"]}
    highlights = {hit["_id"]: hit.get("highlight") for hit in own["hits"]["hits"]}
    for hit in reranked["hits"]["hits"]:
        assert "attune" not in hit["_source"]
        if hit["_id"] in sources:
            own_fields = {name: value for name, value in sources[hit["_id"]].items() if name != "attune"}
            assert hit["_source"] == own_fields
            assert hit.get("highlight") == highlights[hit["_id"]]


def test_groups_derived_fields_and_explanations_are_the_shops_own(searched: Searched) -> None:
    group = GROUPS[searched.shop.name]
    collapsed = searched.reranked("notebook for gaming", collapse={"field": group})
    own = searched.straight("notebook for gaming", collapse={"field": group})
    assert collapsed["ext"]["attune"]["rerank_status"] == "reranked"
    groups = [hit["fields"][group] for hit in collapsed["hits"]["hits"]]
    assert len(groups) == len({str(values) for values in groups})
    assert {str(hit["fields"][group]) for hit in own["hits"]["hits"]} <= {str(values) for values in groups}

    derived = {"shout": {"type": "keyword", "script": {"source": "emit('LOUD')"}}}
    both: list[JsonObject] = [{"derived": derived, "fields": ["shout"]}, {"explain": True}]
    for more in both:
        own = searched.straight("wireless mouse", **more)
        reranked = searched.reranked("wireless mouse", **more)
        assert reranked["ext"]["attune"]["rerank_status"] == "reranked"
        shown = {hit["_id"]: hit for hit in reranked["hits"]["hits"]}
        for hit in own["hits"]["hits"]:
            if hit["_id"] in shown:
                assert shown[hit["_id"]].get("fields") == hit.get("fields")
                assert ("_explanation" in shown[hit["_id"]]) == ("_explanation" in hit)


def test_the_thing_itself_comes_before_its_accessories(searched: Searched) -> None:
    firsts = {text: ids(searched.reranked(text))[0] for text in WANTED}
    assert {text: first for text, first in firsts.items() if first not in WANTED[text]} == {}


def test_a_half_encoded_index_is_reranked_and_says_how_much_it_lacks(searched: Searched) -> None:
    searched.write_anew(THINGS[::2])
    try:
        answer = searched.reranked("notebook for gaming")
        assert answer["ext"]["attune"]["rerank_status"] == "reranked"
        assert answer["ext"]["attune"]["without_vectors"] > 0
        own = ids(searched.straight("notebook for gaming"))
        kept = {thing.sku for thing in THINGS[::2]}
        assert next(key for key in ids(answer) if key in kept) == next(key for key in own if key in kept)
        searched.write_anew(THINGS)
        own = ids(searched.straight("notebook for gaming"))
        assert ids(searched.reranked("notebook for gaming")) == own
    finally:
        searched.follow()
    assert "without_vectors" not in searched.reranked("notebook for gaming")["ext"]["attune"]


def test_what_a_text_demands_is_understood_and_kept(searched: Searched) -> None:
    name = searched.shop.name
    answer = searched.web.post("/_attune/understand", json={"text": "headphones under 100", "index": name})
    assert answer.status_code == 200, answer.text
    assert "price" in {demand["kind"] for demand in json.loads(answer.data)["demands"]}
    found = searched.reranked("headphones under 100")
    assert {"kind": "price", "text": "under 100"} in found["ext"]["attune"]["understood"]
    order = ids(found)
    assert order.index("head-2") < order.index("head-1")


def test_the_shops_searches_stay_whole_while_a_writer_changes_it_at_random(searched: Searched) -> None:
    stop = threading.Event()
    shop = searched.shop

    def write() -> None:
        chance = random.Random(11)
        for turn in range(60):
            thing = chance.choice(THINGS)
            if chance.random() < 0.5:
                searched.client.index(index=shop.name, id=thing.sku, body=shop.document(thing))
            else:
                body = {"doc": shop.rename(f"{thing.name} {turn}")}
                params = {"retry_on_conflict": 10}
                searched.client.update(index=shop.name, id=thing.sku, body=body, params=params)

    writer = threading.Thread(target=write)
    follower = threading.Thread(target=follow_index, args=(searched.session, FollowJob(every=0.1), stop))
    for thread in (writer, follower):
        thread.start()
    try:
        while writer.is_alive():
            assert searched.reranked("notebook for gaming")["hits"]["hits"]
    finally:
        writer.join()
        stop.set()
        follower.join()
    searched.follow()
    searched.write_anew(THINGS)
    searched.follow()
    answer = searched.reranked("wireless mouse")
    assert "without_vectors" not in answer["ext"]["attune"]
    assert ids(answer)[0] == "mouse-1"


def test_of_several_indexes_some_need_not_be_attached(searched: Searched) -> None:
    body = json.loads(json.dumps(searched.shop.body))
    if searched.shop is HEADLESS:
        del body["mappings"]["properties"]["image_vector"]
    del body["settings"]["index"]["knn"]
    fill_shop(searched.client, searched.shop, "plain-shop", body)
    try:
        answer = searched.reranked("wireless mouse", f"{searched.shop.name},plain-shop")
    finally:
        searched.client.indices.delete(index="plain-shop")
    assert answer["ext"]["attune"]["rerank_status"] == "reranked"
    assert answer["ext"]["attune"]["without_vectors"] > 0
    assert {hit["_index"] for hit in answer["hits"]["hits"]} == {searched.shop.name, "plain-shop"}
