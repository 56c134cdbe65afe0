"""What one entry of the OpenAPI document is made of."""

from dataclasses import dataclass, field
from typing import Any

from plugin_api.sidecar.openapi.messages import Error

MODEL, SEARCH, OWN, PREVIEW, CLUSTER = "model", "search", "sidecar", "preview page", "search pipeline"

TAGS = {
    MODEL: "Reranking and embedding texts that come with the request, in shapes that existing clients speak.",
    SEARCH: "OpenSearch's own searches, reranked. Every path that this document does not name goes to "
    "OpenSearch untouched, with the caller's own credentials.",
    OWN: "The sidecar itself.",
    PREVIEW: "What the page at `/_attune/` asks.",
    CLUSTER: "What the search pipeline that `attune install` puts into a cluster asks. Any answer but 200 "
    "leaves the search, or its hits, as OpenSearch has them.",
}

JSON, LINES, HTML = "application/json", "application/x-ndjson", "text/html; charset=utf-8"

Parameter = dict[str, Any]
Shape = Any
"""A type that msgspec knows, or a JSON schema."""


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer of a route. Without a body the answer has none; `headers` maps names to descriptions."""

    description: str
    body: Shape = None
    media: tuple[str, ...] = (JSON,)
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Operation:
    """One method of one path; `keyed` tells whether it asks for an API key, where there are any.

    `optional` tells whether the body may be left out.
    """

    name: str
    method: str
    path: str
    tag: str
    summary: str
    replies: dict[str, Reply]
    body: Shape = None
    media: tuple[str, ...] = (JSON,)
    parameters: tuple[Parameter, ...] = ()
    keyed: bool = True
    optional: bool = False


TEXT: Shape = {"type": "string"}

NO_KEY = "No API key, or an unknown one (sidecar.api_keys)."


def query_parameter(name: str, kind: str, description: str, **limits: Any) -> Parameter:
    """Return a parameter of the URL's query string, with `limits` in JSON schema's words."""
    return {"name": name, "in": "query", "description": description, "schema": {"type": kind, **limits}}


def own_error(description: str) -> Reply:
    """Return an error in OpenSearch's shape."""
    return Reply(description, Error)


def own_errors(*statuses: int) -> dict[str, Reply]:
    """Return errors in OpenSearch's shape by status."""
    told = {
        400: "The body is not as it must be.",
        401: NO_KEY,
        404: "There is no such thing.",
        413: "The body is larger than sidecar.max_body_bytes.",
        422: "The search is not one to rerank, or its hits can't be.",
        429: "As many of these as may be are under way.",
        500: "Attune failed; the log says more.",
        503: "OpenSearch can't be reached.",
        504: "OpenSearch did not answer in time.",
    }
    return {str(status): own_error(told[status]) for status in statuses}
