"""The finance demo on a real OpenSearch, and what its clients are shown by a sidecar."""

import json
from typing import Any

import pytest
from opensearchpy import OpenSearch

from mappings.client import connect
from mappings.settings import OpenSearchSettings
from tests.integration.domains.domain_demo import open_sidecar, run_demo

CLIENT = {"risk": 2, "horizon": 3}
SEARCHES: list[dict[str, Any]] = [
    {"query": {"match": {"title": "technology fund"}}},
    {"query": {"match_all": {}}},
    {"query": {"match_all": {}}, "sort": [{"price": "desc"}]},
    {"query": {"bool": {"should": [{"match": {"description": "crypto"}}]}}, "size": 50},
    {"query": {"match": {"title": "fund"}}, "collapse": {"field": "brand.keyword"}},
    {"size": 100},
]


@pytest.fixture(scope="module")
def demo(opensearch: str) -> dict[str, Any]:
    return run_demo(opensearch, "finance")


@pytest.fixture(scope="module")
def sidecar(opensearch: str, demo: dict[str, Any]) -> Any:
    return open_sidecar(opensearch, "finance")


def test_the_demo_answers_in_both_languages_and_marks_what_it_shows_all_the_same(
    demo: dict[str, Any],
) -> None:
    assert demo["catalogue"]["products"] == 290
    queries = {(query["query"], bool(query["attune"])): query for query in demo["queries"]}
    assert len(queries[("低风险 稳健 理财", True)]["attune"]) == 5
    assert any(hit["warnings"] for hit in queries[("crypto", True)]["attune"])
    technology = [query for query in demo["queries"] if query["query"] == "technology shares"]
    assert not technology[0]["attune"]
    assert technology[1]["attune"]


@pytest.mark.parametrize("body", SEARCHES, ids=json.dumps)
@pytest.mark.parametrize("path", ["/investments/_search", "/_msearch"])
def test_no_search_shows_what_does_not_suit_its_client(sidecar: Any, path: str, body: dict[str, Any]) -> None:
    named = {**body, "ext": {"attune": {"client": CLIENT}}}
    if path == "/_msearch":
        data = "".join(json.dumps(line) + "\n" for line in ({"index": "investments"}, named))
        (answer,) = sidecar.post(path, data=data, content_type="application/x-ndjson").json["responses"]
    else:
        answer = sidecar.post(path, json=named).json
    assert "error" not in answer, answer
    for hit in answer["hits"]["hits"]:
        own = hit["_source"]["attributes"]
        assert int(own["risk class"]) <= CLIENT["risk"]
        assert int(own["horizon years"]) <= CLIENT["horizon"]


def test_recommendations_suit_their_client(sidecar: Any) -> None:
    for kind in ("next_purchase", "trending", "similar"):
        call = {"kind": kind, "client": CLIENT, "size": 100, "products": ["inv-0170"]}
        answer = sidecar.post("/_attune/recommend", json=call)
        assert answer.status_code == 200, answer.text
        shown = [hit["_source"]["attributes"] for hit in answer.json["hits"]["hits"]]
        assert all(int(own["risk class"]) <= 2 and int(own["horizon years"]) <= 3 for own in shown)
        assert shown or kind != "similar"


def test_what_does_not_suit_is_shown_last_and_marked_where_that_is_asked_for(sidecar: Any) -> None:
    named = {"ext": {"attune": {"client": {**CLIENT, "show": "marked"}}}, "size": 100}
    hits = sidecar.post("/investments/_search", json={"query": {"match": {"title": "fund"}}, **named}).json
    warned = ["attune.warning" in hit.get("fields", {}) for hit in hits["hits"]["hits"]]
    assert sorted(warned) == warned
    assert any(warned)
    assert not all(warned)
    for hit, is_warned in zip(hits["hits"]["hits"], warned, strict=True):
        own = hit["_source"]["attributes"]
        assert is_warned == (int(own["risk class"]) > 2 or int(own["horizon years"]) > 3)


MARKED = {"ext": {"attune": {"client": {**CLIENT, "show": "marked"}}}}
PAGED: list[dict[str, Any]] = [
    {"query": {"match": {"title": "fund"}}},
    {"query": {"match": {"title": "technology"}}},
    {"query": {"match_all": {}}},
    {"query": {"match": {"title": "fund"}}, "sort": [{"price": "desc"}, "_doc"]},
]


@pytest.mark.parametrize("body", PAGED, ids=json.dumps)
@pytest.mark.parametrize("path", ["/investments/_search", "/_msearch"])
def test_no_page_shows_what_suits_behind_what_does_not(sidecar: Any, path: str, body: dict[str, Any]) -> None:
    def fetch(start: int, size: int) -> dict[str, Any]:
        page = {**body, **MARKED, "from": start, "size": size}
        if path != "/_msearch":
            answer: dict[str, Any] = sidecar.post(path, json=page).json or {}
            return answer
        data = "".join(json.dumps(line) + "\n" for line in ({"index": "investments"}, page))
        answers: Any = sidecar.post(path, data=data, content_type="application/x-ndjson").json
        (answer,) = answers["responses"]
        return answer

    whole = fetch(0, 290)["hits"]
    pages = [fetch(start, 40)["hits"] for start in range(0, 320, 40)]
    hits = [hit for page in pages for hit in page["hits"]]
    warned = ["attune.warning" in hit.get("fields", {}) for hit in hits]
    assert sorted(warned) == warned
    assert len(hits) == len({hit["_id"] for hit in hits}) == whole["total"]["value"]
    assert {hit["_id"] for hit in hits} == {hit["_id"] for hit in whole["hits"]}
    assert any(warned)
    for hit, is_warned in zip(hits, warned, strict=True):
        own = hit["_source"]["attributes"]
        assert is_warned == (int(own["risk class"]) > 2 or int(own["horizon years"]) > 3)


def test_facets_beside_marked_products_are_of_both(sidecar: Any) -> None:
    kinds = {"classes": {"terms": {"field": "facets", "include": "risk class=.*"}}}
    answer: Any = sidecar.post("/investments/_search", json={"aggs": kinds, **MARKED}).json
    buckets = answer["aggregations"]["classes"]["buckets"]
    assert {bucket["key"] for bucket in buckets} == {f"risk class={n}" for n in range(1, 8)}
    assert sum(bucket["doc_count"] for bucket in buckets) == answer["hits"]["total"]["value"]


@pytest.mark.parametrize(
    ("path", "part"),
    [
        ("/investments/_search", {"collapse": {"field": "brand.keyword"}}),
        ("/investments/_search", {"sort": ["price"], "search_after": [1]}),
        ("/investments/_search?scroll=1m", {}),
    ],
)
def test_what_cannot_show_marked_products_last_is_refused(
    sidecar: Any, path: str, part: dict[str, Any]
) -> None:
    answer = sidecar.post(path, json={"query": {"match_all": {}}, **part, **MARKED})
    assert answer.status_code == 400
    assert "by from and size" in answer.text


def test_a_scroll_shows_what_suits_alone_on_every_page(sidecar: Any) -> None:
    body = {"query": {"match_all": {}}, "size": 20, "ext": {"attune": {"client": CLIENT}}}
    answer: Any = sidecar.post("/investments/_search?scroll=1m", json=body).json
    pages = 0
    while answer["hits"]["hits"]:
        pages += 1
        for hit in answer["hits"]["hits"]:
            assert int(hit["_source"]["attributes"]["risk class"]) <= CLIENT["risk"]
        scroll = {"scroll": "1m", "scroll_id": answer["_scroll_id"]}
        answer = sidecar.post("/_search/scroll", json=scroll).json
    assert pages > 1
    sidecar.delete("/_search/scroll", json={"scroll_id": answer["_scroll_id"]})


def test_totals_and_facets_are_of_what_suits(sidecar: Any, opensearch: str) -> None:
    kinds = {"kinds": {"terms": {"field": "facets", "include": "risk class=.*"}}}
    body = {"query": {"match_all": {}}, "aggs": kinds, "track_total_hits": True}
    answer = sidecar.post("/investments/_search", json={**body, "ext": {"attune": {"client": CLIENT}}}).json
    assert {bucket["key"] for bucket in answer["aggregations"]["kinds"]["buckets"]} == {
        "risk class=1",
        "risk class=2",
    }
    client: OpenSearch = connect(OpenSearchSettings(url=opensearch))
    assert 0 < answer["hits"]["total"]["value"] < client.count(index="investments")["count"]
    client.close()


def test_what_the_sidecar_cannot_read_is_refused_and_never_answered_unrestricted(
    sidecar: Any,
) -> None:
    named = json.dumps(
        {"ext": {"attune": {"client": CLIENT}}, "query": {"match_all": {}}, "x": "y" * 200_000}
    )
    assert (
        sidecar.post("/investments/_search", data=named, content_type="application/json").status_code == 400
    )
    assert sidecar.post("/investments/_search", json={"ext": {"attune": {"client": {}}}}).status_code == 400
