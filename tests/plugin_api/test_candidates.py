import numpy as np
import pytest
from opensearchpy import OpenSearch

from mappings.errors import BadRequest
from mappings.settings import SearchSettings
from mappings.types import Hit
from plugin_api.candidates import FirstStage, fuse, gather, vector_weight
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


def lists(keyword: list[Hit], neighbours: list[Hit]) -> FirstStage:
    return FirstStage(tuple(keyword), (), tuple(neighbours), "", {})


def order(keyword: list[Hit], neighbours: list[Hit], weight: float, **settings: object) -> list[str]:
    chosen = SearchSettings(vector_weight=weight, **settings)  # type: ignore[arg-type]
    return [fused.hit.id for fused in fuse(lists(keyword, neighbours), chosen, "three plain words")]


def test_minmax_weighs_scores_scaled_within_their_list() -> None:
    keyword, neighbours = hits(a=30.0, b=20.0, c=10.0), hits(c=0.9, b=0.8, d=0.5)
    # c 0.7; b 0.3 * 0.5 + 0.7 * 0.75 = 0.675; a 0.3; d 0
    assert order(keyword, neighbours, 0.7) == ["c", "b", "a", "d"]
    assert order(keyword, neighbours, 0.0)[:2] == ["a", "b"]


def test_minmax_takes_a_lone_hit_and_equal_scores_for_the_best_there_are() -> None:
    assert order(hits(a=7.0), hits(b=0.9, c=0.1), 0.4) == ["a", "b", "c"]
    assert order(hits(a=2.0, b=2.0), hits(c=0.9, d=0.1), 0.4) == ["a", "b", "c", "d"]
    assert order(hits(a=0.0), [], 0.7) == ["a"]
    assert order([], hits(b=0.9, c=0.1), 0.0) == ["b", "c"]


def test_rrf_adds_weighed_reciprocal_ranks() -> None:
    keyword, neighbours = hits(a=3.0, b=2.0, c=1.0), hits(b=0.9, d=0.8)
    assert order(keyword, neighbours, 0.5, fusion="rrf") == ["b", "a", "d", "c"]
    # a 0.9 / 11 = 0.082; b 0.9 / 12 + 0.1 / 11 = 0.084; c 0.9 / 13 = 0.069; d 0.1 / 12 = 0.008
    assert order(keyword, neighbours, 0.1, fusion="rrf", rrf_k=10) == ["b", "a", "c", "d"]
    assert order(keyword, neighbours, 0.0, fusion="rrf") == ["a", "b", "c", "d"]


def test_the_querys_type_chooses_the_weight() -> None:
    settings = SearchSettings(
        vector_weight=0.1, vector_weight_head=0.2, vector_weight_model=0.3, vector_weight_sentence=0.4
    )
    texts = ("noise cancelling headphones", "headphones", "sony wh-1000xm4", "headphones for a long flight")
    assert [vector_weight(settings, text) for text in texts] == [0.1, 0.2, 0.3, 0.4]
    two = lists(hits(a=2.0, b=1.0), hits(b=0.9, a=0.1))
    by_vector = SearchSettings(vector_weight=0.0, vector_weight_head=1.0)
    assert [fused.hit.id for fused in fuse(two, by_vector, "mouse")] == ["b", "a"]
    assert [fused.hit.id for fused in fuse(two, by_vector, "quiet wireless mouse")] == ["a", "b"]


def test_window_cuts_and_says_where_hits_come_from() -> None:
    first = lists(hits(a=7.0, b=1.0), hits(c=0.9, a=0.8, d=0.1))
    fused = fuse(first, SearchSettings(window=2, vector_weight_head=0.5), "mouse")
    assert [(f.hit.id, f.bm25, f.added) for f in fused] == [("a", 7.0, False), ("c", 0.0, True)]


def test_equal_ids_of_two_indices_are_two_products() -> None:
    first = lists([Hit("1", "shop-1", 2.0, {})], [Hit("1", "shop-2", 0.9, {})])
    assert len(fuse(first, SearchSettings(), "mouse")) == 2


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
    assert knn["vector"] == [127, 127, 127, 127]  # a field of bytes takes whole numbers only
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


def test_a_pipeline_lets_the_cluster_fuse(shop: Shop, client: OpenSearch) -> None:
    shop.has_hybrid = True
    shop.products, shop.near = {"a": 1, "b": 2, "e": 3}, {"c": 3, "b": 2}
    request = request_of(MOUSE[:-1] + b', "post_filter": {"term": {"brand": "HP"}}}', size="1")
    first = gather(client, request, VECTOR, 5, {}, 1.0, {"phase_results_processors": []})
    _, page, _, hybrid, _, bare = shop.requests[0][2]
    assert (page["size"], page.get("docvalue_fields")) == (1, None)
    assert (bare["from"], bare["size"], bare["_source"]) == (1, 4, False)
    found, near = hybrid["query"]["hybrid"]["queries"]
    assert found["bool"]["filter"] == [{"term": {"brand": "HP"}}]
    assert near["knn"]["attune.vector"]["filter"]["bool"]["filter"][-1] == {"term": {"brand": "HP"}}
    assert hybrid["search_pipeline"] == {"phase_results_processors": []}
    assert hybrid["docvalue_fields"] == ["attune.tokens", "attune.model"]
    fused = fuse(first, SearchSettings(window=5), "mouse")
    assert [(f.hit.id, f.bm25, f.added) for f in fused] == [
        ("b", 0.5, False),
        ("c", 0.0, True),
        ("a", 1.0, False),
        ("e", pytest.approx(1 / 3), False),
    ]


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
