"""Attach to an index of a shop's on real OpenSearch: what documents gain, and that nothing else changes."""

import json
import threading
import time
from collections.abc import Callable

import pytest
from click.testing import CliRunner
from opensearchpy import OpenSearch
from opensearchpy.exceptions import NotFoundError

from indexer.attach.job import attach_index
from indexer.attach.sample import read_sample
from indexer.attach.shop_index import find_shop_indexes
from indexer.catalogue.field_map import FieldMap
from mappings.errors import IndexingError, JobRunning
from mappings.types import JsonObject
from plugin_api.cli import attune
from tests.fakes.fake_encoder import FakeEncoder, OtherEncoder
from tests.integration.attach.conftest import AttachedShop

NAME_ONLY = FieldMap("_id", title=("name",))


def test_documents_gain_vectors_and_nothing_else_changes(own_shop: AttachedShop) -> None:
    own_shop.put(3, image=[1.5, 2.5])
    before = own_shop.shop_fields()
    report = own_shop.attach()
    assert (report.documents, report.encoded, report.refused) == (20, 20, 0)
    assert own_shop.shop_fields() == before
    own_shop.check_in_step()
    mapping = own_shop.client.indices.get_mapping(index=own_shop.name)[own_shop.name]["mappings"]
    assert mapping["dynamic"] == "strict"
    assert mapping["_meta"]["owner"] == "the shop"
    near: JsonObject = {"knn": {"attune.vector": {"vector": own_shop.encoder.vector_of("Mug 7"), "k": 1}}}
    hits = own_shop.client.search(index=own_shop.name, body={"query": near, "size": 1})["hits"]["hits"]
    assert hits[0]["_id"] == "7"


def test_the_index_learns_what_its_products_words_mean(own_shop: AttachedShop) -> None:
    own_shop.attach()
    source = own_shop.documents()["7"]
    assert source["attune"]["facts"]
    learnt = own_shop.vocabulary()
    assert (learnt.products, learnt.words["mug"]) == (20, 20)
    for number in range(30):
        own_shop.put(number, f"Cup {number}")
    own_shop.follow()
    assert own_shop.vocabulary() == learnt
    own_shop.follow(full=True)
    assert (own_shop.vocabulary().products, own_shop.vocabulary().words["cup"]) == (30, 30)
    own_shop.attach(FieldMap("_id", description=("name",)))
    assert "cup" not in own_shop.vocabulary().words  # words are those of titles
    own_shop.detach()
    mapping = own_shop.client.indices.get_mapping(index=own_shop.name)[own_shop.name]["mappings"]
    assert mapping["_meta"] == {"owner": "the shop"}


def test_prices_in_nested_documents_can_be_compared(own_shop: AttachedShop) -> None:
    client, name = own_shop.client, own_shop.name
    before = client.indices.get_mapping(index=name)[name]["mappings"]["properties"]
    own_shop.put(5, offers=[{"price": 30.0}, {"price": 19.0}])
    own_shop.attach()
    own_shop.update(6, offers=[{"price": 5.0}])  # as the shop writes: nothing is encoded for that
    client.indices.refresh(index=name)
    cheap = {"query": {"range": {"attune.price": {"lt": 10}}}}
    assert [hit["_id"] for hit in client.search(index=name, body=cheap)["hits"]["hits"]] == ["6"]
    asked = {"query": {"ids": {"values": ["5"]}}, "docvalue_fields": ["attune.price"]}
    (hit,) = client.search(index=name, body=asked)["hits"]["hits"]
    assert hit["fields"]["attune.price"] == [19.0, 30.0]
    own_shop.detach()
    after = client.indices.get_mapping(index=name)[name]["mappings"]["properties"]
    assert {field: after[field] for field in before} == before


def test_attaching_again_encodes_nothing(own_shop: AttachedShop) -> None:
    own_shop.attach()
    own_shop.encoder.batches.clear()
    assert own_shop.attach().encoded == 0
    assert own_shop.follow(full=True).unchanged == 20
    assert own_shop.encoder.batches == []


def test_another_model_or_field_map_encodes_everything(own_shop: AttachedShop) -> None:
    own_shop.attach()
    assert own_shop.with_encoder(OtherEncoder()).attach().encoded == 20
    assert own_shop.attach(FieldMap("_id", title=("name",), attributes=("offers.price",))).encoded == 20


def test_the_commands_of_catalogues_work_on_an_attached_index(
    own_shop: AttachedShop, opensearch: str
) -> None:
    def run(*arguments: str) -> tuple[int, JsonObject]:
        environment = {"ATTUNE_OPENSEARCH_URL": opensearch}
        result = CliRunner().invoke(attune, [*arguments, "--json"], env=environment)
        return result.exit_code, json.loads(result.stdout)

    this = ("--alias", own_shop.name)
    assert run("attach", own_shop.name)[1]["encoded"] == 20
    status, check = run("index", "--verify", *this)
    assert (status, check["same"], check["equal"]) == (0, 20, True)
    own_shop.update(1, name="Cup 1")
    own_shop.put(2)
    status, check = run("index", "--verify", *this)
    assert (status, check["outdated"], check["missing"], check["equal"]) == (1, 1, 1, False)
    status, report = run("index", "--reencode", *this)
    assert (status, report["encoded"]) == (0, 2)
    assert run("index", "--verify", *this)[0] == 0


def wait_until(is_so: Callable[[], bool]) -> None:
    ended = time.monotonic() + 60
    while not is_so():
        assert time.monotonic() < ended


def count_encoded(shop: AttachedShop) -> int:
    return sum("attune" in source for source in shop.documents().values())


def test_a_killed_job_is_continued(own_shop: AttachedShop) -> None:
    class Failing(FakeEncoder):
        def encode_products(self, products):  # type: ignore[no-untyped-def]
            if sum(self.batches) >= 8:
                wait_until(lambda: count_encoded(own_shop) == 8)
                raise RuntimeError("killed")
            return super().encode_products(products)

    with pytest.raises(RuntimeError, match="killed"):
        own_shop.with_encoder(Failing()).attach()
    assert own_shop.attach().encoded == 12
    own_shop.check_in_step()


def test_every_index_behind_an_alias_is_attached(empty_shop: AttachedShop) -> None:
    for suffix in ("-a", "-b"):
        empty_shop.create(empty_shop.name + suffix)
        empty_shop.put(f"mug{suffix}", index=empty_shop.name + suffix)
        empty_shop.client.indices.put_alias(index=empty_shop.name + suffix, name=empty_shop.name)
    report = empty_shop.attach()
    assert report.indexes == (f"{empty_shop.name}-a", f"{empty_shop.name}-b")
    empty_shop.check_in_step()


def test_documents_with_a_routing_of_their_own_are_found(own_shop: AttachedShop) -> None:
    for number in range(20, 30):
        body = {"name": f"Mug {number}"}
        own_shop.client.index(index=own_shop.name, id=str(number), body=body, params={"routing": "north"})
    assert own_shop.attach().encoded == 30
    own_shop.check_in_step()


def test_ingest_pipelines_of_the_shop_do_not_run_again(own_shop: AttachedShop) -> None:
    client = own_shop.client
    pipeline = {"processors": [{"set": {"field": "stock", "value": 99}}]}
    client.ingest.put_pipeline(id=own_shop.name, body=pipeline)
    client.indices.put_settings(index=own_shop.name, body={"index.default_pipeline": own_shop.name})
    own_shop.attach()
    assert {source["stock"] for source in own_shop.documents().values()} == {1}


def test_a_document_without_a_text_has_no_vectors(own_shop: AttachedShop) -> None:
    own_shop.attach()
    own_shop.update(4, name="")
    own_shop.client.index(index=own_shop.name, id="20", body={"stock": 3})
    report = own_shop.follow()
    assert report.without_text == 2
    assert "attune" not in own_shop.documents()["4"]


def test_detaching_takes_everything_out(own_shop: AttachedShop) -> None:
    before = own_shop.documents()
    own_shop.attach()
    report = own_shop.detach()
    assert report.documents == 20
    assert own_shop.documents() == before
    mapping = own_shop.client.indices.get_mapping(index=own_shop.name)[own_shop.name]["mappings"]
    assert mapping["_meta"] == {"owner": "the shop"}
    with pytest.raises(IndexingError, match="is not attached: attune attach"):
        own_shop.follow()
    assert own_shop.attach().encoded == 20


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ({"enabled": False}, "keeps no _source"),
        ({"excludes": ["stock"]}, "leaves fields out of _source: an update would lose them"),
    ],
)
def test_an_index_that_does_not_keep_its_documents_is_refused(
    empty_shop: AttachedShop, source: JsonObject, message: str
) -> None:
    body = {"settings": {"index.knn": True}, "mappings": {"_source": source}}
    empty_shop.client.indices.create(index=empty_shop.name, body=body)
    with pytest.raises(IndexingError, match=message):
        attach_index(empty_shop.session, NAME_ONLY)
    with pytest.raises(IndexingError, match=message):  # as the command does first
        read_sample(empty_shop.session, find_shop_indexes(empty_shop.session))


def test_a_field_of_the_same_name_is_not_touched(empty_shop: AttachedShop) -> None:
    body = {"settings": {"index.knn": True}, "mappings": {"properties": {"attune": {"type": "text"}}}}
    empty_shop.client.indices.create(index=empty_shop.name, body=body)
    with pytest.raises(IndexingError, match="has a field attune of its own"):
        attach_index(empty_shop.session, NAME_ONLY)


def test_an_unknown_name_is_refused(client: OpenSearch) -> None:
    with pytest.raises(IndexingError, match="there is no index or alias own-nowhere"):
        attach_index(AttachedShop(client, "own-nowhere").session, NAME_ONLY)
    with pytest.raises(NotFoundError):
        client.indices.get(index="own-nowhere")


def test_two_jobs_do_not_work_on_one_index(own_shop: AttachedShop) -> None:
    own_shop.attach()
    started, done = threading.Event(), threading.Event()

    class Waiting(FakeEncoder):
        def encode_products(self, products):  # type: ignore[no-untyped-def]
            started.set()
            assert done.wait(60)
            return super().encode_products(products)

    own_shop.put(5, "Cup")
    thread = threading.Thread(target=own_shop.with_encoder(Waiting()).follow)
    thread.start()
    try:
        assert started.wait(60)
        with pytest.raises(JobRunning):
            own_shop.attach()
    finally:
        done.set()
        thread.join()
