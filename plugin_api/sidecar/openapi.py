"""Serves the OpenAPI document, openapi.yaml: `GET /_attune/openapi.json`."""

from functools import cache
from importlib import metadata, resources

import msgspec
import yaml
from flask import Blueprint, Response

from mappings.types import JsonObject

_METHODS = ("get", "post", "delete")


def openapi_blueprint(keyed: bool) -> Blueprint:
    """Return the document's route; `keyed` tells whether the sidecar asks for API keys."""
    routes = Blueprint("openapi", __name__)
    document = _encode_document(keyed)

    @routes.get("/_attune/openapi.json")
    def _document() -> Response:
        return Response(document, content_type="application/json")

    return routes


@cache
def _encode_document(keyed: bool) -> bytes:
    return msgspec.json.encode(openapi_document(keyed))


def openapi_document(keyed: bool) -> JsonObject:
    """Return the document, OpenAPI 3.1, of the installed version. Without `keyed` nothing asks for a key."""
    text = resources.files("plugin_api.sidecar").joinpath("openapi.yaml").read_text(encoding="utf-8")
    document: JsonObject = yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    document["info"]["version"] = metadata.version("attune")
    default = document.pop("security")
    for operations in document["paths"].values():
        for method in _METHODS:
            if method in operations:
                # A copy: aliases in the YAML make several operations one object.
                operation = {**operations[method], "security": operations[method].get("security", default)}
                operations[method] = operation if keyed else {**operation, "security": []}
    return document
