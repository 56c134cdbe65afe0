"""The finance demo on a real OpenSearch, and what its clients are shown by a sidecar."""

import json
from typing import Any

import pytest
from click.testing import CliRunner
from opensearchpy import OpenSearch

from mappings.client import connect
from mappings.settings import OpenSearchSettings, load_settings
from plugin_api.cli import attune
from plugin_api.opensearch.http_client import HttpClient
from plugin_api.sidecar.app import create_app
from reranker.model import load_model

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
    environment = {
        "ATTUNE_OPENSEARCH_URL": opensearch,
        "ATTUNE_SIDECAR_DEADLINE_MS": "10000",
        "ATTUNE_SHOPPERS_KEY": "k",
    }
    arguments = ["demo", "--domain", "finance", "--port", "0", "--json"]
    result = CliRunner().invoke(attune, arguments, env=environment)
    if result.exception:
        raise result.exception
    report: dict[str, Any] = json.loads(result.output)
    return report


@pytest.fixture(scope="module")
def sidecar(opensearch: str, demo: dict[str, Any]) -> Any:
    environment = {
        "ATTUNE_OPENSEARCH_URL": opensearch,
        "ATTUNE_SIDECAR_DEADLINE_MS": "10000",
        "ATTUNE_SHOPPERS_KEY": "k",
    }
    settings = load_settings(None, environment, "finance")
    return create_app(settings, HttpClient(settings.opensearch), load_model()).test_client()


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


def test_what_the_sidecar_cannot_read_is_refused_and_never_answered_unrestricted(sidecar: Any) -> None:
    named = json.dumps(
        {"ext": {"attune": {"client": CLIENT}}, "query": {"match_all": {}}, "x": "y" * 200_000}
    )
    assert (
        sidecar.post("/investments/_search", data=named, content_type="application/json").status_code == 400
    )
    assert sidecar.post("/investments/_search", json={"ext": {"attune": {"client": {}}}}).status_code == 400
