"""Estimate what attaching would do, on real OpenSearch: it is measured, and nothing is left of that."""

import pytest

from indexer.attach.estimate import AttachEstimate, estimate_attaching
from indexer.attach.sample import guess_shop_map, read_sample
from indexer.attach.shop_index import find_shop_indexes
from mappings.types import JsonObject
from tests.integration.attach.conftest import AttachedShop


def estimate(shop: AttachedShop) -> AttachEstimate:
    session = shop.session
    indexes = find_shop_indexes(session)
    sample = read_sample(session, indexes)
    return estimate_attaching(session, indexes, sample, guess_shop_map(sample))


def list_indexes(shop: AttachedShop) -> JsonObject:
    """Return the shop's indexes with settings and mappings, and those of measuring."""
    names = f"{shop.name}*,attune-trial-{shop.name}*"
    answer: JsonObject = shop.client.indices.get(index=names, params={"expand_wildcards": "all"})
    return answer


@pytest.mark.parametrize("knn", [True, False], ids=["in-place", "copy"])
@pytest.mark.parametrize(
    ("settings", "mappings"),
    [
        ({}, {}),
        ({"number_of_shards": 3, "routing_partition_size": 2}, {"_routing": {"required": True}}),
        ({"sort.field": "stock", "default_pipeline": "missing"}, {}),
    ],
    ids=["plain", "routed", "sorted"],
)
def test_the_shop_is_as_it_was(
    empty_shop: AttachedShop, settings: JsonObject, mappings: JsonObject, knn: bool
) -> None:
    body = {
        "settings": {"index": {**settings, **({"knn": True} if knn else {})}},
        "mappings": {**mappings, "properties": {"name": {"type": "text"}, "stock": {"type": "integer"}}},
    }
    empty_shop.client.indices.create(index=empty_shop.name, body=body)
    for number in range(20):
        document = {"name": f"Mug {number}", "stock": number}
        where = {"routing": str(number % 3), "pipeline": "_none"}
        empty_shop.client.index(index=empty_shop.name, id=str(number), body=document, params=where)
    before, documents = list_indexes(empty_shop), empty_shop.documents()
    estimated = estimate(empty_shop)
    assert (estimated.documents, estimated.encoded, bool(estimated.copied)) == (20, 0, not knn)
    assert estimated.seconds > 0
    assert estimated.bytes > 0
    assert sum(empty_shop.encoder.batches) > 20  # what takes the time was done
    assert list_indexes(empty_shop) == before
    assert empty_shop.documents() == documents


def test_what_is_attached_takes_no_time(own_shop: AttachedShop) -> None:
    own_shop.attach()
    own_shop.encoder.batches.clear()
    estimated = estimate(own_shop)
    assert (estimated.documents, estimated.encoded, estimated.bytes) == (20, 20, 0)
    assert list(list_indexes(own_shop)) == [own_shop.name]


def test_an_empty_index_can_be_estimated(empty_shop: AttachedShop) -> None:
    empty_shop.create(empty_shop.name)
    assert estimate(empty_shop).documents == 0
