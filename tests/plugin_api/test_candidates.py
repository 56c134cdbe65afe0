import numpy as np
import pytest
from opensearchpy import OpenSearch

from mappings.errors import BadRequest
from mappings.settings import SearchSettings
from mappings.types import Hit
from plugin_api.candidates import fuse, gather
from plugin_api.request import RerankRequest, SearchCall, parse_call
from tests.plugin_api.stand_in import Shop

VECTOR = np.array([0.5, 0.5, 0.5, 0.5], dtype=np.float32)
MOUSE = b'{"query": {"bool": {"must": {"match": {"title": "mouse"}}, "filter": {"term": {"brand": "HP"}}}}}'


def request_of(body: bytes, **params: str) -> RerankRequest:
    request = parse_call(SearchCall("shop", body, params))
    assert isinstance(request, RerankRequest)
    return request


def hits(**scores: float) -> list[Hit]:
    return [Hit(key, "shop-1", score, {}) for key, score in scores.items()]


def order(keyword: list[Hit], neighbours: list[Hit], **settings: object) -> list[str]:
    return [fused.hit.id for fused in fuse(keyword, neighbours, SearchSettings(**settings))]  # type: ignore[arg-type]


def test_minmax_weighs_scores_scaled_within_their_list() -> None:
    keyword, neighbours = hits(a=30.0, b=20.0, c=10.0), hits(c=0.9, b=0.8, d=0.5)
    # c 0.7; b 0.3 * 0.5 + 0.7 * 0.75 = 0.675; a 0.3; d 0
    assert order(keyword, neighbours) == ["c", "b", "a", "d"]
    assert order(keyword, neighbours, vector_weight=0.0)[:2] == ["a", "b"]


def test_rrf_adds_reciprocal_ranks() -> None:
    keyword, neighbours = hits(a=3.0, b=2.0, c=1.0), hits(b=0.9, d=0.8)
    assert order(keyword, neighbours, fusion="rrf", vector_weight=0.5, rrf_k=60) == ["b", "a", "d", "c"]


def test_window_cuts_and_says_where_hits_come_from() -> None:
    fused = fuse(hits(a=7.0, b=1.0), hits(c=0.9, a=0.8, d=0.1), SearchSettings(window=2, vector_weight=0.5))
    assert [(f.hit.id, f.bm25, f.added) for f in fused] == [("a", 7.0, False), ("c", 0.0, True)]


def test_equal_ids_of_two_indices_are_two_products() -> None:
    assert len(fuse([Hit("1", "shop-1", 2.0, {})], [Hit("1", "shop-2", 0.9, {})], SearchSettings())) == 2


def test_one_request_asks_both_with_the_same_conditions(shop: Shop, client: OpenSearch) -> None:
    shop.products, shop.near = {"a": 1, "b": 2}, {"c": 3}
    first = gather(
        client, request_of(MOUSE, preference="me", size="5"), VECTOR, 5, {"authorization": "Basic x"}, 1.0
    )
    assert [hit.id for hit in first.keyword] == ["a", "b"]
    assert [hit.id for hit in first.neighbours] == ["c"]
    [(url, _, lines, headers)] = shop.requests
    assert url == "/_msearch"
    assert headers["authorization"] == "Basic x"
    header, keyword, _, near = lines
    assert header == {"index": "shop", "preference": "me"}
    knn = near["query"]["bool"]["must"][0]["knn"]["attune.vector"]
    assert keyword["size"] == near["size"] == knn["k"] == 5
    assert knn["filter"] == {"bool": {"filter": [{"term": {"brand": "HP"}}]}}
    assert keyword["docvalue_fields"] == near["docvalue_fields"] == ["attune.tokens", "attune.model"]
    assert keyword["_source"] == near["_source"]


def test_neighbours_are_shaped_like_the_others(shop: Shop, client: OpenSearch) -> None:
    body = (
        b'{"query": {"match": {"title": "mouse"}}, "highlight": {"fields": {"title": {}}}, '
        b'"fields": ["price"], "docvalue_fields": ["brand"], "aggs": {"brands": {"terms": {}}}}'
    )
    gather(client, request_of(body), VECTOR, 5, {}, 1.0)
    near = shop.requests[0][2][3]
    assert near["fields"] == ["price"]
    assert near["docvalue_fields"] == ["brand", "attune.tokens", "attune.model"]
    assert near["highlight"] == {"highlight_query": {"match": {"title": "mouse"}}, "fields": {"title": {}}}
    assert "aggs" not in near


def test_a_deep_page_asks_for_its_own_stretch_only(shop: Shop, client: OpenSearch) -> None:
    gather(client, request_of(MOUSE, **{"from": "500", "size": "20"}), VECTOR, 100, {}, 1.0)
    _, _, _, _, _, bare, _, whole = shop.requests[0][2]
    assert (bare["from"], bare["size"], bare["_source"]) == (100, 300, False)
    assert (whole["from"], whole["size"], whole["_source"]) == (
        400,
        120,
        {"excludes": ["attune", "attune.*"]},
    )
    assert "docvalue_fields" not in whole


def test_failing_neighbours_leave_the_keyword_hits(shop: Shop, client: OpenSearch) -> None:
    shop.products = {"a": 1}
    cause = {"type": "query_shard_exception", "reason": "no vectors here"}
    error = {"error": {"root_cause": [cause], **cause}}
    shop.refuse["near"] = (400, error)
    first = gather(client, request_of(MOUSE), VECTOR, 5, {}, 1.0)
    assert [hit.id for hit in first.keyword] == ["a"]
    assert first.neighbours_error == "query_shard_exception: no vectors here"


def test_a_refused_keyword_query_is_a_bad_request(shop: Shop, client: OpenSearch) -> None:
    error = {"error": {"type": "index_not_found_exception", "reason": "no such index"}}
    shop.refuse["products"] = (404, error)
    with pytest.raises(BadRequest, match="no such index"):
        gather(client, request_of(MOUSE), VECTOR, 5, {}, 1.0)
