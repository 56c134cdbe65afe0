"""The OpenAPI document: valid, of every route there is and no other, and true of types and responses."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import pytest
import schemathesis
from flask import Flask
from flask.testing import FlaskClient

from mappings.settings import PreviewSettings, Settings, SidecarSettings
from plugin_api.search.query.types import Options
from plugin_api.search.reasons import Reason, RerankStatus
from plugin_api.search.report import RerankReport, ShownExperiment
from plugin_api.shoppers.recommend_call import RecommendBoost, RecommendCall
from plugin_api.sidecar.api_keys import OPEN
from plugin_api.sidecar.app import PASSED, PUBLIC_RULES, create_app
from plugin_api.sidecar.model_api import messages
from plugin_api.sidecar.openapi import openapi_document
from plugin_api.sidecar.pictures import ImageRequest
from plugin_api.sidecar.pipeline.routes import (
    EncodeCall,
    EncodedDocument,
    HitScores,
    RewriteCall,
    Rewritten,
    ScoreCall,
)
from plugin_api.sidecar.preview.explain_sources import ExplainRequest
from plugin_api.sidecar.preview.routes import GradesRequest, JudgementRequest
from plugin_api.sidecar.searches import search_kind
from plugin_api.sidecar.speech import AudioRequest
from plugin_api.sidecar.telemetry.metrics import CONTENT_TYPE, Metrics
from plugin_api.sidecar.telemetry.middleware import Observer
from reranker.behaviour.recommendation import RecommendationKind
from reranker.encoders.token_spans import TokenText
from reranker.explanation import Contribution, QueryWord
from tests.fakes.preview_shop import ALIAS, shipped_model, stocked_shop

TYPES: dict[str, Any] = {
    **{name: kind for name, kind in vars(messages).items() if isinstance(kind, type(msgspec.Struct))},
    "Options": Options,
    "RerankReport": RerankReport,
    "ShownExperiment": ShownExperiment,
    "ExplainRequest": ExplainRequest,
    "JudgementRequest": JudgementRequest,
    "GradesRequest": GradesRequest,
    "RewriteCall": RewriteCall,
    "Rewritten": Rewritten,
    "ScoreCall": ScoreCall,
    "HitScores": HitScores,
    "EncodeCall": EncodeCall,
    "EncodedDocument": EncodedDocument,
    "RecommendCall": RecommendCall,
    "RecommendBoost": RecommendBoost,
    "RecommendationKind": RecommendationKind,
    "Contribution": Contribution,
    "QueryWord": QueryWord,
    "TokenText": TokenText,
    "ImageRequest": ImageRequest,
    "AudioRequest": AudioRequest,
}
"""Schema in the document → the type that requests are decoded to, or responses are made of."""

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
    observer.add_route(app, lambda: app.extensions["attune"].limiter.breaker.open_circuits)
    return app


def operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield path, method, operation


@pytest.mark.parametrize("keyed", [True, False])
def test_the_document_is_valid(keyed: bool) -> None:
    schemathesis.openapi.from_dict(openapi_document(keyed)).validate()
    broken = openapi_document(keyed)
    del broken["info"]
    with pytest.raises(Exception, match="info"):
        schemathesis.openapi.from_dict(broken).validate()


def test_names_are_unique_and_all_that_is_referred_to_is_there(document: dict[str, Any]) -> None:
    names = [operation["operationId"] for _, _, operation in operations(document)]
    assert len(set(names)) == len(names)
    referred = set(re.findall(r'"#/components/(\w+)/(\w+)"', json.dumps(document)))
    components = {(kind, name) for kind, parts in document["components"].items() for name in parts}
    assert referred == {(kind, name) for kind, name in components if kind != "securitySchemes"}


def test_every_route_is_in_the_document_and_no_other(app: Flask, document: dict[str, Any]) -> None:
    served = {
        (re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule), method.lower())
        for rule in app.url_map.iter_rules()
        for method in rule.methods or ()
        if rule.endpoint != PASSED and method not in ("HEAD", "OPTIONS")
    }
    described = {
        (path, method)
        for path, method, _ in operations(document)
        if search_kind(path.replace("{index}", "shop")) == ("", "")
    }
    assert described == served


def test_every_kind_of_search_is_in_the_document(document: dict[str, Any]) -> None:
    described = {
        search_kind(path.replace("{index}", "shop"))
        for path, _, operation in operations(document)
        if operation["tags"] == ["search"]
    }
    kinds = ("_search", "_msearch", "_count", "_search/template", "_msearch/template")
    assert described == {(kind, index) for kind in kinds for index in ("", "shop")}


def test_it_asks_for_keys_where_the_sidecar_does(tmp_path: Path) -> None:
    keyed = an_app(SidecarSettings(api_keys="sesame"), tmp_path).test_client()
    assert keyed.get("/_attune/openapi.json").status_code == 401
    shown = keyed.get("/_attune/openapi.json", headers={"X-Api-Key": "sesame"}).json
    assert shown == openapi_document(keyed=True)
    free = an_app(SidecarSettings(), tmp_path).test_client().get("/_attune/openapi.json").json
    assert free == openapi_document(keyed=False)
    assert free is not None
    for path, method, operation in operations(shown):
        asks = keyed.open(path.replace("{index}", ALIAS), method=method.upper()).status_code == 401
        assert bool(operation["security"]) == asks, (method, path)
        assert free["paths"][path][method]["security"] == []
        assert ("401" in operation["responses"]) == asks


def test_open_routes_are_those_that_ask_for_no_key(document: dict[str, Any]) -> None:
    without = {
        path
        for path, _, operation in operations(document)
        if not operation["security"] and operation["tags"] != ["search"]
    }
    assert without == {rule.replace("<", "{").replace(">", "}") for rule in (*OPEN, *PUBLIC_RULES)}


def test_states_are_those_there_are(document: dict[str, Any]) -> None:
    report = document["components"]["schemas"]["RerankReport"]["properties"]
    assert report["rerank_status"]["enum"] == [status.value for status in RerankStatus]
    assert report["reason_code"]["enum"] == [*(reason.value for reason in Reason), None]
    assert all("description" in schema for schema in document["components"]["schemas"].values())


def test_no_text_was_cut_at_a_comma(document: dict[str, Any]) -> None:
    assert ": null" not in re.sub(r'"default": null', "", json.dumps(document))


@pytest.mark.parametrize("name", TYPES)
def test_schemas_are_those_of_the_types(document: dict[str, Any], name: str) -> None:
    [made], components = msgspec.json.schema_components([TYPES[name]], ref_template="{name}")
    kind = made["$ref"]
    names = {TYPES[known].__name__: known for known in TYPES}
    described = document["components"]["schemas"]
    assert simplified(described[name], described, names) == simplified(components[kind], components, names)


def simplified(schema: Any, schemas: dict[str, Any], names: dict[str, str]) -> Any:
    """The schema without prose, written one way: types are sorted, and inlined where they have no name."""
    if isinstance(schema, list):
        return [simplified(part, schemas, names) for part in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        if name in names or name in names.values():
            return {"$ref": names.get(name, name)}
        return simplified(schemas[name], schemas, names)
    left_out = {"title", "description", "default", "example", "examples"}
    parts = {
        key: {k: simplified(v, schemas, names) for k, v in value.items()}
        if key == "properties"
        else simplified(value, schemas, names)
        for key, value in schema.items()
        if key not in left_out or isinstance(value, dict)
    }
    for name, value in (("required", []), ("additionalProperties", {})):
        if parts.get(name) == value:
            del parts[name]
    if "enum" in parts and "type" in parts:
        del parts["enum"]  # a text to msgspec, whose values another test compares
    if "enum" in parts:
        parts = {"enum": sorted(parts["enum"], key=str)}
    if isinstance(parts.get("type"), list):
        parts["type"] = sorted(parts["type"])
    if parts.keys() == {"anyOf"}:
        parts = merged(parts["anyOf"])
    return parts


def merged(alternatives: list[dict[str, Any]]) -> dict[str, Any]:
    """`anyOf` of types as one schema with a list of types, where there is but one that has limits."""
    if all("enum" in part or part == {"type": "null"} for part in alternatives):
        values = [value for part in alternatives for value in part.get("enum", [None])]
        return {"enum": sorted(values, key=str)}
    limited = [part for part in alternatives if part.keys() != {"type"}]
    types = [kind for part in alternatives for kind in [part.get("type")]]
    if len(limited) > 1 or None in types or ("null" not in types and limited):
        return {"anyOf": alternatives}
    return {**(limited[0] if limited else {}), "type": sorted(types)}


@pytest.mark.parametrize(
    ("name", "method", "path", "body"),
    [
        ("Health", "GET", "/_attune/health", None),
        ("Ready", "GET", "/_attune/ready", None),
        ("PreviewConfig", "GET", "/_attune/preview", None),
        ("KeywordQuery", "GET", "/_attune/query?text=mouse", None),
        ("ExplainedHit", "POST", "/_attune/explain", {"index": ALIAS, "id": "mouse-m185", "query": "mouse"}),
        ("Saved", "POST", "/_attune/judgements", {"query": "mouse", "product_id": "1", "grade": 3}),
        ("Grades", "POST", "/_attune/grades", {"query": "mouse", "product_ids": ["1"]}),
        ("Error", "GET", "/_attune/assets/none.js", None),
        ("Error", "GET", "/_attune/experiment", None),
        ("Error", "POST", "/_attune/judgements", {}),
        ("Error", "POST", "/_attune/cluster/rewrite", {}),
        ("Error", "POST", f"/{ALIAS}/_search", {**MOUSE, "ext": {"attune": {"window": 0}}}),
        ("SearchResponse", "POST", f"/{ALIAS}/_search", MOUSE),
        ("SearchResponse", "POST", f"/{ALIAS}/_search", {**MOUSE, "ext": {"attune": {"verbatim": True}}}),
        ("CountResponse", "POST", f"/{ALIAS}/_count", MOUSE),
    ],
)
def test_responses_hold_what_is_described_and_no_more(
    web: FlaskClient, document: dict[str, Any], name: str, method: str, path: str, body: object
) -> None:
    response = web.open(path, method=method, json=body).json
    opensearchs = name in ("SearchResponse", "CountResponse")  # which may have more
    schemas = document["components"]["schemas"]
    exact = schemas if opensearchs else {key: closed(schema) for key, schema in schemas.items()}
    resolved = {**exact[name], "components": {"schemas": exact}}
    jsonschema.validate(response, resolved)
    if name == "CountResponse":
        assert response["count"] > 0  # type: ignore[index]
    elif opensearchs:
        assert response["ext"]["attune"]["rerank_status"] == "reranked"  # type: ignore[index]


def closed(schema: Any) -> Any:
    """The schema, with no properties allowed beside those that it names."""
    if not isinstance(schema, dict):
        return schema
    parts = {key: closed(value) for key, value in schema.items()}
    if "properties" in schema and isinstance(schema.get("type"), str):
        parts["properties"] = {key: closed(value) for key, value in schema["properties"].items()}
        parts.setdefault("additionalProperties", False)
    return parts


def test_lists_of_searches_answer_as_described(web: FlaskClient, document: dict[str, Any]) -> None:
    lines = b'{}\n{"query": {"match": {"title": "mouse"}}}\n'
    response = web.post(f"/{ALIAS}/_msearch", data=lines, content_type="application/x-ndjson").json
    schemas = document["components"]["schemas"]
    for name, answer in (("SearchListResponse", response), ("SearchResponse", response["responses"][0])):  # type: ignore[index]
        jsonschema.validate(answer, {**schemas[name], "components": {"schemas": schemas}})


def test_metrics_are_of_the_type_described(web: FlaskClient, document: dict[str, Any]) -> None:
    described = document["paths"]["/_attune/metrics"]["get"]["responses"]["200"]["content"]
    assert [web.get("/_attune/metrics").content_type] == [CONTENT_TYPE] == list(described)


@pytest.mark.parametrize(
    "path", ["/_attune", "/_attune/", "/_attune/explain", "/_attune/none/at/all", "/_attune//explain"]
)
@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "TRACE", "QUERY", "PROPFIND"])
def test_nothing_under_the_sidecars_own_prefix_goes_to_opensearch(
    web: FlaskClient, path: str, method: str
) -> None:
    response = web.open(path, method=method, headers={"X-Api-Key": "sesame"})
    assert (response.status_code, stocked_shop().requests) == (404, [])
    assert f"no route {method} {path}" in json.loads(response.data)["error"]["reason"]
