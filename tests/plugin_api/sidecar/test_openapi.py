"""The OpenAPI document: valid, of every route there is and no other, and true of what they answer."""

import re
from pathlib import Path
from typing import Any

import msgspec
import pytest
import schemathesis
from flask import Flask
from flask.testing import FlaskClient

from mappings.settings import PreviewSettings, Settings, SidecarSettings
from plugin_api.search.response import STATES
from plugin_api.sidecar.api_keys import OPEN
from plugin_api.sidecar.app import PASSED, PUBLIC_RULES, create_app, searched
from plugin_api.sidecar.openapi.document import OPERATIONS, openapi_document
from plugin_api.sidecar.openapi.messages import (
    Error,
    ExplainedHit,
    Found,
    FoundLists,
    Grades,
    Health,
    KeywordQuery,
    PreviewConfig,
    Ready,
    Saved,
)
from plugin_api.sidecar.openapi.operation import SEARCH
from plugin_api.sidecar.openapi.own import METRICS_TYPE
from plugin_api.sidecar.telemetry.metrics import CONTENT_TYPE, Metrics
from plugin_api.sidecar.telemetry.middleware import Observer
from tests.fakes.preview_shop import ALIAS, shipped_model, stocked_shop

MOUSE = {"query": {"match": {"title": "wireless mouse"}}}


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    return openapi_document(keyed=True)


@pytest.fixture
def app(tmp_path: Path) -> Flask:
    return an_app(SidecarSettings(deadline_ms=30_000), tmp_path)


@pytest.fixture
def web(app: Flask) -> FlaskClient:
    return app.test_client()


def an_app(sidecar: SidecarSettings, folder: Path) -> Flask:
    """The sidecar as `attune serve` builds it."""
    settings = Settings(sidecar=sidecar, preview=PreviewSettings(judgements=str(folder / "judgements.csv")))
    model = shipped_model()
    observer = Observer(Metrics([model.version]))
    app = create_app(settings, stocked_shop(), model, observe=observer.searched)
    observer.watch(app, PASSED, lambda: app.extensions["attune"].breaker.open)
    return app


@pytest.mark.parametrize("keyed", [True, False])
def test_the_document_is_valid(keyed: bool) -> None:
    schemathesis.openapi.from_dict(openapi_document(keyed)).validate()
    broken = openapi_document(keyed)
    del broken["info"]
    with pytest.raises(Exception, match="info"):
        schemathesis.openapi.from_dict(broken).validate()


def test_names_are_unique_and_all_that_is_referred_to_is_there(document: dict[str, Any]) -> None:
    names = [operation.name for operation in OPERATIONS]
    assert len(set(names)) == len(names)
    referred = set(re.findall(r'"#/components/schemas/(\w+)"', msgspec.json.encode(document).decode()))
    assert referred == set(document["components"]["schemas"])


def test_every_route_is_in_the_document_and_no_other(app: Flask, document: dict[str, Any]) -> None:
    served = {
        (re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule), method.lower())
        for rule in app.url_map.iter_rules()
        for method in rule.methods or ()
        if rule.endpoint != PASSED and method not in ("HEAD", "OPTIONS")
    }
    described = {
        (path, method)
        for path, methods in document["paths"].items()
        for method in methods
        if searched(path.replace("{index}", "shop")) == ("", "")
    }
    assert described == served


def test_every_kind_of_search_is_in_the_document(document: dict[str, Any]) -> None:
    described = {
        searched(path.replace("{index}", "shop"))
        for path, methods in document["paths"].items()
        for operation in methods.values()
        if operation["tags"] == [SEARCH]
    }
    kinds = ("_search", "_msearch", "_search/template", "_msearch/template")
    assert described == {(kind, index) for kind in kinds for index in ("", "shop")}


def test_it_asks_for_keys_where_the_sidecar_does(tmp_path: Path) -> None:
    keyed = an_app(SidecarSettings(api_keys="sesame"), tmp_path).test_client()
    assert keyed.get("/_attune/openapi.json").status_code == 401
    shown = keyed.get("/_attune/openapi.json", headers={"X-Api-Key": "sesame"}).json
    assert shown == openapi_document(keyed=True)
    free = an_app(SidecarSettings(), tmp_path).test_client().get("/_attune/openapi.json").json
    assert free == openapi_document(keyed=False)
    assert free is not None
    for path, methods in shown["paths"].items():
        for method, operation in methods.items():
            asks = keyed.open(path.replace("{index}", ALIAS), method=method.upper()).status_code == 401
            assert bool(operation["security"]) == asks, (method, path)
            assert free["paths"][path][method]["security"] == []
            assert ("401" in operation["responses"]) == asks


def test_open_routes_are_those_that_ask_for_no_key(document: dict[str, Any]) -> None:
    without = {op.path for op in OPERATIONS if not op.keyed and op.tag != SEARCH}
    assert without == {rule.replace("<", "{").replace(">", "}") for rule in (*OPEN, *PUBLIC_RULES)}


def test_states_and_limits_are_told(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    assert schemas["Report"]["properties"]["rerank_status"]["enum"] == list(STATES)
    assert schemas["Options"]["properties"]["window"]["anyOf"][0]["maximum"] == 1000
    assert schemas["RerankRequest"]["required"] == ["query", "documents"]
    assert all("description" in schema for schema in schemas.values())
    assert not any("\n   " in schema["description"] for schema in schemas.values())


@pytest.mark.parametrize(
    ("kind", "method", "path", "body"),
    [
        (Health, "GET", "/_attune/health", None),
        (Ready, "GET", "/_attune/ready", None),
        (PreviewConfig, "GET", "/_attune/preview", None),
        (KeywordQuery, "GET", "/_attune/query?text=mouse", None),
        (ExplainedHit, "POST", "/_attune/explain", {"index": ALIAS, "id": "mouse-m185", "query": "mouse"}),
        (Saved, "POST", "/_attune/judgements", {"query": "mouse", "product_id": "1", "grade": 3}),
        (Grades, "POST", "/_attune/grades", {"query": "mouse", "product_ids": ["1"]}),
        (Error, "GET", "/_attune/assets/none.js", None),
        (Error, "POST", "/_attune/judgements", {}),
        (Error, "POST", "/_attune/cluster/rewrite", {}),
        (Error, "POST", f"/{ALIAS}/_search", {**MOUSE, "ext": {"attune": {"window": 0}}}),
    ],
)
def test_answers_hold_what_is_described_and_no_more(
    web: FlaskClient, kind: type, method: str, path: str, body: object
) -> None:
    answer = web.open(path, method=method, json=body).data
    described = msgspec.json.encode(msgspec.json.decode(answer, type=kind))
    assert msgspec.json.decode(described) == msgspec.json.decode(answer)


def test_searches_answer_as_described(web: FlaskClient) -> None:
    one = msgspec.json.decode(web.post(f"/{ALIAS}/_search", json=MOUSE).data, type=Found)
    assert one.ext
    assert one.ext.attune.rerank_status == "reranked"
    lines = b'{}\n{"query": {"match": {"title": "mouse"}}}\n'
    several = web.post(f"/{ALIAS}/_msearch", data=lines, content_type="application/x-ndjson")
    [found] = msgspec.json.decode(several.data, type=FoundLists).responses
    assert msgspec.convert(found, Found).ext


def test_metrics_are_of_the_type_described(web: FlaskClient) -> None:
    assert web.get("/_attune/metrics").content_type == CONTENT_TYPE == METRICS_TYPE


@pytest.mark.parametrize(
    "path", ["/_attune", "/_attune/", "/_attune/explain", "/_attune/none/at/all", "/_attune//explain"]
)
@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "TRACE", "QUERY", "PROPFIND"])
def test_nothing_under_the_sidecars_own_prefix_goes_to_opensearch(
    web: FlaskClient, path: str, method: str
) -> None:
    answer = web.open(path, method=method, headers={"X-Api-Key": "sesame"})
    assert (answer.status_code, stocked_shop().requests) == (404, [])
    assert f"no route {method} {path}" in msgspec.json.decode(answer.data, type=Error).error.reason
