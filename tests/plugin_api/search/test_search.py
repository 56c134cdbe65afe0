import json
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from mappings.errors import ClusterDown
from mappings.settings import OpenSearchSettings, SearchSettings, Settings, SidecarSettings
from plugin_api.opensearch.http_client import HttpClient
from plugin_api.search.query.types import SearchCall
from plugin_api.search.search import Searcher
from reranker.types import EncodedQuery, Floats
from tests.fakes.shop import VERSION, Shop, StandInModel

MOUSE = {"match": {"title": "mouse"}}


def search(
    shop: Shop, model: StandInModel | None = None, window: int = 10, deadline_ms: int = 2000
) -> Searcher:
    settings = Settings(
        search=SearchSettings(window=window, keyword_weight=0.0, vector_weight_head=0.7),
        sidecar=SidecarSettings(deadline_ms=deadline_ms),
    )
    return Searcher(shop, model or StandInModel(), settings)


def ask(searching: Searcher, start: int = 0, size: int = 10, **body: Any) -> dict[str, Any]:
    body = {"query": MOUSE, "from": start, "size": size, **body}
    answer = searching.answer(SearchCall("shop", json.dumps(body).encode()))
    found: dict[str, Any] = answer.json()
    assert answer.status == 200, found
    return found


def ids(body: dict[str, Any]) -> list[str]:
    return [hit["_id"] for hit in body["hits"]["hits"]]


def report(body: dict[str, Any]) -> tuple[str, str]:
    return body["ext"]["attune"]["rerank_status"], body["ext"]["attune"].get("reason", "")


@pytest.fixture
def stocked(shop: Shop) -> Shop:
    shop.products = {"a": 51, "b": 102, "c": 0}
    shop.near = {"d": 255, "b": 102}
    return shop


def test_hits_come_by_the_models_probability(stocked: Shop) -> None:
    body = ask(search(stocked), aggs={"brands": {}})
    assert [(hit["_id"], hit["_score"]) for hit in body["hits"]["hits"]] == [
        ("d", pytest.approx(1.0)),
        ("b", pytest.approx(0.4)),
        ("a", pytest.approx(0.2)),
        ("c", 0.0),
    ]
    assert body["hits"]["max_score"] == pytest.approx(1.0)
    assert body["hits"]["total"] == {"value": 4, "relation": "eq"}
    assert body["aggregations"] == {"brands": {"buckets": []}}
    assert body["hits"]["hits"][0] == {
        "_index": "shop-1",
        "_id": "d",
        "_score": pytest.approx(1.0),
        "_source": {"title": "product d"},
    }
    ext = body["ext"]["attune"]
    assert (ext["rerank_status"], ext["model"], ext["window"]) == ("reranked", VERSION, 4)
    assert set(ext["took_ms"]) == {"encode", "search", "score", "fetch"}
    assert "responses" not in body
    assert "status" not in body


@pytest.mark.parametrize("timeout", [b'"\xf3s"', b"1e999", b"null", b'"1 week"', b"{}", b'"1s"'])
def test_a_timeout_that_can_not_be_read_is_opensearchs_to_judge(stocked: Shop, timeout: bytes) -> None:
    body = b'{"query": {"match": {"title": "mouse"}}, "timeout": %b}' % timeout
    answer = search(stocked).answer(SearchCall("shop", body))
    assert answer.status == 200
    assert report(answer.json())[0] in ("reranked", "failed")


def test_fields_that_the_caller_asked_for_stay(stocked: Shop) -> None:
    body = ask(search(stocked), docvalue_fields=["price", "attune.model"])
    assert body["hits"]["hits"][0]["fields"] == {"price": [9.5], "attune.model": [VERSION]}


@pytest.mark.parametrize("size", [1, 3, 4, 7, 40])
def test_pages_join_without_gap_or_repeat(shop: Shop, size: int) -> None:
    shop.products = {f"k{n}": (n * 37) % 256 for n in range(30)}
    # Some neighbours are among the best keyword hits, some further down, some no keyword hits at all.
    near = ("k2", "v1", "k20", "v2", "k9", "k29", "v3", "k0")
    shop.near = {key: 100 + n for n, key in enumerate(near)}
    searching = search(shop, window=8)
    whole = ask(searching, 0, 100)
    assert set(ids(whole)) == {*shop.products, "v1", "v2", "v3"}  # v3 lies below the window
    assert "v3" not in ids(whole)[:8]
    assert {"k20", "k9"} <= set(ids(whole)[:8])
    assert all("matched_queries" not in hit for hit in whole["hits"]["hits"])
    assert len(set(ids(whole))) == len(ids(whole)) == whole["hits"]["total"]["value"]
    scores = [hit["_score"] for hit in whole["hits"]["hits"]]
    assert scores == sorted(scores, reverse=True)
    joined: list[dict[str, Any]] = []
    while page := ask(searching, len(joined), size)["hits"]["hits"]:
        joined += page
    assert joined == whole["hits"]["hits"]


def test_nothing_found_is_an_empty_answer(shop: Shop) -> None:
    body = ask(search(shop))
    assert ids(body) == []
    assert body["hits"]["max_score"] is None
    assert report(body)[0] == "reranked"


def test_total_as_the_caller_asked_for_it(stocked: Shop) -> None:
    assert "total" not in ask(search(stocked), track_total_hits=False)["hits"]


# Whatever goes wrong leaves the first stage's hits, scores and page.


def first_stage(body: dict[str, Any], status: str, reason: str) -> None:
    assert report(body)[0] == status
    assert reason in report(body)[1]
    assert ids(body) == ["b", "c"]
    assert [hit["_score"] for hit in body["hits"]["hits"]] == [0.5, pytest.approx(1 / 3)]
    assert body["hits"]["total"]["value"] == 3
    assert all("fields" not in hit for hit in body["hits"]["hits"])


def test_failing_neighbours(stocked: Shop) -> None:
    error = {"error": {"type": "query_shard_exception", "reason": "no vectors"}}
    stocked.refuse["near"] = (400, error)
    first_stage(ask(search(stocked), 1, 2), "failed", "no vectors")


def test_a_product_without_vectors_keeps_its_keyword_place(stocked: Shop) -> None:
    stocked.products = {"a": 51, "x": 0, "b": 102, "c": 0}
    stocked.without_tokens = {"x"}
    body = ask(search(stocked))
    assert report(body) == ("reranked", "")
    assert ids(body) == ["d", "x", "b", "a", "c"]
    scores = [hit["_score"] for hit in body["hits"]["hits"]]
    assert scores == sorted(scores, reverse=True)
    assert body["ext"]["attune"]["without_vectors"] == 1
    assert body["ext"]["attune"]["window"] == 4
    assert "without_vectors" not in ask(search(stocked), query={"match_none": {}})["ext"]["attune"]


def test_a_product_that_another_program_wrote_keeps_its_keyword_place(stocked: Shop) -> None:
    stocked.products = {"x": 0, **stocked.products}
    stocked.not_attunes = {"x"}
    searching = search(stocked)
    for _ in range(3):
        body = ask(searching)
        assert report(body) == ("reranked", "")
        assert ids(body) == ["x", "d", "b", "a", "c"]
        assert body["hits"]["hits"][0]["_score"] == body["hits"]["hits"][1]["_score"]


def test_an_index_without_vectors_is_not_reranked(stocked: Shop) -> None:
    stocked.without_tokens = {*stocked.products, *stocked.near}
    body = ask(search(stocked), 1, 2)
    first_stage(body, "failed", "no hit has vectors")
    assert body["ext"]["attune"]["reason_code"] == "not_indexed"


def test_another_models_vectors_are_never_mixed(stocked: Shop) -> None:
    stocked.models = {"c": "ffffffffffff"}
    first_stage(ask(search(stocked), 1, 2), "model_mismatch", "model ffffffffffff")


def test_mismatch_is_told_even_where_its_vectors_break_the_search(stocked: Shop) -> None:
    stocked.models = {"c": "ffffffffffff"}
    error = {"error": {"type": "illegal_argument_exception", "reason": "dimension mismatch"}}
    stocked.refuse["near"] = (400, error)
    first_stage(ask(search(stocked), 1, 2), "model_mismatch", "model ffffffffffff")


def test_scores_that_are_no_numbers(stocked: Shop) -> None:
    class Broken(StandInModel):
        def score_raw(self, query: Any, stored: Any, weights: Any) -> Any:
            return super().score_raw(query, stored, weights) * float("nan")

    first_stage(ask(search(stocked, Broken()), 1, 2), "failed", "not probabilities")


def test_a_query_that_cannot_be_encoded(stocked: Shop) -> None:
    body = ask(search(stocked), 1, 2, query={"match": {"title": "unreadable"}})
    first_stage(body, "failed", "can't be encoded")
    assert [url for url, *_ in stocked.requests] == ["/shop/_search"]


def test_a_query_that_the_model_cannot_read(stocked: Shop) -> None:
    body = ask(search(stocked), 1, 2, query={"match": {"title": "苹果手机"}})
    first_stage(body, "skipped", "doesn't know 100% of the query: a model for its language is made by")
    assert [url for url, *_ in stocked.requests] == ["/shop/_search"]


def test_each_model_scores_queries_that_it_encoded_itself(stocked: Shop) -> None:
    class Named(StandInModel):
        """Scores only what it encoded."""

        def __init__(self, version: str) -> None:
            super().__init__()
            self.version = version

        def encode_query(self, text: str) -> EncodedQuery:
            return replace(super().encode_query(text), words=(self.version,))

        def score_raw(self, query: EncodedQuery, stored: Sequence[bytes], weights: Sequence[float]) -> Floats:
            assert query.words == (self.version,)
            return super().score_raw(query, stored, weights)

    stocked.models = dict.fromkeys("abcd", "other")
    settings = Settings(sidecar=SidecarSettings(deadline_ms=2000))
    searching = Searcher(stocked, Named(VERSION), settings, [Named("other")])
    for _ in range(2):
        body = ask(searching)
        assert report(body) == ("reranked", "")
        assert body["ext"]["attune"]["model"] == "other"


def test_slow_scoring_passes_the_deadline(stocked: Shop) -> None:
    began = time.perf_counter()
    slow = StandInModel(score_seconds=1.5)
    first_stage(
        ask(search(stocked, slow, deadline_ms=400), 1, 2), "timeout", "scoring passed the deadline of 400 ms"
    )
    assert time.perf_counter() - began < 1.4


def test_slow_encoding_passes_the_deadline(stocked: Shop) -> None:
    slow = StandInModel(encode_seconds=1.5)
    first_stage(ask(search(stocked, slow, deadline_ms=400), 1, 2), "timeout", "400 ms")


def test_slow_candidates_pass_the_deadline(stocked: Shop) -> None:
    stocked.slow_seconds = 0.5
    first_stage(
        ask(search(stocked, deadline_ms=400), 1, 2),
        "timeout",
        "OpenSearch did not answer within the deadline of 400 ms",
    )
    assert [url for url, *_ in stocked.requests] == ["/shop/_msearch", "/shop/_search"]


def test_a_caller_who_may_search_but_not_msearch(stocked: Shop) -> None:
    error = {"error": {"type": "security_exception", "reason": "no permissions for [msearch]"}, "status": 403}
    stocked.refuse["msearch"] = (403, error)
    assert ids(ask(search(stocked), 1, 2)) == ["b", "a"]
    # One by one: own hits, neighbours, the state of the index; then the hits of the page.
    paths = [path.rpartition("/")[2] for path, *_ in stocked.requests]
    assert paths == ["_msearch", *4 * ["_search"]]


def test_first_stage_pages_below_the_window(shop: Shop) -> None:
    shop.products = {f"k{n}": n for n in range(30)}
    shop.without_tokens = set(shop.products)
    searching = search(shop, window=8)
    assert ids(ask(searching, 5, 10)) == [f"k{n}" for n in range(5, 15)]
    assert ids(ask(searching, 20, 4)) == [f"k{n}" for n in range(20, 24)]


def test_a_search_with_its_own_order_goes_through(stocked: Shop) -> None:
    body = ask(search(stocked), 1, 2, sort=["price"])
    assert report(body) == ("skipped", "a search with its own sort is not reranked")
    assert ids(body) == ["b", "c"]


def test_a_sort_by_score_shows_the_score_that_ranks(stocked: Shop) -> None:
    body = ask(search(stocked), sort=["_score", {"price": "asc"}])
    assert report(body) == ("reranked", "")
    assert ids(body) == ["d", "b", "a", "c"]
    assert [hit["sort"] for hit in body["hits"]["hits"]] == [
        [pytest.approx(score), 9.5] for score in (1.0, 0.4, 0.2, 0.0)
    ]


def test_hits_without_id_are_told_apart_by_attunes_own(stocked: Shop) -> None:
    body = ask(search(stocked), stored_fields="_none_", docvalue_fields=["price"])
    assert report(body) == ("reranked", "")
    scores = [hit["_score"] for hit in body["hits"]["hits"]]
    assert scores == [pytest.approx(1.0), pytest.approx(0.4), pytest.approx(0.2), 0.0]
    assert all("_id" not in hit and hit["fields"] == {"price": [9.5]} for hit in body["hits"]["hits"])


def test_hits_that_nothing_tells_apart_stay_as_they_are(stocked: Shop) -> None:
    stocked.not_attunes = {"b"}
    body = ask(search(stocked), stored_fields="_none_", docvalue_fields=["price"])
    assert report(body) == ("skipped", "hits without an id can't be put in another order")
    assert len(body["hits"]["hits"]) == body["hits"]["total"]["value"] == 3


def test_errors_on_the_callers_query_are_opensearchs_own(stocked: Shop) -> None:
    own = {"error": {"type": "index_not_found_exception", "reason": "no such index [shop]"}, "status": 404}
    stocked.refuse["products"] = (404, own)
    answer = search(stocked).answer(SearchCall("shop", json.dumps({"query": MOUSE}).encode()))
    assert (answer.status, answer.json()) == (404, own)


def test_filter_path_gets_nothing_added(stocked: Shop) -> None:
    call = SearchCall("shop", json.dumps({"query": MOUSE}).encode(), {"filter_path": "hits.hits._id"})
    answer = search(stocked).answer(call)
    assert "ext" not in answer.json()
    assert dict(answer.headers)["x-attune-rerank-reason"] == "filter_path leaves out what reranking needs"


def test_opensearch_that_is_down() -> None:
    settings = Settings(opensearch=OpenSearchSettings(url="http://127.0.0.1:9"))
    nobody = HttpClient(settings.opensearch)
    for body in (b'{"query": {"match": {"title": "mouse"}}}', b"{}"):
        with pytest.raises(ClusterDown, match="attune up"):
            Searcher(nobody, StandInModel(), settings).answer(SearchCall("shop", body))
    nobody.close()
