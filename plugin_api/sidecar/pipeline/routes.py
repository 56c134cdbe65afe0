"""Serve the routes that a cluster's search pipeline calls (`attune install`), under `/_attune/cluster`."""

from typing import Annotated, TypeVar

import msgspec
from flask import Blueprint, Response, request
from msgspec import Meta, Raw

from mappings.errors import BadRequest, ModelError
from mappings.settings import Settings
from plugin_api.opensearch.json_depth import check_values
from plugin_api.search.answer import error_answer
from plugin_api.search.reasons import NotReranked, Reason
from plugin_api.sidecar.concurrency_limiter import AtCapacity, ConcurrencyLimiter
from plugin_api.sidecar.passthrough import make_wsgi_response
from plugin_api.sidecar.pipeline.cluster_search import ClusterSearch
from reranker.types import Reranker

UNPROCESSABLE, BUSY = 422, 429

Window = Annotated[int, Meta(ge=0, le=1000)]


class RewriteCall(msgspec.Struct, frozen=True):
    """A search before it is run.

    `window` is how many hits are reranked; 0 means each page by itself. Without `hybrid` vectors add no hits.
    """

    search: Raw
    window: Window
    hybrid: bool = True


class ScoreCall(msgspec.Struct, frozen=True):
    """A search after it was run, and what each hit's `attune.tokens` and `attune.model` hold."""

    search: Raw
    window: Window
    tokens: list[str]
    models: list[str]


class Rewritten(msgspec.Struct, frozen=True):
    """The search to run instead: JSON in a string."""

    request: str


class HitScores(msgspec.Struct, frozen=True):
    """A score for each hit, in the order in which they came."""

    scores: list[float]


Call = TypeVar("Call", RewriteCall, ScoreCall)


def cluster_blueprint(settings: Settings, reranker: Reranker) -> Blueprint:
    """Build the routes. Any answer but a 200 leaves the search, or its hits, as OpenSearch has them."""
    blueprint = Blueprint("cluster", __name__, url_prefix="/_attune/cluster")
    searching = ClusterSearch(reranker, settings)
    # Nobody waits: that would cost the shopper more than the first stage's order.
    limiter = ConcurrencyLimiter(settings.sidecar.max_concurrent_reranks, waiting=0, seconds=0.0)

    @blueprint.post("/rewrite")
    def _rewrite() -> Response:
        with limiter.slot():
            call = _decoded(RewriteCall)
            search = searching.rewrite(bytes(call.search), call.window, call.hybrid)
            # The pipeline puts the string into a template, where a shopper's dollar would mean something.
            return _json(Rewritten(search.decode().replace("$", "\\u0024")))

    @blueprint.post("/score")
    def _score() -> Response:
        with limiter.slot():
            call = _decoded(ScoreCall)
            return _json(
                HitScores(searching.score(bytes(call.search), call.tokens, call.models, call.window))
            )

    @blueprint.errorhandler(NotReranked)
    def _not_reranked(error: NotReranked) -> Response:
        return _error(UNPROCESSABLE, "not_reranked_exception", str(error))

    @blueprint.errorhandler(ModelError)
    def _unscored(error: ModelError) -> Response:
        return _error(UNPROCESSABLE, "model_exception", str(error))

    @blueprint.errorhandler(BadRequest)
    def _refused(error: BadRequest) -> Response:
        return _error(400, error.kind, str(error))

    @blueprint.errorhandler(ValueError)
    def _unreadable(error: ValueError) -> Response:
        return _error(400, "parsing_exception", f"the search: {error}")

    @blueprint.errorhandler(AtCapacity)
    def _shed(_: AtCapacity) -> Response:
        cause = Reason.BUSY.because(limit=settings.sidecar.max_concurrent_reranks)
        return _error(BUSY, "rejected_execution_exception", cause.sentence)

    return blueprint


def _decoded(kind: type[Call]) -> Call:
    check_values(request.get_data())
    try:
        return msgspec.json.decode(request.get_data(), type=kind)
    except (ValueError, RecursionError) as error:
        raise BadRequest(f"the body: {error}") from error


def _error(status: int, kind: str, reason: str) -> Response:
    return make_wsgi_response(error_answer(status, kind, reason))


def _json(body: object) -> Response:
    return Response(msgspec.json.encode(body), content_type="application/json")
