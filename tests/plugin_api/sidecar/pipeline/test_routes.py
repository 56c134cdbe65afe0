import base64
import json
import threading
from dataclasses import replace
from typing import Any

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from mappings.settings import Settings, SidecarSettings
from plugin_api.sidecar.app import create_app
from tests.fakes.preview_shop import shipped_model
from tests.fakes.shop import VERSION, Shop, StandInModel

MOUSE = {"query": {"match": {"title": "mouse"}}, "size": 2}
SETTINGS = Settings(sidecar=SidecarSettings(max_body_bytes=5000, max_concurrent_reranks=1))


@pytest.fixture
def web(shop: Shop) -> FlaskClient:
    return create_app(SETTINGS, shop, StandInModel()).test_client()


def hits(*stored: int) -> dict[str, Any]:
    tokens = [base64.b64encode(bytes([byte])).decode().rstrip("=") for byte in stored]
    return {"tokens": tokens, "models": [VERSION] * len(stored)}


def error(response: TestResponse) -> dict[str, Any]:
    body = json.loads(response.data)
    assert body["status"] == response.status_code
    return dict(body["error"])


def test_a_search_is_rewritten_to_json_in_a_string(web: FlaskClient) -> None:
    for hybrid in (True, False):
        call = {"search": MOUSE, "window": 100, "hybrid": hybrid}
        answer = web.post("/_attune/cluster/rewrite", json=call)
        assert answer.status_code == 200
        search = json.loads(json.loads(answer.data)["request"])
        assert search["size"] == 100
        assert ("hybrid" in search["query"]) is hybrid


def test_a_shoppers_dollar_is_no_variable_of_the_pipelines(web: FlaskClient) -> None:
    query = {"match": {"title": "mouse ${parameters.key}"}}
    answer = web.post("/_attune/cluster/rewrite", json={"search": {"query": query}, "window": 0})
    request = json.loads(answer.data)["request"]
    assert "$" not in request
    assert query in json.loads(request)["query"]["hybrid"]["queries"]


def test_hits_are_scored(web: FlaskClient, shop: Shop) -> None:
    answer = web.post("/_attune/cluster/score", json={"search": MOUSE, "window": 0, **hits(0, 255)})
    low, high = json.loads(answer.data)["scores"]
    assert 0 <= low < high <= 1
    assert not shop.sent  # OpenSearch is asked nothing: the caller's own search has found the hits


@pytest.mark.parametrize(
    ("search", "more", "kind"),
    [
        ({"query": {"match_all": {}}}, {}, "not_reranked_exception"),
        (MOUSE, {"models": ["f" * 12]}, "not_reranked_exception"),
        ({"query": {"match": {"title": "unreadable"}}}, {}, "model_exception"),
        (MOUSE, {"tokens": [""]}, "model_exception"),
    ],
)
def test_what_is_not_scored_is_an_error_so_that_the_pipeline_leaves_it(
    web: FlaskClient, search: object, more: dict[str, Any], kind: str
) -> None:
    call = {"search": search, "window": 0, **hits(1), **more}
    answer = web.post("/_attune/cluster/score", json=call)
    assert answer.status_code == 422
    assert error(answer)["type"] == kind


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b'{"search": {}}',
        b'{"search": {}, "window": 1001}',
        b'{"search": {}, "window": 0, "hybrid": 1}',
        b'{"search": {}, "window": 0, "tokens": [1], "models": []}',
        b'{"search": {"ext": {"attune": {"window": "x"}}}, "window": 0, "tokens": [], "models": []}',
        json.dumps({"search": MOUSE, "window": 0, "tokens": ["/w", "/w"], "models": [VERSION]}).encode(),
        b"[" * 4000,
    ],
)
def test_what_is_no_call_is_a_400(web: FlaskClient, body: bytes) -> None:
    answer = web.post("/_attune/cluster/score", data=body, content_type="application/json")
    assert answer.status_code == 400
    assert error(answer)["reason"]


@pytest.mark.parametrize("search", [b"[]", b"7", b'"x"', b'{"query": []}'])
def test_a_search_that_is_none_comes_back_for_opensearch_to_judge(web: FlaskClient, search: bytes) -> None:
    body = b'{"window": 0, "search": ' + search + b"}"
    answer = web.post("/_attune/cluster/rewrite", data=body, content_type="application/json")
    assert answer.status_code == 200
    assert json.loads(json.loads(answer.data)["request"]) == json.loads(search)


def test_a_body_beyond_the_limit_is_refused(web: FlaskClient) -> None:
    call = {"search": MOUSE, "window": 0, "tokens": ["x" * 6000], "models": [VERSION]}
    assert web.post("/_attune/cluster/score", json=call).status_code == 413


def test_there_is_nothing_to_get(web: FlaskClient) -> None:
    assert web.get("/_attune/cluster/score").status_code in (404, 405)


def test_the_cluster_shows_its_key(shop: Shop) -> None:
    settings = replace(SETTINGS, sidecar=replace(SETTINGS.sidecar, api_keys="sesame"))
    web = create_app(settings, shop, StandInModel()).test_client()
    call = {"search": MOUSE, "window": 0}
    assert web.post("/_attune/cluster/rewrite", json=call).status_code == 401
    for key, expected in (("none", 401), ("sesame", 200)):
        headers = {"Authorization": f"Bearer {key}"}
        assert web.post("/_attune/cluster/rewrite", json=call, headers=headers).status_code == expected


def test_who_would_have_to_wait_is_told_at_once(shop: Shop) -> None:
    class Slow(StandInModel):
        begun, end = threading.Event(), threading.Event()

        def encode_query(self, text: str) -> Any:
            self.begun.set()
            self.end.wait(30)
            return super().encode_query(text)

    model = Slow()
    app = create_app(SETTINGS, shop, model)
    call = {"search": MOUSE, "window": 0}
    first: list[int] = []

    def ask() -> None:
        first.append(app.test_client().post("/_attune/cluster/rewrite", json=call).status_code)

    thread = threading.Thread(target=ask)
    thread.start()
    assert model.begun.wait(30)
    answer = app.test_client().post("/_attune/cluster/rewrite", json=call)
    model.end.set()
    thread.join()
    assert answer.status_code == 429
    assert "max_concurrent_reranks" in error(answer)["reason"]
    assert first == [200]


def test_a_document_is_encoded_by_the_model_of_its_index(shop: Shop) -> None:
    model = shipped_model()
    web = create_app(SETTINGS, shop, StandInModel(), [model]).test_client()
    call = {
        "document": {"_index": "myshop", "_id": "7", "name": "Cordless mouse"},
        "fields": {"id": "_id", "title": "name"},
        "model": model.version,
        "vectors": "byte",
    }
    answer = web.post("/_attune/cluster/encode", json=call)
    assert answer.status_code == 200
    own = json.loads(answer.data)["attune"]
    assert model.is_readable(base64.b64decode(own["tokens"]))
    assert len(own["vector"]) == model.dimension
    for changed, kind in (
        ({"document": {"_id": "7", "price": 3}}, "no_text_exception"),
        ({"model": "0123"}, "model_exception"),
    ):
        answer = web.post("/_attune/cluster/encode", json={**call, **changed})
        assert answer.status_code == 422
        assert error(answer)["type"] == kind
    for changed in ({"fields": {"id": "_id"}}, {"vectors": "half"}, {"document": []}):
        assert web.post("/_attune/cluster/encode", json={**call, **changed}).status_code == 400
    assert not shop.sent
