"""The HTTP sidecar: OpenSearch's own API with its searches reranked, and Attune's routes under `/_attune`."""

import itertools
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Protocol
from urllib.parse import parse_qsl, unquote

from flask import Flask, Response, request
from werkzeug.exceptions import HTTPException
from werkzeug.routing import Rule

from mappings.errors import AttuneError, BadRequest, ClusterDown
from mappings.settings import Settings
from mappings.types import JsonObject
from plugin_api.opensearch.client import OpenSearchClient
from plugin_api.opensearch.json_depth import check_depth
from plugin_api.opensearch.raw_json import dumps, pretty
from plugin_api.search.answer import Answer, error_answer
from plugin_api.search.deadline import Deadline
from plugin_api.search.msearch import MultiSearch
from plugin_api.search.query.request import FallbackRequest, SearchCall
from plugin_api.search.reasons import Cause, NotReranked, Reason
from plugin_api.search.render import add_status
from plugin_api.search.search import Observe, Searcher, SearchTiming, ignore_report
from plugin_api.search.templates import render_call
from plugin_api.sidecar.api_keys import require_key
from plugin_api.sidecar.model_api.errors import MODEL_PATHS, model_error
from plugin_api.sidecar.model_api.routes import model_blueprint
from plugin_api.sidecar.model_api.text_model import TextModel
from plugin_api.sidecar.openapi import openapi_blueprint
from plugin_api.sidecar.passthrough import forward, request_body, request_headers, target, wsgi_response
from plugin_api.sidecar.pipeline.routes import cluster_blueprint
from plugin_api.sidecar.preview.explain import ExplainModel
from plugin_api.sidecar.preview.routes import PUBLIC, preview_blueprint

OF_THE_BODY = frozenset({"content-length", "content-encoding"})
"""Request headers that no longer hold once a body has been read."""

PASSED = "everything"
"""Endpoint of all that is OpenSearch's: searches, and what is passed through."""

UNKNOWN = "unknown"
"""Endpoint of what is under Attune's own prefix and no route."""

PUBLIC_RULES = tuple(f"{path}<name>" if path.endswith("assets/") else path for path in PUBLIC)
"""Rules that ask for no key: the preview page and its files."""

READY_TIMEOUT_SECONDS = 2.0


class ServedModel(TextModel, ExplainModel, Protocol):
    """What the sidecar needs of a model; reranker.model.Model is one."""


class Sidecar:
    """Answers everything but Attune's own routes. Thread-safe."""

    def __init__(self, settings: Settings, client: OpenSearchClient, searcher: Searcher) -> None:
        self._settings = settings
        self._client = client
        self._searcher = searcher
        self._msearch = MultiSearch(client, searcher)

    def answer(self) -> Answer:
        """Answer the request at hand. Raises AttuneError."""
        path, _, query = target(request.environ).partition("?")
        kind, index = searched(path) if request.method in ("GET", "POST") else ("", "")
        body = request_body(request.environ)
        if not kind:
            return forward(self._client, request.environ, body)
        whole, body = _up_to(body, self._settings.sidecar.max_body_bytes)
        try:
            read = whole if whole is None else _decompressed(whole, self._settings.sidecar.max_body_bytes)
        except ValueError:
            read = None
        lines = kind.startswith("_msearch")
        if read is None or (read and not _is_json(request.headers.get("Content-Type", ""), lines)):
            reason = Reason.NOT_JSON if read is not None else Reason.BODY_TOO_LARGE
            return self._exact(body, reason.because())
        check_depth(read, lines)
        headers = {k: v for k, v in request_headers(request.environ).items() if k not in OF_THE_BODY}
        params = dict(parse_qsl(query, keep_blank_values=True))
        call = SearchCall(index, read, params, headers, request.method)
        try:
            answer = self._searched(kind, call)
        except NotReranked as error:
            answer = error.cause
        if isinstance(answer, Cause):
            return self._exact(body, answer)
        return _pretty(answer) if params.get("pretty", "false") in ("", "true") else answer

    def _searched(self, kind: str, call: SearchCall) -> Answer | Cause:
        deadline = Deadline.after(self._settings.sidecar.deadline_ms / 1000)
        if kind == "_search":
            return self._searcher.answer(call)
        if kind == "_msearch":
            return self._msearch.answer(call, deadline)
        if kind == "_msearch/template":
            return self._msearch.answer_templates(call, deadline)
        rendered = render_call(self._client, call, deadline)
        search = self._searcher.parse(rendered)
        if isinstance(search, FallbackRequest) and search.verbatim:
            return search.cause
        return add_status(self._searcher.answer_request(rendered, search, deadline))

    def _exact(self, body: Iterator[bytes] | bytes, cause: Cause) -> Answer:
        answer = forward(self._client, request.environ, body)
        return replace(answer, headers=(*answer.headers, *self._searcher.report(cause).headers))


def create_app(
    settings: Settings,
    client: OpenSearchClient,
    reranker: ServedModel,
    others: Sequence[ServedModel] = (),
    observe: Observe = ignore_report,
    timing: SearchTiming | None = None,
) -> Flask:
    """Build the WSGI application around a cluster and loaded models. Nothing is sent to OpenSearch yet.

    `others` serve the indexes that they encoded, `reranker` all the others.
    """
    app = Flask("attune", static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = settings.sidecar.max_body_bytes  # of what Attune's own routes read
    app.url_map.merge_slashes = False
    app.url_map.strict_slashes = False
    searcher = Searcher(client, reranker, settings, others, observe, timing)
    sidecar = Sidecar(settings, client, searcher)
    app.extensions["attune"] = searcher
    require_key(app, settings.sidecar.api_keys, PASSED, PUBLIC_RULES)
    app.register_blueprint(model_blueprint(settings, reranker))
    app.register_blueprint(cluster_blueprint(settings, reranker))
    app.register_blueprint(openapi_blueprint(bool(settings.sidecar.api_keys.strip(" ,"))))
    app.register_blueprint(preview_blueprint(settings, client, (reranker, *others)))

    def _everything(**_: str) -> Response:
        if request.path.startswith("/_attune/"):  # a second slash makes it no route, nor OpenSearch's
            return _unknown()
        return wsgi_response(sidecar.answer())

    for rule in ("/", "/<path:path>"):  # add_url_rule would hold them to GET
        app.url_map.add(Rule(rule, endpoint=PASSED))
    app.view_functions[PASSED] = _everything

    @app.get("/_attune/health")
    def _health() -> Response:
        return _json({"status": "alive", "model": reranker.version, "models": searcher.models})

    @app.get("/_attune/ready")
    def _ready() -> Response:
        reason = _unready(client, settings)
        body: JsonObject = {"status": "unready", "reason": reason} if reason else {"status": "ready"}
        return _json({**body, "model": reranker.version}, 503 if reason else 200)

    def _unknown(**_: str) -> Response:
        reason = f"the sidecar has no route {request.method} {request.path}; see /_attune/openapi.json"
        return wsgi_response(error_answer(404, "not_found_exception", reason))

    # Whatever the method: nothing under this prefix, and no key that comes with it, goes to OpenSearch.
    for rule in ("/_attune", "/_attune/", "/_attune/<path:path>"):
        app.url_map.add(Rule(rule, endpoint=UNKNOWN))
    app.view_functions[UNKNOWN] = _unknown

    @app.errorhandler(AttuneError)
    def _failed(error: AttuneError) -> Response:
        return wsgi_response(_error(error))

    @app.errorhandler(HTTPException)
    def _refused(error: HTTPException) -> Response:
        reason = error.description or error.name
        rule = request.url_rule.rule if request.url_rule else ""
        if rule in MODEL_PATHS:
            return model_error(rule, error.code or 500, reason)
        kind = "security_exception" if error.code == 401 else "status_exception"
        return wsgi_response(error_answer(error.code or 500, kind, reason))

    return app


def searched(path: str) -> tuple[str, str]:
    """What kind of search a path, percent-encoded, asks for, and its index as it stands there.

    ("_search", "products") for `/products/_search`; ("", "") for all that is not a search.
    """
    parts = path.rstrip("/").split("/")[1:]
    names = [unquote(part) for part in parts]
    for kind in ("_search", "_msearch", "_search/template", "_msearch/template"):
        length = kind.count("/") + 1
        if "/".join(names[-length:]) == kind and len(parts) - length <= 1:
            index = "".join(parts[:-length])
            if not (names[0].startswith("_") and len(parts) > length and names[0] != "_all"):
                return kind, index
    return "", ""


def _error(error: AttuneError) -> Answer:
    if isinstance(error, BadRequest):
        return error_answer(400, error.kind, str(error))
    if isinstance(error, ClusterDown):
        return error_answer(503, "cluster_down_exception", str(error))
    return error_answer(500, "attune_exception", str(error))


def _up_to(body: Iterator[bytes] | bytes, limit: int) -> tuple[bytes | None, Iterator[bytes] | bytes]:
    """The whole body, None where it is longer than `limit`; and the body to send on, as it came."""
    if isinstance(body, bytes):
        return body, body
    parts: list[bytes] = []
    for part in body:
        parts.append(part)
        if sum(map(len, parts)) > limit:
            return None, itertools.chain(parts, body)
    whole = b"".join(parts)
    return whole, whole


def _decompressed(body: bytes, limit: int) -> bytes | None:
    """The body as JSON; None where it is longer than `limit`. Raises ValueError where it is broken."""
    coding = request.headers.get("Content-Encoding", "identity").lower()
    if coding == "identity":
        return body
    if coding != "gzip":
        return None
    unpacker = zlib.decompressobj(16 + zlib.MAX_WBITS)
    try:
        unpacked = unpacker.decompress(body, limit)
    except zlib.error as error:
        raise ValueError("the body is no gzip") from error
    return None if unpacker.unconsumed_tail else unpacked


def _is_json(content_type: str, lines: bool) -> bool:
    """Whether OpenSearch takes a body of this type for JSON, for `lines` one document a line."""
    kind = content_type.partition(";")[0].strip().lower()
    return kind == "application/json" or (lines and kind == "application/x-ndjson")


def _pretty(answer: Answer) -> Answer:
    return replace(answer, body=pretty(answer.body)) if isinstance(answer.body, bytes) else answer


def _json(body: JsonObject, status: int = 200) -> Response:
    return wsgi_response(Answer(status, dumps(body)))


def _unready(client: OpenSearchClient, settings: Settings) -> str:
    """Why searches can't be answered now; empty when they can."""
    try:
        status = client.request("GET", "/", {}, timeout_seconds=READY_TIMEOUT_SECONDS).status
    except (ClusterDown, TimeoutError):
        return f"OpenSearch does not answer at {settings.opensearch.url}"
    # Who refuses a nameless request does answer; searches come with their callers' own credentials.
    return "" if status in (200, 401, 403) else f"OpenSearch at {settings.opensearch.url} answers {status}"
