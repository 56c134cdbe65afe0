"""The HTTP sidecar: OpenSearch's `_search`, reranked, and Attune's own routes under `/_attune`."""

import json

from flask import Flask, Response, request
from opensearchpy import OpenSearch
from opensearchpy.exceptions import ConnectionError as NoConnection
from opensearchpy.exceptions import TransportError
from werkzeug.exceptions import HTTPException

from mappings.errors import AttuneError, BadRequest, ClusterDown
from mappings.settings import Settings
from mappings.types import JsonObject
from plugin_api.request import SearchCall
from plugin_api.response import Answer, error_answer
from plugin_api.search import Reranker, Search

FORWARDED = ("Authorization", "X-Opaque-Id")
"""Request headers that go on to OpenSearch: whose search it is, and the caller's mark for tracing it."""

READY_TIMEOUT_SECONDS = 2.0


def create_app(settings: Settings, client: OpenSearch, reranker: Reranker) -> Flask:
    """Build the WSGI application around a client and a loaded model. Nothing is sent to OpenSearch yet."""
    app = Flask("attune", static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = settings.sidecar.max_body_bytes
    search = Search(client, reranker, settings)

    @app.route("/<index>/_search", methods=["GET", "POST"])
    def _search(index: str) -> Response:
        headers = {name.lower(): request.headers[name] for name in FORWARDED if name in request.headers}
        return _json(search.answer(SearchCall(index, request.get_data(), request.args.to_dict(), headers)))

    @app.get("/_attune/health")
    def _health() -> Response:
        return _json(Answer(200, {"status": "alive", "model": reranker.version}))

    @app.get("/_attune/ready")
    def _ready() -> Response:
        reason = _unready(client, settings)
        body: JsonObject = {"status": "unready", "reason": reason} if reason else {"status": "ready"}
        return _json(Answer(503 if reason else 200, {**body, "model": reranker.version}))

    @app.errorhandler(AttuneError)
    def _failed(error: AttuneError) -> Response:
        if isinstance(error, BadRequest):
            return _json(error_answer(400, error.kind, str(error)))
        if isinstance(error, ClusterDown):
            return _json(error_answer(503, "cluster_down_exception", str(error)))
        return _json(error_answer(500, "attune_exception", str(error)))

    @app.errorhandler(HTTPException)
    def _refused(error: HTTPException) -> Response:
        if error.code in (404, 405):
            reason = (
                f"the sidecar does not serve {request.method} {request.path}: "
                "it serves /{index}/_search, /_attune/health and /_attune/ready; ask OpenSearch itself"
            )
            return _json(error_answer(501, "not_implemented_exception", reason))
        status = error.code or 500
        return _json(error_answer(status, "status_exception", error.description or error.name))

    return app


def _unready(client: OpenSearch, settings: Settings) -> str:
    """Why searches can't be answered now; empty when they can."""
    try:
        client.transport.perform_request("GET", "/", timeout=READY_TIMEOUT_SECONDS)
    except NoConnection:
        return f"OpenSearch does not answer at {settings.opensearch.url}"
    except TransportError as error:
        # Who refuses these credentials does answer; searches come with their callers' own.
        if error.status_code not in (401, 403):
            return f"OpenSearch at {settings.opensearch.url} answers {error.status_code}"
    return ""


def _json(answer: Answer) -> Response:
    pretty = request.args.get("pretty", "false") in ("", "true")
    text = json.dumps(
        answer.body,
        ensure_ascii=False,
        indent=2 if pretty else None,
        separators=(",", ": " if pretty else ":"),
    )
    return Response(
        text.encode("utf-8", "surrogatepass"), answer.status, content_type="application/json; charset=UTF-8"
    )
