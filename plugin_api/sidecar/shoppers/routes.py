"""Serve events, recommendations and forgetting, under `/_attune`.

POST   /_attune/events             UBI documents: one, or a list
GET    /_attune/collector.js       the script by which a shop's pages send them
POST   /_attune/recommend          recommendations in the shape of a search's answer; GET too
GET    /_attune/experiment         what came of the experiment so far
DELETE /_attune/users/ID           forget a shopper
"""

import hashlib
import time
from collections.abc import Mapping
from dataclasses import asdict
from importlib import resources
from typing import Any

import msgspec
from flask import Blueprint, Response, request

from mappings.errors import BadRequest
from mappings.settings import Settings, list_variants
from plugin_api.opensearch.client import OpenSearchClient, encode_credentials
from plugin_api.opensearch.json_depth import check_values
from plugin_api.opensearch.raw_json import dumps
from plugin_api.search.answer import Answer, error_answer
from plugin_api.shoppers.cluster import ClusterRequests
from plugin_api.shoppers.event_store import EventStore
from plugin_api.shoppers.events import MAX_EVENTS
from plugin_api.shoppers.experiments.results import count_current
from plugin_api.shoppers.forget import forget_shopper
from plugin_api.shoppers.pseudonyms import has_opted_out
from plugin_api.shoppers.recommend_call import RecommendCall
from plugin_api.shoppers.recommender import ClusterRefusal, Recommender
from plugin_api.sidecar.concurrency_limiter import AtCapacity, ConcurrencyLimiter
from plugin_api.sidecar.passthrough import make_wsgi_response, read_wsgi_headers
from plugin_api.sidecar.shoppers.rate_limiter import RateLimiter

EVENTS_PATH = "/_attune/events"
"""Where browsers send what shoppers do."""

COLLECTOR_PATH = "/_attune/collector.js"
"""The script that sends it. It needs no API key."""

_WAITING_SECONDS = 5.0
_GET_FIELDS = ("index", "kind", "user", "size", "diversity")


def shoppers_blueprint(settings: Settings, client: OpenSearchClient) -> Blueprint:
    """Build the routes. At most half of the sidecar's threads are here, so that searches find one."""
    blueprint = Blueprint("shoppers", __name__)
    own = settings.shoppers
    requests = ClusterRequests(client, encode_credentials(settings.opensearch))
    events = EventStore(requests, own.key, own.retention_days)
    recommender = Recommender(client, settings)
    rates = RateLimiter(own.events_per_minute)
    half = max(1, settings.sidecar.threads // 2)
    limiter = ConcurrencyLimiter(half, half, _WAITING_SECONDS)
    origins = own.allowed_origins
    collector = resources.files("plugin_api.sidecar.shoppers").joinpath("static/collector.js").read_bytes()

    @blueprint.get(COLLECTOR_PATH)
    def _collector() -> Response:
        response = Response(collector, content_type="text/javascript; charset=utf-8")
        response.headers["Cache-Control"] = "public, max-age=3600"
        response.headers["Cross-Origin-Resource-Policy"] = "cross-origin"  # for pages of other origins
        response.headers["X-Content-Type-Options"] = "nosniff"
        response.set_etag(hashlib.sha256(collector).hexdigest()[:16])
        response.make_conditional(request)
        return response

    @blueprint.post(EVENTS_PATH)
    def _store_events() -> Response:
        documents = _read_documents(request.get_data())
        if has_opted_out(dict(request.headers)):
            return _json({"stored": 0, "duplicates": 0, "rejected": [], "opted_out": True})
        if not rates.spend(request.remote_addr or "", max(len(documents), 1)):
            reason = f"more than {own.events_per_minute} events a minute (shoppers.events_per_minute)"
            return make_wsgi_response(error_answer(429, "too_many_requests", reason))
        with limiter.slot():
            report = events.store(documents, time.time())
        rejected = [{"place": place, "reason": reason} for place, reason in report.rejected.items()]
        body = {"stored": report.stored, "duplicates": report.duplicates, "rejected": rejected}
        return _json({**body, "opted_out": False}, 200 if report.stored or not rejected else 400)

    @blueprint.route("/_attune/recommend", methods=["GET", "POST"])
    def _recommend() -> Response:
        call = _read_call()
        headers = read_wsgi_headers(request.environ)
        for name in ("content-length", "content-type", "accept-encoding"):
            headers.pop(name, None)
        with limiter.slot():
            return _json(
                recommender.recommend(call, headers, personal=not has_opted_out(dict(request.headers)))
            )

    @blueprint.get("/_attune/experiment")
    def _experiment() -> Response:
        name = settings.experiment.name
        if not name:
            raise BadRequest("there is no experiment: see the setting experiment.name")
        with limiter.slot():
            result = count_current(requests, settings, name)
        return _json({**asdict(result), "written": list_variants(settings.experiment)})

    @blueprint.delete("/_attune/users/<path:shopper>")
    def _forget(shopper: str) -> Response:
        with limiter.slot():
            return _json(forget_shopper(requests, own.key, shopper).as_json())

    @blueprint.after_request
    def _allow_origin(response: Response) -> Response:
        origin = request.headers.get("Origin", "")
        if request.path == EVENTS_PATH and origin and (origin in origins or "*" in origins):
            response.headers["Access-Control-Allow-Origin"] = origin
            response.headers["Access-Control-Allow-Headers"] = "Content-Type, X-Attune-Personal"
            response.headers["Access-Control-Allow-Methods"] = "POST"
            response.headers["Vary"] = "Origin"
        return response

    @blueprint.errorhandler(ClusterRefusal)
    def _refused(error: ClusterRefusal) -> Response:
        return make_wsgi_response(Answer(error.status, error.body))

    @blueprint.errorhandler(AtCapacity)
    def _busy(_: AtCapacity) -> Response:
        return make_wsgi_response(error_answer(429, "too_many_requests", "the sidecar is busy: try again"))

    return blueprint


def _read_documents(body: bytes) -> list[Mapping[str, object]]:
    check_values(body)
    try:
        value = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BadRequest(f"the body is not JSON: {error}", "parsing_exception") from error
    documents = value if isinstance(value, list) else [value]
    if not all(isinstance(document, dict) for document in documents):
        raise BadRequest("the body must be a UBI document, or a list of them")
    if len(documents) > MAX_EVENTS:
        raise BadRequest(f"{len(documents)} documents in one request: send at most {MAX_EVENTS}")
    return documents


def _read_call() -> RecommendCall:
    try:
        if request.method == "POST":
            check_values(request.get_data())
            return msgspec.json.decode(request.get_data(), type=RecommendCall)
        unknown = request.args.keys() - {*_GET_FIELDS, "products"}
        if unknown:
            raise BadRequest(f"unknown parameter {min(unknown)!r}: send POST for filters and boosts")
        values: dict[str, Any] = {name: request.args[name] for name in _GET_FIELDS if name in request.args}
        values["products"] = [p for p in request.args.get("products", "").split(",") if p]
        return msgspec.convert(values, RecommendCall, strict=False)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        kind = (
            "illegal_argument_exception"
            if isinstance(error, msgspec.ValidationError)
            else "parsing_exception"
        )
        raise BadRequest(f"the call can't be read: {error}", kind) from error


def _json(value: object, status: int = 200) -> Response:
    return make_wsgi_response(Answer(status, dumps(value)))
