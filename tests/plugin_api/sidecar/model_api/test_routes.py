import base64
import json
import threading
import time
from collections.abc import Iterator
from typing import Any

import msgspec
import numpy as np
import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from mappings.settings import Settings, SidecarSettings
from mappings.types import Product
from plugin_api.sidecar.app import create_app
from plugin_api.sidecar.model_api.messages import (
    DocumentsError,
    DocumentsResponse,
    EmbeddingsResponse,
    OpenAIError,
    TextScore,
    TextsError,
    VoyageResponse,
)
from plugin_api.sidecar.model_api.routes import read_product, sort_scores
from reranker.model import Model, load_model
from reranker.types import EncodedQuery
from tests.fakes.shop import Shop
from tests.fakes.slow_model import SlowModel, slow_model

COHERE = ("/v1/rerank", "/v2/rerank")
TEXTS, EMBEDDINGS = "/rerank", "/v1/embeddings"
ALL = (*COHERE, TEXTS, EMBEDDINGS)
DOCUMENTS = ["USB-C charging cable", "Logitech M185 wireless mouse", "Cordless floor lamp"]
CALL: dict[str, dict[str, Any]] = {
    "/v1/rerank": {"query": "wireless mouse", "documents": DOCUMENTS},
    "/v2/rerank": {"query": "wireless mouse", "documents": DOCUMENTS, "model": "rerank-v3.5"},
    TEXTS: {"query": "wireless mouse", "texts": DOCUMENTS},
    EMBEDDINGS: {"input": DOCUMENTS, "model": "text-embedding-3-small"},
}
SETTINGS = Settings(sidecar=SidecarSettings(max_body_bytes=100_000, max_documents=50))


@pytest.fixture(scope="module")
def model() -> Model:
    return load_model(None)


@pytest.fixture(scope="module")
def web(model: Model) -> FlaskClient:
    return create_app(SETTINGS, Shop(), model).test_client()


def refused(response: TestResponse, status: int) -> str:
    """The message of an error, after checking that it has the shape of its route."""
    assert response.status_code == status, response.data
    assert response.content_type == "application/json"
    path = response.request.path.rstrip("/")
    if path in COHERE:
        return msgspec.json.decode(response.data, type=DocumentsError).message
    if path == TEXTS:
        return msgspec.json.decode(response.data, type=TextsError).error
    error = msgspec.json.decode(response.data, type=OpenAIError).error
    assert error.type == ("invalid_request_error" if status < 500 else "server_error")
    return error.message


# Reranking


@pytest.mark.parametrize("path", COHERE)
def test_the_best_document_comes_first(web: FlaskClient, model: Model, path: str) -> None:
    found = msgspec.json.decode(web.post(path, json=CALL[path]).data, type=DocumentsResponse)
    assert found.results[0].index == 1
    assert {result.index for result in found.results} == {0, 1, 2}
    scores = [result.relevance_score for result in found.results]
    assert scores == sorted(scores, reverse=True)
    assert all(score == round(score, 8) and 0 <= score <= 1 for score in scores)
    assert found.model == f"attune-{model.version}"
    assert found.meta.api_version.version == path[2]
    assert found.meta.warnings is msgspec.UNSET
    assert all(result.document is None for result in found.results)


def test_scores_never_need_more_digits_than_a_double_has_in_ml_commons(web: FlaskClient) -> None:
    shown = web.post("/v1/rerank", json=CALL["/v1/rerank"]).text
    for result in json.loads(shown, parse_float=str)["results"]:
        assert len(result["relevance_score"]) <= 12


def test_as_many_come_back_as_are_asked_for(web: FlaskClient) -> None:
    for wanted, come in ((1, 1), (2, 2), (100, 3), (None, 3)):
        response = web.post("/v2/rerank", json={**CALL["/v2/rerank"], "top_n": wanted})
        assert len(response.json["results"]) == come  # type: ignore[index]


def test_documents_come_back_where_they_are_asked_for(web: FlaskClient) -> None:
    documents = ["a lamp", {"text": "wireless mouse", "sku": 7, "price": 1.5, "new": True, "old": None}]
    call = {"query": "wireless mouse", "documents": documents, "return_documents": True}
    results = web.post("/v1/rerank", json=call).json["results"]  # type: ignore[index]
    assert [result["document"] for result in results] == [documents[1], {"text": "a lamp"}]


def test_products_are_read_by_their_fields(web: FlaskClient) -> None:
    documents = [
        {"title": "M185", "brand": "Logitech", "category": "Mice", "description": "A wireless mouse."},
        {"title": "Floor lamp", "brand": "Philips", "id": "7"},
    ]
    results = web.post("/v2/rerank", json={"query": "wireless mouse", "documents": documents}).json
    assert results["results"][0]["index"] == 0  # type: ignore[index]


def test_rank_fields_say_what_is_read(web: FlaskClient) -> None:
    documents = [{"text": "wireless mouse", "name": "lamp"}, {"text": "lamp", "name": "wireless mouse"}]
    call = {"query": "wireless mouse", "documents": documents}
    for fields, best in ((None, 0), (["name"], 1)):
        results = web.post("/v1/rerank", json={**call, "rank_fields": fields}).json
        assert results["results"][0]["index"] == best  # type: ignore[index]


def test_what_is_read_of_a_document() -> None:
    whole = {"title": "M185", "brand": "HP", "category": "Mice", "description": None, "sku": 7}
    assert read_product(0, "M185", None).title == "M185"
    product = read_product(0, whole, None)
    assert (product.title, product.brand, product.category, product.description) == ("M185", "HP", "Mice", "")
    assert read_product(0, whole, ["title", "sku"]).title == "M185. 7"
    assert read_product(0, {"text": "a", "title": "b"}, None).title == "a"


def test_texts_are_ranked_as_text_embeddings_inference_does(web: FlaskClient) -> None:
    found = msgspec.json.decode(web.post(TEXTS, json=CALL[TEXTS]).data, type=list[TextScore])
    assert found[0].index == 1
    assert all(rank.text is None and 0 <= rank.score <= 1 for rank in found)
    raw = web.post(TEXTS, json={**CALL[TEXTS], "raw_scores": True, "return_text": True, "truncate": True})
    odds = msgspec.json.decode(raw.data, type=list[TextScore])
    assert [rank.text for rank in odds] == [DOCUMENTS[rank.index] for rank in odds]
    for rank, of in zip(found, odds, strict=True):
        assert rank.index == of.index
        assert rank.score == pytest.approx(1 / (1 + np.exp(-of.score)), abs=1e-6)


def test_rerank_takes_documents_as_other_servers_have_it_there(web: FlaskClient) -> None:
    call = {"model": "m", "query": "wireless mouse", "documents": DOCUMENTS, "top_n": 1}
    found = msgspec.json.decode(web.post(TEXTS, json=call).data, type=DocumentsResponse)
    assert [result.index for result in found.results] == [1]
    response = web.post(TEXTS, json={**call, "documents": []})
    assert "documents: " in refused(response, 422)
    both = web.post(TEXTS, json={**call, "texts": DOCUMENTS})
    assert msgspec.json.decode(both.data, type=list[TextScore])[0].index == 1


@pytest.mark.parametrize(
    ("fields", "document", "count"),
    [
        ({"top_k": 2, "truncation": True}, None, 2),
        ({"top_k": None, "truncation": True, "return_documents": True}, DOCUMENTS[1], 3),
    ],
)
def test_voyages_requests_get_voyages_response(
    web: FlaskClient, fields: dict[str, Any], document: str | None, count: int
) -> None:
    call = {"query": "wireless mouse", "documents": DOCUMENTS, "model": "rerank-2.5", **fields}
    found = msgspec.json.decode(web.post("/v1/rerank", json=call).data, type=VoyageResponse)
    assert (found.data[0].index, len(found.data)) == (1, count)
    assert found.data[0].document == document
    assert found.usage.total_tokens > 0


def test_a_query_may_be_an_object(web: FlaskClient) -> None:
    for query in ("wireless mouse", {"text": "wireless mouse"}):
        results = web.post("/v1/rerank", json={"query": query, "documents": DOCUMENTS}).json["results"]  # type: ignore[index]
        assert results[0]["index"] == 1
    assert "query" in refused(web.post("/v1/rerank", json={"query": {}, "documents": DOCUMENTS}), 400)


def test_documents_may_have_more_than_is_read(web: FlaskClient) -> None:
    documents = [
        {"text": "a lamp", "metadata": {"id": 1, "tags": ["new"]}},
        {"title": "wireless mouse", "variants": [{"sku": 1}]},
    ]
    call = {"query": "wireless mouse", "documents": documents, "return_documents": True}
    for path in COHERE:
        results = web.post(path, json=call).json["results"]  # type: ignore[index]
        assert [result["document"] for result in results] == [documents[1], documents[0]]


def test_the_response_has_what_clients_of_jina_and_cohere_read(web: FlaskClient, model: Model) -> None:
    response = web.post("/v2/rerank", json=CALL["/v2/rerank"]).json
    assert response is not None
    one = len(model.tokenizer.encode("wireless mouse").ids)
    assert response["usage"]["total_tokens"] == response["usage"]["prompt_tokens"] > one
    assert response["meta"]["billed_units"] == {"search_units": 0}
    error = web.post("/v1/rerank", json={"query": "mouse"}).json
    assert error is not None
    assert error["message"] == error["detail"]


def test_equal_scores_keep_the_order_given() -> None:
    assert sort_scores(np.array([0.5, 0.75, 0.5], dtype=np.float32)) == [(1, 0.75), (0, 0.5), (2, 0.5)]


@pytest.mark.parametrize("path", COHERE)
def test_a_query_that_the_model_does_not_know_comes_with_a_warning(web: FlaskClient, path: str) -> None:
    response = web.post(path, json={"query": "苹果手机", "documents": ["苹果手机", "lamp"]})
    [warning] = response.json["meta"]["warnings"]  # type: ignore[index]
    assert "does not know 75% of the query" in warning
    assert response.json["results"][0]["index"] == 0  # type: ignore[index]


@pytest.mark.parametrize("text", ["\x00", " ", "é" * 5000, "\U0001f600", "\u202e", "a" * 5000, "[PAD]"])
def test_any_text_is_ranked_and_embedded(web: FlaskClient, text: str) -> None:
    assert web.post(COHERE[0], json={"query": text, "documents": [text, ""]}).status_code == 200
    for kind in ("query", "document"):
        response = web.post(EMBEDDINGS, json={"input": [text], "input_type": kind})
        vector = np.array(response.json["data"][0]["embedding"])  # type: ignore[index]
        assert np.linalg.norm(vector) == pytest.approx(1.0, abs=1e-4)


# Embeddings


def test_vectors_come_in_the_order_of_the_texts(web: FlaskClient, model: Model) -> None:
    found = msgspec.json.decode(web.post(EMBEDDINGS, json=CALL[EMBEDDINGS]).data, type=EmbeddingsResponse)
    assert [data.index for data in found.data] == [0, 1, 2]
    vectors = np.array([data.embedding for data in found.data])
    expected = np.stack([model.encode_query(text).vector for text in DOCUMENTS])
    np.testing.assert_allclose(vectors, expected, atol=1e-6)
    assert found.usage.prompt_tokens == found.usage.total_tokens > 0
    assert found.model == f"attune-{model.version}"


def test_base64_holds_the_same_vectors(web: FlaskClient, model: Model) -> None:
    call = {"input": "wireless mouse", "encoding_format": "base64", "dimensions": model.dimension}
    response = web.post(EMBEDDINGS, json=call).json
    vector = np.frombuffer(base64.b64decode(response["data"][0]["embedding"]), "<f4")  # type: ignore[index]
    np.testing.assert_array_equal(vector, model.encode_query("wireless mouse").vector)


@pytest.mark.parametrize("kind", ["document", "search_document", "passage"])
def test_products_are_embedded_by_their_own_tower(web: FlaskClient, model: Model, kind: str) -> None:
    response = web.post(EMBEDDINGS, json={"input": "wireless mouse", "input_type": kind}).json
    [product] = model.encode_products([Product("", title="wireless mouse")])
    vector = response["data"][0]["embedding"]  # type: ignore[index]
    np.testing.assert_allclose(vector, product.vector, atol=1e-6)


# Refusals


@pytest.mark.parametrize("path", ALL)
@pytest.mark.parametrize(
    "body", [b"", b"{", b"\xff", b'{"query": "\\ud800"}', b"nul", b'{"x": ' + b"[" * 50_000]
)
def test_what_is_not_json_is_400(web: FlaskClient, path: str, body: bytes) -> None:
    message = refused(web.post(path, data=body, content_type="application/json"), 400)
    assert "not JSON" in message or "nested" in message


@pytest.mark.parametrize("path", ALL)
@pytest.mark.parametrize("body", [[], {}, 1, "text", {"query": "mouse"}, {"input": ""}])
def test_what_is_not_a_request_is_400_or_422(web: FlaskClient, path: str, body: object) -> None:
    assert refused(web.post(path, json=body), 422 if path == TEXTS else 400)


@pytest.mark.parametrize(
    ("path", "change", "says"),
    [
        ("/v1/rerank", {"query": ""}, "query: "),
        ("/v1/rerank", {"query": 7}, "query: Expected `str"),
        ("/v1/rerank", {"documents": []}, "documents: "),
        ("/v1/rerank", {"documents": "mouse"}, "documents: Expected `array`"),
        ("/v1/rerank", {"documents": ["a", None]}, "documents[1]: "),
        ("/v2/rerank", {"documents": [{"text": ["a"]}]}, "documents[0]"),
        ("/v2/rerank", {"documents": ["a", {"name": "b", "sku": 1}]}, "document 1 has none of"),
        ("/v2/rerank", {"documents": [{"sku": 1}], "rank_fields": ["a"]}, "but sku: name in rank_fields"),
        ("/v2/rerank", {"rank_fields": []}, "rank_fields: "),
        ("/v2/rerank", {"top_n": 0}, "top_n: "),
        ("/v2/rerank", {"top_n": "3"}, "top_n: "),
        ("/v2/rerank", {"documents": ["a"] * 51}, "51 documents are too many: at most 50"),
        (EMBEDDINGS, {"input": [[1, 2], [3]]}, "send text, not tokens"),
        (EMBEDDINGS, {"input": [1, 2, 3]}, "send text, not tokens"),
        (EMBEDDINGS, {"input": []}, "input: "),
        (EMBEDDINGS, {"input": ["a", ""]}, "input[1]: "),
        (EMBEDDINGS, {"input": ["a"] * 51}, "51 input are too many: at most 50"),
        (EMBEDDINGS, {"encoding_format": "int8"}, "encoding_format: Invalid enum value"),
        (EMBEDDINGS, {"dimensions": 256}, "have 384 dimensions, not 256"),
        (EMBEDDINGS, {"input_type": "image"}, "input_type: Invalid enum value"),
        (TEXTS, {"texts": [1]}, "texts[0]: "),
        (TEXTS, {"texts": ["a"] * 51}, "51 texts are too many"),
        (TEXTS, {"raw_scores": "yes"}, "raw_scores: "),
        (TEXTS, {"truncation_direction": "Left"}, "truncation_direction: "),
    ],
)
def test_a_field_that_is_wrong_is_named(
    web: FlaskClient, path: str, change: dict[str, Any], says: str
) -> None:
    response = web.post(path, json={**CALL[path], **change})
    assert says in refused(response, 422 if path == TEXTS else 400)
    if path == EMBEDDINGS:
        assert response.json["error"]["param"] == next(iter(change))  # type: ignore[index]
    if path == TEXTS:
        assert response.json["error_type"] == "Validation"  # type: ignore[index]


@pytest.mark.parametrize("path", [*COHERE, EMBEDDINGS])
def test_another_model_version_is_404(web: FlaskClient, model: Model, path: str) -> None:
    asked = {**CALL[path], "model": "attune-0123456789ab"}
    assert f"attune-{model.version} is" in refused(web.post(path, json=asked), 404)
    assert web.post(path, json={**CALL[path], "model": f"attune-{model.version}"}).status_code == 200


@pytest.mark.parametrize("path", ALL)
def test_a_body_that_is_too_large_is_413(web: FlaskClient, path: str) -> None:
    response = web.post(path, data=b" " * 100_001, content_type="application/json")
    assert "100000 bytes (sidecar.max_body_bytes)" in refused(response, 413)


@pytest.mark.parametrize("path", ALL)
def test_a_body_of_another_type_is_415(web: FlaskClient, path: str) -> None:
    response = web.post(path, data=json.dumps(CALL[path]), content_type="text/plain")
    assert "application/json, not text/plain" in refused(response, 415)
    for kind in ("application/json; charset=utf-8", "application/vnd.api+json", None):
        assert web.post(path, data=json.dumps(CALL[path]), content_type=kind).status_code == 200


@pytest.mark.parametrize("path", [*ALL, "/v1/rerank/", "/rerank/"])
def test_who_has_no_key_is_401(model: Model, path: str) -> None:
    keyed = Settings(sidecar=SidecarSettings(api_keys="sesame"))
    web = create_app(keyed, Shop(), model).test_client()
    response = web.post(path, json=CALL[path.rstrip("/")])
    assert "needs an API key" in refused(response, 401)
    assert response.headers["WWW-Authenticate"] == "Bearer"
    with_key = {"Authorization": "Bearer sesame"}
    assert web.post(path, json=CALL[path.rstrip("/")], headers=with_key).status_code == 200


@pytest.mark.parametrize("path", ALL)
@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "HEAD", "OPTIONS"])
def test_other_methods_are_opensearchs(model: Model, shop: Shop, path: str, method: str) -> None:
    create_app(SETTINGS, shop, model).test_client().open(path, method=method)
    assert [sent[:2] for sent in shop.sent] == [(method, path)]


@pytest.fixture
def slow(model: Model) -> Iterator[SlowModel]:
    slow = slow_model(model)
    yield slow
    slow.go.set()


def test_calls_that_find_no_place_are_429(slow: SlowModel) -> None:
    app = create_app(Settings(sidecar=SidecarSettings(threads=2)), Shop(), slow)
    first: list[int] = []
    call = CALL["/v1/rerank"]
    asking = threading.Thread(
        target=lambda: first.append(app.test_client().post("/v1/rerank", json=call).status_code)
    )
    asking.start()
    assert slow.asked.wait(60)
    for path in ALL:
        response = app.test_client().post(path, json=CALL[path])
        assert "all 1 places at the model are taken" in refused(response, 429)
        assert response.headers["Retry-After"] == "1"
    slow.go.set()
    asking.join(60)
    assert first == [200]
    assert app.test_client().post("/v1/rerank", json=call).status_code == 200


@pytest.mark.parametrize("path", ALL)
def test_texts_that_take_too_long_are_503(model: Model, path: str) -> None:
    class HurriedModel(Model):
        """The shipped model; each query takes it longer than a call may take."""

        def encode_query(self, text: str) -> EncodedQuery:
            time.sleep(0.002)
            return super().encode_query(text)

    hurried = Settings(sidecar=SidecarSettings(model_deadline_ms=1))
    web = create_app(hurried, Shop(), HurriedModel(model.folder)).test_client()
    response = web.post(path, json=CALL[path])
    assert "longer than 1 ms (sidecar.model_deadline_ms): send fewer" in refused(response, 503)
    assert response.headers["Retry-After"] == "1"


class BrokenModel(Model):
    """The shipped model, which fails."""

    def encode_query(self, text: str) -> EncodedQuery:
        raise RuntimeError("a secret of the inside")


@pytest.mark.parametrize("path", ALL)
def test_a_model_that_fails_is_500_and_only_the_log_says_why(
    model: Model, path: str, caplog: pytest.LogCaptureFixture
) -> None:
    response = (
        create_app(SETTINGS, Shop(), BrokenModel(model.folder)).test_client().post(path, json=CALL[path])
    )
    assert refused(response, 500) == "the model failed: RuntimeError; the log says more"
    assert "a secret of the inside" in caplog.text


@pytest.mark.parametrize("path", ALL)
def test_bodies_of_too_many_values_are_refused_before_they_are_read(model: Model, path: str) -> None:
    web = create_app(Settings(), Shop(), model).test_client()
    body = json.dumps({**CALL[path], "more": [[]] * 400_000}).encode()
    response = web.post(path, data=body, content_type="application/json")
    assert "values" in refused(response, 422 if path == TEXTS else 400)


def test_rank_fields_are_few(web: FlaskClient) -> None:
    call = {"query": "mouse", "documents": [{"a": "mouse"}], "rank_fields": ["a"] * 101}
    assert "rank_fields" in refused(web.post("/v1/rerank", json=call), 400)
