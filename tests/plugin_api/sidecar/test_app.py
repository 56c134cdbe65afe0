import gzip
import json
from collections.abc import Iterator
from typing import Any

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from mappings.settings import OpenSearchSettings, SearchSettings, Settings, SidecarSettings
from plugin_api.opensearch.client import OpenSearchResponse
from plugin_api.opensearch.http_client import HttpClient
from plugin_api.sidecar.app import create_app
from plugin_api.sidecar.searches import search_kind
from tests.fakes.shop import VERSION, Shop, StandInModel

SETTINGS = Settings(
    search=SearchSettings(keyword_weight=1.0),
    sidecar=SidecarSettings(deadline_ms=5000, max_body_bytes=1000),
)
MOUSE = {"query": {"match": {"title": "mouse"}}}


@pytest.fixture
def web(shop: Shop) -> FlaskClient:
    shop.products, shop.near = {"a": 51, "b": 102}, {"c": 255}
    return create_app(SETTINGS, shop, StandInModel()).test_client()


@pytest.fixture
def down() -> Iterator[FlaskClient]:
    settings = Settings(opensearch=OpenSearchSettings(url="http://127.0.0.1:9"), sidecar=SETTINGS.sidecar)
    nobody = HttpClient(settings.opensearch)
    yield create_app(settings, nobody, StandInModel()).test_client()
    nobody.close()


def error(response: TestResponse) -> dict[str, Any]:
    """The error of a response, after checking that it has OpenSearch's shape."""
    body = json.loads(response.data)
    assert body["status"] == response.status_code
    assert body["error"]["root_cause"] == [{key: body["error"][key] for key in ("type", "reason")}]
    return dict(body["error"])


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_search_is_reranked(web: FlaskClient, method: str) -> None:
    response = web.open("/shop/_search?size=2", method=method, json=MOUSE)
    assert response.status_code == 200
    assert response.content_type == "application/json; charset=UTF-8"
    assert [hit["_id"] for hit in response.json["hits"]["hits"]] == ["c", "b"]  # type: ignore[index]


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_count_is_of_what_a_search_finds(web: FlaskClient, shop: Shop, method: str) -> None:
    response = web.open("/shop/_count", method=method, json=MOUSE)
    found = web.post("/shop/_search", json=MOUSE).json["hits"]["total"]["value"]  # type: ignore[index]
    assert response.json["count"] == found == 3  # type: ignore[index]
    assert response.headers["x-attune-rerank-reason-code"] == "count"
    assert web.open("/shop/_count?pretty", method=method, json=MOUSE).data.startswith(b'{\n  "count": 3')


@pytest.mark.parametrize("body", [b"", b'{"query":  {"match_all": {}}}', b"{not json"])
def test_a_count_without_a_text_goes_on_as_it_came(web: FlaskClient, shop: Shop, body: bytes) -> None:
    web.post("/shop/_count?routing=a", data=body, content_type="application/json")
    assert [sent[1:] for sent in shop.sent] == [("/shop/_count?routing=a", body)]


def test_pretty_is_for_people(web: FlaskClient) -> None:
    assert web.post("/shop/_search?pretty", json=MOUSE).data.startswith(b'{\n  "took": ')
    assert web.post("/shop/_search?pretty=false", json=MOUSE).data.startswith(b'{"took":')


def test_callers_credentials_go_on(web: FlaskClient, shop: Shop) -> None:
    web.set_cookie("session", "x")
    web.post("/shop/_search", json=MOUSE, headers={"Authorization": "Basic abc", "X-Opaque-Id": "7"})
    web.post("/shop/_search", json={}, headers={"Authorization": "Basic abc"})
    *_, reranked, plain = (headers for *_, headers in shop.requests)
    assert (reranked["authorization"], reranked["x-opaque-id"]) == ("Basic abc", "7")
    assert plain["authorization"] == "Basic abc"
    assert reranked["cookie"] == "session=x"
    assert not {"host", "content-length", "connection"} & reranked.keys()


def test_index_names_reach_opensearch_whole(web: FlaskClient, shop: Shop) -> None:
    web.post("/shop-*,caf%C3%A9/_search", json={})
    assert shop.requests[0][0] == "/shop-*,caf%C3%A9/_search"


def test_opensearchs_errors_come_back_as_they_are(web: FlaskClient, shop: Shop) -> None:
    cause = {"type": "index_not_found_exception", "reason": "no such index [shop]"}
    shop.refuse["products"] = (404, {"error": {"root_cause": [cause], **cause}, "status": 404})
    assert error(web.post("/shop/_search", json=MOUSE))["reason"] == "no such index [shop]"


def test_a_body_beyond_the_limit_is_refused_where_no_server_passes_it_through(web: FlaskClient) -> None:
    response = web.post("/shop/_search", data=json.dumps(MOUSE) + " " * 1001)
    assert response.status_code == 413
    error(response)


def test_down_is_503_in_opensearchs_shape(down: FlaskClient) -> None:
    response = down.post("/shop/_search", json=MOUSE)
    assert response.status_code == 503
    assert "127.0.0.1:9" in error(response)["reason"]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/_cat/indices?v"),
        ("DELETE", "/shop/_search"),
        ("PUT", "/shop"),
        ("GET", "/"),
        ("PATCH", "/_plugins/_security/api/roles"),
        ("POST", "/_search/scroll"),
        ("POST", "/a/b/_search"),
        ("POST", "/shop//caf%c3%A9/%2F?q=%20"),
        ("PROPFIND", "/shop"),
    ],
)
def test_everything_else_goes_through_byte_for_byte(
    web: FlaskClient, shop: Shop, method: str, path: str
) -> None:
    shop.other = OpenSearchResponse(
        418, (("content-type", "text/plain"), ("x-a", "1"), ("x-a", "2")), b"\x00\xff"
    )
    response = web.open(path, method=method, data=b"{not json")
    assert (response.status_code, response.data) == (418, b"\x00\xff")
    assert response.headers.getlist("x-a") == ["1", "2"]
    assert response.content_type == "text/plain"
    assert shop.sent == [(method, path, b"{not json")]


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/_search", ("_search", "")),
        ("/shop/_search", ("_search", "shop")),
        ("/_all/_search", ("_search", "_all")),
        ("/caf%C3%A9,b*/_search", ("_search", "caf%C3%A9,b*")),
        ("/shop/%5fsearch", ("", "")),
        ("/a%2Fb/_search", ("_search", "a%2Fb")),
        ("/shop/_msearch", ("_msearch", "shop")),
        ("/shop/_count", ("_count", "shop")),
        ("/_count", ("_count", "")),
        ("/_cat/count", ("", "")),
        ("/shop/_search/template", ("_search/template", "shop")),
        ("/_msearch/template", ("_msearch/template", "")),
        ("/shop/_search/", ("_search", "shop")),
        ("/_search/scroll", ("", "")),
        ("/shop/_doc/_search", ("", "")),
        ("/_plugins/_search", ("", "")),
        ("/", ("", "")),
    ],
)
def test_paths_that_search(path: str, expected: tuple[str, str]) -> None:
    assert search_kind(path) == expected


def test_a_compressed_search_is_read(web: FlaskClient) -> None:
    packed = gzip.compress(json.dumps(MOUSE).encode())
    headers = {"Content-Encoding": "gzip", "Content-Type": "application/json"}
    response = web.post("/shop/_search", data=packed, headers=headers)
    assert response.json["ext"]["attune"]["rerank_status"] == "reranked"  # type: ignore[index]
    bomb = gzip.compress(b" " * 100_000)
    response = web.post("/shop/_search", data=bomb, headers=headers)
    assert response.headers["x-attune-rerank-status"] == "skipped"


def test_a_search_of_a_type_that_opensearch_refuses_is_its_to_refuse(web: FlaskClient, shop: Shop) -> None:
    for kind in ("application/x-ndjson", "text/json", "text/plain"):
        web.post("/shop/_search", data=json.dumps(MOUSE), content_type=kind)
        assert shop.requests[-1][3]["content-type"] == kind


def test_a_list_of_searches_keeps_its_order(web: FlaskClient, shop: Shop) -> None:
    searches = [{}, MOUSE, {"index": "other"}, {"size": 0, "aggs": {"b": {}}}, {"preference": "me"}, MOUSE]
    lines = "".join(json.dumps(line) + "\n" for line in searches)
    response = web.post("/shop/_msearch", data=lines, content_type="application/x-ndjson")
    answers = response.json["responses"]  # type: ignore[index]
    assert [answer["ext"]["attune"]["rerank_status"] for answer in answers] == [
        "reranked",
        "skipped",
        "reranked",
    ]
    assert [hit["_id"] for hit in answers[0]["hits"]["hits"]] == ["c", "b", "a"]
    assert answers[1]["aggregations"] == {"brands": {"buckets": []}}
    assert {answer["status"] for answer in answers} == {200}


def test_a_list_without_texts_keeps_vectors_out_of_its_hits_too(web: FlaskClient, shop: Shop) -> None:
    response = web.post("/shop/_msearch", data=b"{}\n{}\n", content_type="application/x-ndjson")
    (answer,) = response.json["responses"]  # type: ignore[index]
    assert answer["ext"]["attune"]["rerank_status"] == "skipped"
    assert json.loads(shop.sent[0][2].splitlines()[1])["_source"] == {"excludes": ["attune", "attune.*"]}


def test_a_list_of_searches_that_go_on_as_they_came_does_so_whole(web: FlaskClient, shop: Shop) -> None:
    lines = b"{}\n{not json\n"
    assert web.post("/_msearch", data=lines, content_type="application/x-ndjson").status_code == 200
    assert shop.sent == [("POST", "/_msearch", lines)]


def test_a_template_is_rendered_then_reranked(web: FlaskClient, shop: Shop) -> None:
    shop.other = OpenSearchResponse(200, (), json.dumps({"template_output": MOUSE}).encode())
    template = {"id": "by-title", "params": {"text": "mouse"}}
    response = web.post("/shop/_search/template", json=template)
    assert response.json["ext"]["attune"]["rerank_status"] == "reranked"  # type: ignore[index]
    assert response.json["status"] == 200  # type: ignore[index]  # as in OpenSearch's own answers to templates
    assert shop.sent[0][:2] == ("POST", "/_render/template")
    assert json.loads(shop.sent[0][2]) == template


def test_a_template_that_is_not_to_be_reranked_finds_the_same_hits(web: FlaskClient, shop: Shop) -> None:
    shop.other = OpenSearchResponse(200, (), json.dumps({"template_output": MOUSE}).encode())
    response = web.post("/shop/_search/template?scroll=1m", json={"id": "by-title"})
    assert "scroll" in response.headers["x-attune-rerank-reason"]
    assert {hit["_id"] for hit in response.json["hits"]["hits"]} == set("abc")  # type: ignore[index]
    assert shop.sent[-1][:2] == ("POST", "/shop/_search?scroll=1m")


def test_a_template_that_can_not_be_read_goes_on_as_it_came(web: FlaskClient, shop: Shop) -> None:
    large = {"query": {"match": {"title": "mouse " * 30_000}}}
    shop.other = OpenSearchResponse(200, (), json.dumps({"template_output": large}).encode())
    template = b'{"id": "by-title"}'
    response = web.post("/_search/template", data=template, content_type="application/json")
    assert response.headers["x-attune-rerank-reason-code"] == "body_too_large"
    assert shop.sent[-1] == ("POST", "/_search/template", template)


def test_a_template_that_is_not_rendered_goes_on_as_it_came(web: FlaskClient, shop: Shop) -> None:
    shop.other = OpenSearchResponse(403, (), b'{"error": {"type": "security_exception"}}')
    response = web.post("/shop/_search/template", data=b'{"id": "x" }', content_type="application/json")
    assert (response.status_code, response.headers["x-attune-rerank-status"]) == (403, "skipped")
    assert shop.sent[-1] == ("POST", "/shop/_search/template", b'{"id": "x" }')


def test_alive_and_ready(web: FlaskClient, shop: Shop) -> None:
    assert web.get("/_attune/health").json == {"status": "alive", "model": VERSION, "models": [VERSION]}
    assert not shop.requests
    assert web.get("/_attune/ready").json == {"status": "ready", "model": VERSION}
    assert shop.requests


def test_ready_needs_opensearch_but_alive_does_not(down: FlaskClient) -> None:
    assert down.get("/_attune/health").status_code == 200
    response = down.get("/_attune/ready")
    assert response.status_code == 503
    assert "127.0.0.1:9" in response.json["reason"]  # type: ignore[index]


@pytest.mark.parametrize(("status", "expected"), [(401, 200), (403, 200), (500, 503)])
def test_who_refuses_the_sidecars_credentials_is_there(
    web: FlaskClient, shop: Shop, status: int, expected: int
) -> None:
    shop.other = OpenSearchResponse(status, (), b"{}")
    assert web.get("/_attune/ready").status_code == expected
