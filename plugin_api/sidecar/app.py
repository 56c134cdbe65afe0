"""The sidecar's Flask app: OpenSearch's API, its searches reranked, and Attune's routes under `/_attune`."""

from collections.abc import Sequence
from typing import Protocol

from flask import Flask, Response, request
from werkzeug.exceptions import HTTPException
from werkzeug.routing import BaseConverter, Rule

from mappings.errors import AttuneError, BadRequest, ClusterDown
from mappings.settings import Settings
from mappings.types import JsonObject
from plugin_api.opensearch.client import OpenSearchClient
from plugin_api.opensearch.raw_json import dumps
from plugin_api.search.answer import Answer, error_answer
from plugin_api.search.pictures.tower import PictureSearchTower
from plugin_api.search.search import Observe, Searcher, ignore_report
from plugin_api.search.timing import SearchTiming
from plugin_api.sidecar.api_keys import require_key
from plugin_api.sidecar.model_api.errors import MODEL_PATHS, model_error
from plugin_api.sidecar.model_api.routes import model_blueprint
from plugin_api.sidecar.model_api.text_model import TextModel
from plugin_api.sidecar.openapi import openapi_blueprint
from plugin_api.sidecar.passthrough import make_wsgi_response
from plugin_api.sidecar.pictures import pictures_blueprint
from plugin_api.sidecar.pipeline.routes import cluster_blueprint
from plugin_api.sidecar.preview.explain import ExplainModel
from plugin_api.sidecar.preview.routes import PUBLIC, preview_blueprint
from plugin_api.sidecar.searches import SearchRoutes
from plugin_api.sidecar.shoppers.routes import COLLECTOR_PATH, EVENTS_PATH, shoppers_blueprint
from plugin_api.sidecar.speech import speech_blueprint
from plugin_api.sidecar.understanding import understanding_blueprint
from reranker.speech.transcriber import Transcriber

PREFIX = "/_attune"
HEALTH = f"{PREFIX}/health"

PASSED = "everything"
"""Endpoint of all that is OpenSearch's: searches, and what is passed through."""

UNKNOWN = "unknown"
"""Endpoint of what is under Attune's own prefix and no route."""

PUBLIC_RULES = (
    *(f"{path}<name>" if path.endswith("assets/") else path for path in PUBLIC),
    COLLECTOR_PATH,
)
"""Rules that ask for no key: the preview page and its files, and the script that sends events."""

READY_TIMEOUT_SECONDS = 2.0


class ServedModel(TextModel, ExplainModel, Protocol):
    """What the sidecar needs of a model; reranker.model.Model is one."""


class AnyPath(BaseConverter):
    """Whatever may stand in a path, line breaks too: documents have such ids."""

    part_isolating = False
    regex = "(?s:.*)"


def create_app(
    settings: Settings,
    client: OpenSearchClient,
    reranker: ServedModel,
    others: Sequence[ServedModel] = (),
    observe: Observe = ignore_report,
    timing: SearchTiming | None = None,
    pictures: PictureSearchTower | None = None,
    transcriber: Transcriber | None = None,
) -> Flask:
    """Return the sidecar as a Flask app, around a cluster and loaded models.

    `others` serve the indexes that they encoded, `reranker` all other indexes; `observe` is called after each
    search; `pictures` encodes pictures that are searched for, `transcriber` understands spoken queries.
    Nothing is sent to OpenSearch yet.

    `attune serve` puts a server around it that passes through by itself what is not a search. Alone, or under
    another WSGI server, the app does that too, but reads a request's body whole, up to
    `sidecar.max_body_bytes`, and holds a thread while it waits for OpenSearch.
    """
    app = Flask("attune", static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = settings.sidecar.max_body_bytes
    app.url_map.merge_slashes = False
    app.url_map.strict_slashes = False
    app.url_map.converters["any_path"] = AnyPath
    searcher = Searcher(client, reranker, settings, others, observe, timing, pictures)
    routes = SearchRoutes(settings.sidecar, client, searcher, observe)
    app.extensions["attune"] = searcher
    public = (*PUBLIC_RULES, EVENTS_PATH) if settings.shoppers.origins.strip() else PUBLIC_RULES
    require_key(app, settings.sidecar.api_keys, PASSED, public)
    app.register_blueprint(model_blueprint(settings, reranker))
    app.register_blueprint(cluster_blueprint(settings, reranker, others))
    app.register_blueprint(openapi_blueprint(bool(settings.sidecar.api_keys.strip(" ,"))))
    app.register_blueprint(understanding_blueprint(searcher))
    app.register_blueprint(pictures_blueprint(settings, searcher))
    app.register_blueprint(speech_blueprint(settings, searcher, transcriber))
    app.register_blueprint(shoppers_blueprint(settings, client))
    app.register_blueprint(preview_blueprint(settings, client, (reranker, *others), searcher))

    def _everything(**_: str) -> Response:
        if request.path.startswith(f"{PREFIX}/"):  # a second slash makes it no route, nor OpenSearch's
            return _unknown()
        return routes.answer(request)

    for rule in ("/", "/<any_path:path>"):  # add_url_rule would hold them to GET
        app.url_map.add(Rule(rule, endpoint=PASSED))
    app.view_functions[PASSED] = _everything

    @app.get(HEALTH)
    def _health() -> Response:
        return make_wsgi_response(Answer(200, render_health(app)))

    @app.get(f"{PREFIX}/ready")
    def _ready() -> Response:
        reason = _unready(client, settings)
        body: JsonObject = {"status": "unready", "reason": reason} if reason else {"status": "ready"}
        return make_wsgi_response(Answer(503 if reason else 200, dumps({**body, "model": reranker.version})))

    def _unknown(**_: str) -> Response:
        reason = f"the sidecar has no route {request.method} {request.path}; see {PREFIX}/openapi.json"
        return make_wsgi_response(error_answer(404, "not_found_exception", reason))

    # Whatever the method: nothing under this prefix, and no key that comes with it, goes to OpenSearch.
    for rule in (PREFIX, f"{PREFIX}/", f"{PREFIX}/<any_path:path>"):
        app.url_map.add(Rule(rule, endpoint=UNKNOWN))
    app.view_functions[UNKNOWN] = _unknown

    @app.errorhandler(AttuneError)
    def _failed(error: AttuneError) -> Response:
        return make_wsgi_response(render_error(error))

    @app.errorhandler(HTTPException)
    def _refused(error: HTTPException) -> Response:
        reason = error.description or error.name
        rule = request.url_rule.rule if request.url_rule else ""
        if rule in MODEL_PATHS:
            return model_error(rule, error.code or 500, reason)
        kind = "security_exception" if error.code == 401 else "status_exception"
        return make_wsgi_response(error_answer(error.code or 500, kind, reason))

    return app


def render_health(app: Flask) -> bytes:
    """Return the body of the answer to `/_attune/health`."""
    models = app.extensions["attune"].models
    return dumps({"status": "alive", "model": models[0], "models": models})


def render_error(error: AttuneError) -> Answer:
    """Return an error in OpenSearch's shape."""
    if isinstance(error, BadRequest):
        return error_answer(400, error.kind, str(error))
    if isinstance(error, ClusterDown):
        return error_answer(503, "cluster_down_exception", str(error))
    return error_answer(500, "attune_exception", str(error))


def _unready(client: OpenSearchClient, settings: Settings) -> str:
    """Why searches can't be answered now; empty when they can."""
    try:
        status = client.request("GET", "/", {}, timeout_seconds=READY_TIMEOUT_SECONDS).status
    except (ClusterDown, TimeoutError):
        return f"OpenSearch does not answer at {settings.opensearch.url}"
    # Who refuses a nameless request does answer; searches come with their callers' own credentials.
    return "" if status in (200, 401, 403) else f"OpenSearch at {settings.opensearch.url} answers {status}"
