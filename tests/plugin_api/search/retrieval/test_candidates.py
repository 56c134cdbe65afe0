from collections.abc import Mapping

import msgspec
import numpy as np
import pytest

from plugin_api.search.deadline import Deadline
from plugin_api.search.query.request import parse_call
from plugin_api.search.query.types import RerankRequest, SearchCall
from plugin_api.search.retrieval.caller_client import CallerClient, SearchRefused
from plugin_api.search.retrieval.candidates import Candidates, fetch_page, gather
from tests.fakes.shop import VERSION, Shop

VECTOR = np.array([0.5, 0.5, 0.5, 0.5], dtype=np.float32)
MOUSE = b'{"query": {"bool": {"must": {"match": {"title": "mouse"}}, "filter": {"term": {"brand": "HP"}}}}}'


def request_of(body: bytes, headers: Mapping[str, str] | None = None, /, **params: str) -> RerankRequest:
    request = parse_call(SearchCall("shop", body, params, headers or {}))
    assert isinstance(request, RerankRequest)
    return request


def as_caller(shop: Shop, request: RerankRequest) -> CallerClient:
    return CallerClient(shop, request.call, request.params, Deadline.after(1.0))


def gather_for(shop: Shop, request: RerankRequest, window: int) -> Candidates:
    return gather(as_caller(shop, request), request, VECTOR, window)


def test_one_request_asks_both_for_bare_hits_under_the_same_conditions(shop: Shop) -> None:
    shop.products, shop.near = {"a": 1, "b": 2}, {"c": 3, "b": 2}
    request = request_of(MOUSE, {"authorization": "Basic x"}, preference="me", size="5")
    first = gather(as_caller(shop, request), request, VECTOR, 5)
    assert [(hit.id, hit.vectors, hit.model) for hit in first.own] == [
        ("a", b"\x01", VERSION),
        ("b", b"\x02", VERSION),
    ]
    assert [(hit.id, hit.is_added) for hit in first.neighbours] == [("c", True), ("b", False)]
    [(path, _, lines, headers)] = shop.requests
    assert path == "/shop/_msearch"
    assert headers["authorization"] == "Basic x"
    header, own, _, near = lines
    assert header == {"preference": "me"}
    knn = near["query"]["bool"]["must"][0]["knn"]["attune.vector"]
    assert knn["vector"] == [127, 127, 127, 127]  # a field of bytes takes whole numbers only
    assert own["size"] == near["size"] == knn["k"] == 5
    assert knn["filter"] == {"bool": {"filter": [{"term": {"brand": "HP"}}]}}
    told = ["attune.id", "attune.hash", "attune.model", "attune.tokens"]
    assert own["docvalue_fields"] == near["docvalue_fields"] == told
    assert (
        (own["_source"], own["stored_fields"])
        == (near["_source"], near["stored_fields"])
        == (False, "_none_")
    )


SHAPED = (
    b'{"query": {"match": {"title": "mouse"}}, "highlight": {"fields": {"title": {}}}, "_source": ["title"], '
    b'"fields": ["price"], "docvalue_fields": ["brand"], "aggs": {"brands": {"terms": {}}}}'
)


def test_what_shapes_a_hit_waits_for_the_page(shop: Shop) -> None:
    request = request_of(SHAPED)
    gather(as_caller(shop, request), request, VECTOR, 5)
    own = shop.requests[0][2][1]
    assert own["aggs"] == {"brands": {"terms": {}}}
    assert not own.keys() & {"highlight", "fields"}
    hits = fetch_page(as_caller(shop, request), request, [("shop-1", "b"), ("shop-1", "a")])
    assert list(hits) == [("shop-1", "b"), ("shop-1", "a")]
    page = shop.requests[1][2][0]
    assert (page["fields"], page["docvalue_fields"], page["size"]) == (["price"], ["brand"], 2)
    assert page["highlight"] == {"fields": {"title": {}}}
    assert page["query"] == {
        "bool": {"filter": [{"ids": {"values": ["b", "a"]}}], "should": [{"match": {"title": "mouse"}}]}
    }
    assert "aggs" not in page


def test_a_page_from_many_indexes_asks_for_its_own_hits_alone(shop: Shop) -> None:
    request = request_of(SHAPED)
    keys = [(f"shop-{number}", str(number % 3)) for number in range(60)]
    fetch_page(as_caller(shop, request), request, keys)
    page = shop.requests[0][2][0]
    assert page["size"] == len(keys)
    of_each = page["query"]["bool"]["filter"][0]["bool"]["should"]
    assert [
        (one["bool"]["filter"][0]["term"]["_index"], one["bool"]["filter"][1]["ids"]["values"])
        for one in of_each
    ] == [(index, [id_]) for index, id_ in keys]


def test_a_query_that_must_not_widen_is_asked_once_and_whole(shop: Shop) -> None:
    shop.products, shop.near = {"a": 1, "b": 2}, {"c": 3}
    request = request_of(b'{"query": {"match_phrase": {"title": "usb mouse"}}, "docvalue_fields": ["price"]}')
    first = gather(as_caller(shop, request), request, VECTOR, 5)
    assert ([hit.id for hit in first.own], first.neighbours) == (["a", "b"], ())
    assert first.complete_hits is not None
    assert msgspec.json.decode(first.complete_hits[("shop-1", "a")]["_source"]) == {"title": "product a"}
    [(path, _, [search], _)] = shop.requests
    assert (path, search["from"], search["size"]) == ("/shop/_search", 0, 10)
    assert search["docvalue_fields"] == ["price", "attune.id", "attune.tokens", "attune.model"]


def test_a_deep_page_asks_for_the_way_to_it(shop: Shop) -> None:
    gather_for(shop, request_of(MOUSE, **{"from": "500", "size": "20"}), 100)
    *_, below = shop.requests[0][2]
    assert (below["from"], below["size"], below["docvalue_fields"]) == (100, 420, ["attune.id"])


def test_failing_neighbours_leave_the_keyword_hits(shop: Shop) -> None:
    shop.products = {"a": 1}
    cause = {"type": "query_shard_exception", "reason": "no vectors here"}
    error = {"error": {"root_cause": [cause], **cause}}
    shop.refuse["near"] = (400, error)
    first = gather_for(shop, request_of(MOUSE), 5)
    assert [hit.id for hit in first.own] == ["a"]
    assert first.neighbours_error == "query_shard_exception: no vectors here"


def test_a_refused_keyword_query_is_a_bad_request(shop: Shop) -> None:
    error = {"error": {"type": "index_not_found_exception", "reason": "no such index"}}
    shop.refuse["products"] = (404, error)
    with pytest.raises(SearchRefused, match="no such index"):
        gather_for(shop, request_of(MOUSE), 5)
