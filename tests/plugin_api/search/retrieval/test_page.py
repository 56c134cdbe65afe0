"""A page's hits come complete, and what stands around them is of the whole result set."""

import json
from typing import Any

import msgspec
import pytest

from mappings.types import JsonObject
from plugin_api.search.deadline import Deadline
from plugin_api.search.hit_key import HitKey
from plugin_api.search.query.request import parse_call
from plugin_api.search.query.types import RerankRequest, SearchCall
from plugin_api.search.retrieval.caller_client import CallerClient, SearchRefused
from plugin_api.search.retrieval.page import FetchedPage, fetch_order, fetch_page
from tests.fakes.shop import Shop

MATCH, HP = {"match": {"title": "mouse"}}, {"term": {"brand": "HP"}}
SHAPED = {
    "query": MATCH, "highlight": {"fields": {"title": {}}}, "_source": ["title"], "fields": ["price"],
    "docvalue_fields": ["brand"], "aggs": {"brands": {"terms": {}}}, "post_filter": HP,
    "sort": ["_score", "price"], "timeout": "1s",
}  # fmt: skip
KEYS = [("shop-1", "b"), ("shop-1", "d")]
WIDENED = {"bool": {"should": [MATCH, {"bool": {"must": [{"ids": {"values": ["d"]}}], "boost": 0}}]}}


def request_of(body: JsonObject) -> RerankRequest:
    request = parse_call(SearchCall("shop", json.dumps(body).encode()))
    assert isinstance(request, RerankRequest)
    return request


def page_of(shop: Shop, body: JsonObject, keys: list[HitKey] | None = None) -> FetchedPage:
    """The page of these keys, where the vectors add d."""
    request = request_of(body)
    caller = CallerClient(shop, request.call, request.params, Deadline.after(1.0))
    return fetch_page(caller, request, [("shop-1", "d")], KEYS if keys is None else keys)


def sent(shop: Shop) -> list[dict[str, Any]]:
    path, _, lines, _ = shop.requests[-1]
    return lines[1::2] if path.endswith("_msearch") else lines


@pytest.fixture
def stocked(shop: Shop) -> Shop:
    shop.products, shop.near = {"a": 1, "b": 2}, {"d": 3}
    return shop


def test_total_and_aggregations_are_of_the_set_with_what_vectors_add(stocked: Shop) -> None:
    page = page_of(stocked, SHAPED)
    around, _ = sent(stocked)
    assert around == {
        "query": WIDENED, "aggs": SHAPED["aggs"], "post_filter": HP, "timeout": "1s",
        "from": 10, "size": 0,
    }  # fmt: skip
    assert msgspec.json.decode(page.shell["hits"])["total"] == {"value": 3, "relation": "eq"}
    assert msgspec.json.decode(page.shell["aggregations"]) == stocked.aggregations


def test_hits_come_in_the_shape_that_the_caller_wants(stocked: Shop) -> None:
    page = page_of(stocked, SHAPED)
    assert page.hits.keys() == set(KEYS)
    _, hits = sent(stocked)
    for key in ("highlight", "_source", "fields", "docvalue_fields", "sort", "timeout"):
        assert hits[key] == SHAPED[key] or key == "_source"
    assert "title" in hits["_source"]["includes"]
    assert (hits["size"], "aggs" in hits, "post_filter" in hits) == (2, False, False)
    assert hits["query"] == {"bool": {"filter": [{"ids": {"values": ["b", "d"]}}], "should": [MATCH]}}


def test_hits_that_show_nothing_of_the_query_are_fetched_by_id_alone(stocked: Shop) -> None:
    page_of(stocked, {"query": MATCH})
    assert sent(stocked)[1]["query"] == {"bool": {"filter": [{"ids": {"values": ["b", "d"]}}]}}


def test_a_page_from_many_indexes_asks_for_its_own_hits_alone(stocked: Shop) -> None:
    keys = [(f"shop-{number}", str(number % 3)) for number in range(60)]
    page_of(stocked, SHAPED, keys)
    hits = sent(stocked)[1]
    assert hits["size"] == len(keys)
    each = hits["query"]["bool"]["filter"][0]["bool"]["should"]
    assert [
        (one["bool"]["filter"][0]["term"]["_index"], one["bool"]["filter"][1]["ids"]["values"])
        for one in each
    ] == [(index, [id_]) for index, id_ in keys]


def test_an_explanation_is_of_the_whole_query(stocked: Shop) -> None:
    page_of(stocked, {"query": MATCH, "explain": True})
    hits = sent(stocked)[1]
    assert (hits["query"], hits["post_filter"]) == (WIDENED, {"ids": {"values": ["b", "d"]}})


def test_inner_hits_of_a_group_are_of_the_whole_set_and_the_pages_hits_lead_it(stocked: Shop) -> None:
    collapse = {"field": "group", "inner_hits": {"name": "variants"}}
    page_of(stocked, {"query": MATCH, "collapse": collapse, "post_filter": HP})
    around, hits = sent(stocked)
    assert "collapse" not in around
    assert (hits["collapse"], hits["post_filter"]) == (collapse, HP)
    assert hits["query"]["bool"]["must"] == [WIDENED]
    [heads] = hits["query"]["bool"]["should"]
    assert heads["constant_score"]["filter"] == {"ids": {"values": ["b", "d"]}}


def test_hits_without_an_id_are_known_by_attunes_own(stocked: Shop) -> None:
    page = page_of(stocked, {"query": MATCH, "stored_fields": "_none_", "docvalue_fields": ["price"]})
    assert page.hits.keys() == set(KEYS)
    assert sent(stocked)[1]["docvalue_fields"] == ["price", "attune.key"]


def test_an_empty_page_asks_only_what_stands_around(stocked: Shop) -> None:
    page = page_of(stocked, SHAPED, [])
    assert page.hits == {}
    assert msgspec.json.decode(page.shell["hits"])["total"]["value"] == 3
    assert len(sent(stocked)) == 1


def test_a_hit_that_is_gone_is_missing(stocked: Shop) -> None:
    stocked.refuse["fetch"] = (200, {"hits": {"hits": []}})
    assert page_of(stocked, SHAPED).hits == {}


@pytest.mark.parametrize("kind", ["around", "fetch"])
def test_a_refused_page_says_so(stocked: Shop, kind: str) -> None:
    stocked.refuse[kind] = (503, {"error": {"type": "busy", "reason": "later"}, "status": 503})
    with pytest.raises(SearchRefused, match="later"):
        page_of(stocked, SHAPED)


def test_opensearchs_own_order_is_of_the_widened_query(stocked: Shop) -> None:
    request = request_of(SHAPED)
    caller = CallerClient(stocked, request.call, request.params, Deadline.after(1.0))
    order = fetch_order(caller, request, [("shop-1", "d")], 7)
    assert [hit.id for hit in order] == ["a", "b", "d"]
    [search] = sent(stocked)
    assert (search["query"], search["size"], search["sort"], search["post_filter"]) == (
        WIDENED,
        7,
        SHAPED["sort"],
        HP,
    )
    assert (search["_source"], "attune.tokens" in search["docvalue_fields"]) == (False, False)


def test_the_order_of_groups_has_one_hit_of_each(stocked: Shop) -> None:
    stocked.groups = {"a": "red", "d": "red"}
    request = request_of({"query": MATCH, "collapse": {"field": "group", "inner_hits": {"name": "n"}}})
    caller = CallerClient(stocked, request.call, request.params, Deadline.after(1.0))
    order = fetch_order(caller, request, [("shop-1", "d")], 7)
    assert [(hit.id, hit.group) for hit in order] == [("a", b'["red"]'), ("b", b"")]
    assert sent(stocked)[0]["collapse"] == {"field": "group"}


def test_a_page_that_lies_too_deep_is_opensearchs_to_refuse(stocked: Shop) -> None:
    page_of(stocked, {"query": MATCH, "from": 9_995, "size": 10}, [])
    assert sent(stocked)[0]["from"] == 10_005
