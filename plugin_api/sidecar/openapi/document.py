"""The OpenAPI document, made of the types that requests are validated with: `GET /_attune/openapi.json`."""

import inspect
from importlib import metadata
from typing import Any

import msgspec
from flask import Blueprint, Response

from mappings.types import JsonObject
from plugin_api.search.response import STATES
from plugin_api.sidecar.openapi.operation import TAGS, Operation, Reply
from plugin_api.sidecar.openapi.own import OWN_OPERATIONS
from plugin_api.sidecar.openapi.search import MODEL_OPERATIONS, SEARCH_OPERATIONS

OPERATIONS = (*MODEL_OPERATIONS, *SEARCH_OPERATIONS, *OWN_OPERATIONS)
"""Every route of the sidecar's own, and the searches; a test holds it to that."""

DESCRIPTION = """\
A sidecar in front of OpenSearch: it reranks searches by BERT and GPT-2 encodings of query and product, and
passes everything else through. Reranking never makes a search fail: when it can't be done in time, the
first stage's hits come back, with the reason under `ext.attune`.
"""

SCHEMES: JsonObject = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "One of sidecar.api_keys."},
    "key": {"type": "apiKey", "in": "header", "name": "X-Api-Key", "description": "One of sidecar.api_keys."},
}


def openapi_blueprint(keyed: bool) -> Blueprint:
    """Return the document's route; `keyed` tells whether the sidecar asks for API keys."""
    routes = Blueprint("openapi", __name__)
    document = msgspec.json.encode(openapi_document(keyed))

    @routes.get("/_attune/openapi.json")
    def _document() -> Response:
        return Response(document, content_type="application/json")

    return routes


def openapi_document(keyed: bool) -> JsonObject:
    """Return the document, OpenAPI 3.1."""
    shapes = [shape for operation in OPERATIONS for shape in _shapes(operation) if not _is_schema(shape)]
    schemas, components = msgspec.json.schema_components(shapes, ref_template="#/components/schemas/{name}")
    by_shape = dict(zip(map(repr, shapes), schemas, strict=True))
    for component in components.values():
        if "description" in component:
            component["description"] = inspect.cleandoc(component["description"])
    components["Report"]["properties"]["rerank_status"]["enum"] = list(STATES)
    paths: dict[str, JsonObject] = {}
    for operation in OPERATIONS:
        paths.setdefault(operation.path, {})[operation.method] = _operation(operation, by_shape, keyed)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Attune",
            "version": metadata.version("attune"),
            "description": DESCRIPTION,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "tags": [{"name": name, "description": told} for name, told in TAGS.items()],
        "paths": paths,
        "components": {"schemas": dict(sorted(components.items())), "securitySchemes": SCHEMES},
    }


def _operation(operation: Operation, by_shape: dict[str, JsonObject], keyed: bool) -> JsonObject:
    described: JsonObject = {
        "operationId": operation.name,
        "tags": [operation.tag],
        "summary": operation.summary,
        "security": [{name: []} for name in SCHEMES] if keyed and operation.keyed else [],
        "responses": {status: _reply(reply, by_shape) for status, reply in operation.replies.items()},
    }
    if operation.parameters:
        described["parameters"] = list(operation.parameters)
    if operation.body is not None:
        content = _content(operation.body, operation.media, by_shape)
        described["requestBody"] = {"required": not operation.optional, "content": content}
    return described


def _reply(reply: Reply, by_shape: dict[str, JsonObject]) -> JsonObject:
    described: JsonObject = {"description": reply.description}
    if reply.headers:
        described["headers"] = {
            name: {"description": told, "schema": {"type": "string"}} for name, told in reply.headers.items()
        }
    if reply.body is not None:
        described["content"] = _content(reply.body, reply.media, by_shape)
    return described


def _content(shape: Any, media: tuple[str, ...], by_shape: dict[str, JsonObject]) -> JsonObject:
    schema = shape if _is_schema(shape) else by_shape[repr(shape)]
    return {kind: {"schema": schema} for kind in media}


def _shapes(operation: Operation) -> list[Any]:
    found = [operation.body, *(reply.body for reply in operation.replies.values())]
    return [shape for shape in found if shape is not None]


def _is_schema(shape: Any) -> bool:
    return isinstance(shape, dict)
