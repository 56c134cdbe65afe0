import json
from typing import Any

import pytest
from opensearchpy import OpenSearch
from opensearchpy.exceptions import RequestError

from mappings.settings import SearchSettings, Settings
from plugin_api.hybrid import RETRY_SECONDS, Gathering, search_pipeline
from plugin_api.request import SearchCall
from plugin_api.search import Search
from tests.plugin_api.stand_in import Shop, StandInModel
from tests.plugin_api.test_candidates import MOUSE, VECTOR, request_of


@pytest.fixture
def fusing(shop: Shop) -> Shop:
    shop.has_hybrid = True
    shop.products = {f"k{n}": (n * 37) % 256 for n in range(30)}
    shop.near = {key: n for n, key in enumerate(("k2", "v1", "k20", "v2", "k9", "k29", "v3", "k0"))}
    return shop


def searches(shop: Shop) -> list[list[str]]:
    """Kinds of the sub-searches of each request."""
    return [
        ["hybrid" if "hybrid" in search["query"] else "plain" for search in lines[1::2]]
        for url, _, lines, _ in shop.requests
        if url == "/_msearch"
    ]


def test_a_cluster_that_can_is_left_to_fuse(fusing: Shop, client: OpenSearch) -> None:
    gathering = Gathering(client, SearchSettings(window=8))
    first = gathering.gather(request_of(MOUSE, size="3"), VECTOR, {}, 1.0)
    assert first.fused
    assert searches(fusing) == [["plain", "hybrid", "plain"]]


def test_never_means_never(fusing: Shop, client: OpenSearch) -> None:
    gathering = Gathering(client, SearchSettings(window=8, hybrid="never"))
    assert not gathering.gather(request_of(MOUSE, size="3"), VECTOR, {}, 1.0).fused
    assert searches(fusing) == [["plain", "plain"]]


def test_without_neural_search_the_same_search_is_answered_and_the_next_ask_without(
    shop: Shop, client: OpenSearch
) -> None:
    shop.products, shop.near = {"a": 1}, {"b": 2}
    now = 0.0
    gathering = Gathering(client, SearchSettings(window=8), lambda: now)
    for _ in range(2):
        first = gathering.gather(request_of(MOUSE), VECTOR, {}, 1.0)
        assert [hit.id for hit in (*first.keyword, *first.neighbours)] == ["a", "b"]
    assert [("hybrid" in kinds) for kinds in searches(shop)] == [True, False, False]
    shop.has_hybrid = True
    now = RETRY_SECONDS + 1
    assert gathering.gather(request_of(MOUSE), VECTOR, {}, 1.0).fused


def test_a_hybrid_search_that_fails_by_itself_rests(fusing: Shop, client: OpenSearch) -> None:
    error = {"error": {"type": "illegal_argument_exception", "reason": "weights are not supported"}}
    fusing.refuse["hybrid"] = (400, error)
    gathering = Gathering(client, SearchSettings(window=8))
    for _ in range(2):
        assert not gathering.gather(request_of(MOUSE), VECTOR, {}, 1.0).neighbours_error
    assert [("hybrid" in kinds) for kinds in searches(fusing)] == [True, False, False]


def test_an_index_without_vectors_is_not_the_hybrids_fault(fusing: Shop, client: OpenSearch) -> None:
    error = {"error": {"type": "query_shard_exception", "reason": "no vectors"}}
    fusing.refuse |= {"hybrid": (400, error), "near": (400, error)}
    gathering = Gathering(client, SearchSettings(window=8))
    assert "no vectors" in gathering.gather(request_of(MOUSE), VECTOR, {}, 1.0).neighbours_error
    fusing.refuse.clear()
    assert gathering.gather(request_of(MOUSE), VECTOR, {}, 1.0).fused


def test_a_request_that_is_refused_either_way_is_the_callers_error(fusing: Shop, client: OpenSearch) -> None:
    fusing.refuse["msearch"] = (400, {"error": {"type": "parsing_exception", "reason": "no [nonsense]"}})
    gathering = Gathering(client, SearchSettings(window=8))
    with pytest.raises(RequestError, match="parsing_exception"):
        gathering.gather(request_of(MOUSE), VECTOR, {}, 1.0)
    fusing.refuse.clear()
    assert gathering.gather(request_of(MOUSE), VECTOR, {}, 1.0).fused


@pytest.mark.parametrize(
    "body",
    [
        b'{"query": {"match": {"title": "mouse"}}, "explain": true}',
        b'{"query": {"match": {"title": "mouse"}}, "indices_boost": [{"shop": 2}]}',
        b'{"query": {"bool": {"must": {"match": {"title": "mouse"}}, "filter": '
        b'{"nested": {"path": "offers", "query": {"match_all": {}}, "inner_hits": {}}}}}}',
    ],
    ids=["explain", "indices_boost", "inner_hits"],
)
def test_what_a_hybrid_query_would_lose_is_asked_without(
    fusing: Shop, client: OpenSearch, body: bytes
) -> None:
    assert not Gathering(client, SearchSettings(window=8)).gather(request_of(body), VECTOR, {}, 1.0).fused


def test_pipelines_fuse_as_the_settings_say() -> None:
    minmax = SearchSettings(vector_weight_head=0.6)
    [processor] = search_pipeline(minmax, "mouse")["phase_results_processors"]
    assert processor["normalization-processor"] == {
        "normalization": {"technique": "min_max"},
        "combination": {"technique": "arithmetic_mean", "parameters": {"weights": [0.4, 0.6]}},
    }
    ranks = SearchSettings(fusion="rrf", rrf_k=20, vector_weight_head=0.5)
    [processor] = search_pipeline(ranks, "mouse")["phase_results_processors"]
    assert processor["score-ranker-processor"]["combination"] == {"technique": "rrf", "rank_constant": 20}
    weighed = SearchSettings(fusion="rrf", vector_weight_head=0.6)
    [processor] = search_pipeline(weighed, "mouse")["phase_results_processors"]
    assert processor["score-ranker-processor"]["combination"]["parameters"] == {"weights": [0.4, 0.6]}


def ask(searching: Search, start: int, size: int) -> list[dict[str, Any]]:
    body = {"query": {"match": {"title": "mouse"}}, "from": start, "size": size}
    answer = searching.answer(SearchCall("shop", json.dumps(body).encode())).body
    assert answer["ext"]["attune"]["rerank_status"] == "reranked"
    hits: list[dict[str, Any]] = answer["hits"]["hits"]
    return hits


@pytest.mark.parametrize("size", [1, 4, 7, 40])
def test_pages_join_without_gap_or_repeat(fusing: Shop, client: OpenSearch, size: int) -> None:
    settings = Settings(search=SearchSettings(window=8, keyword_weight=0.0))
    searching = Search(client, StandInModel(), settings)
    whole = ask(searching, 0, 100)
    ids = [hit["_id"] for hit in whole]
    assert len(set(ids)) == len(ids)
    assert set(ids) == {*fusing.products, "v1", "v2", "v3"}
    assert all(hit.keys() == {"_index", "_id", "_score", "_source"} for hit in whole)
    joined: list[dict[str, Any]] = []
    while page := ask(searching, len(joined), size):
        joined += page
    assert joined == whole
    assert all("hybrid" in kinds for kinds in searches(fusing))
