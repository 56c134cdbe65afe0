"""Serve the routes that a cluster's pipelines call (`attune install`), under `/_attune/cluster`."""

import os
from collections.abc import Sequence
from typing import Annotated, Literal, Protocol, TypeVar

import msgspec
from flask import Blueprint, Response, request
from msgspec import Meta, Raw

from indexer.store.encoder import ProductEncoder
from mappings.errors import BadRequest, ModelError
from mappings.settings import Settings
from mappings.types import JsonObject
from plugin_api.opensearch.json_depth import check_values
from plugin_api.search.answer import error_answer
from plugin_api.search.reasons import NotReranked, Reason
from plugin_api.sidecar.concurrency_limiter import AtCapacity, ConcurrencyLimiter
from plugin_api.sidecar.passthrough import make_wsgi_response
from plugin_api.sidecar.pipeline.cluster_search import ClusterSearch
from plugin_api.sidecar.pipeline.document_encoding import DocumentEncoder
from reranker.types import Reranker

UNPROCESSABLE, BUSY = 422, 429

_ENCODING_SECONDS = 1.5
"""Seconds that a document waits for others: less than the cluster waits for an answer."""

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


class EncodeCall(msgspec.Struct, frozen=True):
    """A document as it is written, with its `_id`, and what attaching recorded of its index."""

    document: JsonObject
    fields: JsonObject
    model: str
    vectors: Literal["byte", "float"]


class EncodedDocument(msgspec.Struct, frozen=True):
    """The document's field `attune`."""

    attune: JsonObject


Call = TypeVar("Call", RewriteCall, ScoreCall, EncodeCall)


class ClusterModel(Reranker, ProductEncoder, Protocol):
    """What the routes need of a model; reranker.model.Model is one."""


def cluster_blueprint(
    settings: Settings, reranker: ClusterModel, others: Sequence[ClusterModel] = ()
) -> Blueprint:
    """Build the routes. Any answer but a 200 leaves a search, its hits or a document as they are.

    Documents are encoded by the model of their index, one of `others` too.
    """
    blueprint = Blueprint("cluster", __name__, url_prefix="/_attune/cluster")
    searching = ClusterSearch(reranker, settings)
    # Nobody waits: that would cost the shopper more than the first stage's order.
    limiter = ConcurrencyLimiter(settings.sidecar.max_concurrent_reranks, waiting=0, seconds=0.0)
    encoder = DocumentEncoder((reranker, *others))
    # Documents wait, but half of the threads stay free for searches.
    places = max(1, settings.sidecar.threads // 2)
    running = min(places, os.cpu_count() or 1)
    encoding = ConcurrencyLimiter(running, places - running, _ENCODING_SECONDS)

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

    @blueprint.post("/encode")
    def _encode() -> Response:
        with encoding.slot():
            call = _decoded(EncodeCall)
            values = encoder.encode(call.document, call.fields, call.model, call.vectors)
            if values is None:
                return _error(UNPROCESSABLE, "no_text_exception", "it has neither title nor description")
            return _json(EncodedDocument(values))

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
        if request.path.endswith("/encode"):
            reason = f"{places} documents are being encoded: bulk requests of fewer documents wait less"
            return _error(BUSY, "rejected_execution_exception", reason)
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
