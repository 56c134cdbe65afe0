import json
from collections.abc import Iterator
from typing import Any

import pytest
from flask.testing import FlaskClient
from opensearchpy import OpenSearch
from werkzeug.test import TestResponse

from mappings.settings import OpenSearchSettings, SearchSettings, Settings, SidecarSettings
from plugin_api.app import create_app
from tests.plugin_api.stand_in import VERSION, Shop, StandInModel

SETTINGS = Settings(
    search=SearchSettings(keyword_weight=1.0),
    sidecar=SidecarSettings(deadline_ms=5000, max_body_bytes=1000),
)
MOUSE = {"query": {"match": {"title": "mouse"}}}


@pytest.fixture
def web(shop: Shop, client: OpenSearch) -> FlaskClient:
    shop.products, shop.near = {"a": 51, "b": 102}, {"c": 255}
    return create_app(SETTINGS, client, StandInModel()).test_client()


@pytest.fixture
def down() -> Iterator[FlaskClient]:
    nobody = OpenSearch("http://127.0.0.1:9", max_retries=0)
    settings = Settings(opensearch=OpenSearchSettings(url="http://127.0.0.1:9"), sidecar=SETTINGS.sidecar)
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


def test_pretty_is_for_people(web: FlaskClient) -> None:
    assert web.post("/shop/_search?pretty", json=MOUSE).data.startswith(b'{\n  "took": ')
    assert web.post("/shop/_search?pretty=false", json=MOUSE).data.startswith(b'{"took":')


def test_callers_credentials_go_on(web: FlaskClient, shop: Shop) -> None:
    web.post(
        "/shop/_search", json=MOUSE, headers={"Authorization": "Basic abc", "X-Opaque-Id": "7", "Cookie": "x"}
    )
    web.post("/shop/_search", json={}, headers={"Authorization": "Basic abc"})
    *_, reranked, plain = (headers for *_, headers in shop.requests)
    assert (reranked["authorization"], reranked["x-opaque-id"]) == ("Basic abc", "7")
    assert plain == {"authorization": "Basic abc"}
    assert "cookie" not in reranked


def test_index_names_reach_opensearch_whole(web: FlaskClient, shop: Shop) -> None:
    web.post("/shop-*,caf%C3%A9/_search", json={})
    assert shop.requests[0][0] == "/shop-*,caf%C3%A9/_search"


def test_opensearchs_errors_come_back_as_they_are(web: FlaskClient, shop: Shop) -> None:
    cause = {"type": "index_not_found_exception", "reason": "no such index [shop]"}
    shop.refuse["products"] = (404, {"error": {"root_cause": [cause], **cause}, "status": 404})
    assert error(web.post("/shop/_search", json=MOUSE))["reason"] == "no such index [shop]"


def test_a_body_beyond_the_limit(web: FlaskClient) -> None:
    response = web.post("/shop/_search", data=b" " * 1001)
    assert response.status_code == 413
    assert error(response)


def test_down_is_503_in_opensearchs_shape(down: FlaskClient) -> None:
    response = down.post("/shop/_search", json=MOUSE)
    assert response.status_code == 503
    assert "127.0.0.1:9" in error(response)["reason"]


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/_cat/indices"), ("DELETE", "/shop/_search"), ("GET", "/")]
)
def test_other_paths_are_not_served_yet(web: FlaskClient, method: str, path: str) -> None:
    response = web.open(path, method=method)
    assert response.status_code == 501
    assert path in error(response)["reason"]


def test_alive_and_ready(web: FlaskClient, shop: Shop) -> None:
    assert web.get("/_attune/health").json == {"status": "alive", "model": VERSION}
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
    shop.refuse["products"] = (status, {"error": "Unauthorized"})
    assert web.get("/_attune/ready").status_code == expected
