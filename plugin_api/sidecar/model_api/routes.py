"""The model for other programs: reranking and embedding texts that come with the request.

    POST /v1/rerank, /v2/rerank   Cohere's, Jina's, Voyage's, vLLM's and OpenSearch's ml-commons' requests
    POST /rerank                  text-embeddings-inference's requests (texts), or those above (documents)
    POST /v1/embeddings           OpenAI's requests

Other methods are OpenSearch's: `GET /rerank` asks for its index of that name.
"""

import base64
import logging
import os
import re
import time
import uuid
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import msgspec
from flask import Blueprint, Response, request
from werkzeug.exceptions import HTTPException

from mappings.settings import Settings
from mappings.types import Product
from plugin_api.opensearch.json_depth import MAX_VALUES, has_too_many_values
from plugin_api.search.models import MAX_UNKNOWN_SHARE
from plugin_api.sidecar.concurrency_limiter import AtCapacity, ConcurrencyLimiter
from plugin_api.sidecar.model_api.errors import (
    COHERE_PATHS,
    EMBEDDINGS_PATH,
    TEXTS_PATH,
    json_response,
    model_error,
)
from plugin_api.sidecar.model_api.messages import (
    DOCUMENT_TYPES,
    ApiVersion,
    DocumentScore,
    DocumentsMeta,
    DocumentsRequest,
    DocumentsResponse,
    Embedding,
    EmbeddingsRequest,
    EmbeddingsResponse,
    TextScore,
    TextsRequest,
    TokenUsage,
    VoyageResponse,
)
from plugin_api.sidecar.model_api.text_model import DeadlineExceeded, TextModel, TextScorer
from reranker.log_odds import compute_log_odds
from reranker.types import Doubles, Floats

_Request = TypeVar("_Request", bound=msgspec.Struct)
_log = logging.getLogger("attune")

_MODEL_PREFIX = "attune-"
"""What the served model's name begins with; its version follows."""

_PRODUCT_FIELDS = ("title", "brand", "category", "description")
_AT = re.compile(r" - at `\$\.?(?P<path>(?P<name>[^`.\[]*)[^`]*)`$")


class Refused(Exception):
    """A request can't be answered as it is; `param` is the field that says why."""

    def __init__(self, message: str, param: str = "", status: int = 400) -> None:
        super().__init__(message)
        self.param = param
        self.status = status


class _Fields(msgspec.Struct):
    """Which of the two lists a request to TEXTS_PATH has, neither of them decoded."""

    texts: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    documents: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


def model_blueprint(settings: Settings, model: TextModel) -> Blueprint:
    """Return the routes. Errors come in the shape of the route called; nothing is sent to OpenSearch.

    At most half of the sidecar's threads are here at a time, so that searches always find one.
    """
    routes = Blueprint("model", __name__)
    sidecar = settings.sidecar
    scorer = TextScorer(model, settings.search.head_weights)
    seconds = sidecar.model_deadline_ms / 1000
    places = max(1, sidecar.threads // 2)
    running = min(places, os.cpu_count() or 1)
    limiter = ConcurrencyLimiter(running, places - running, seconds)
    name = _MODEL_PREFIX + model.version

    def read(kind: type[_Request]) -> _Request:
        request.max_content_length = sidecar.max_body_bytes
        return read_message(request.get_data(), request.mimetype, kind)

    def rerank_documents(version: str, deadline: float) -> Response:
        call = read(DocumentsRequest)
        _check_count(len(call.documents), sidecar.max_documents, "documents")
        _check_model(call.model, name)
        products = [
            read_product(at, document, call.rank_fields) for at, document in enumerate(call.documents)
        ]
        scores = scorer.score(call.query_text, products, deadline)
        shown = _as_sent if call.is_voyage else _as_object
        results = [
            DocumentScore(index, score, shown(call.documents[index]) if call.return_documents else None)
            for index, score in sort_scores(scores.probabilities)[: call.limit]
        ]
        usage = TokenUsage(scores.tokens, scores.tokens)
        if call.is_voyage:
            return json_response(VoyageResponse(results, name, usage))
        meta = DocumentsMeta(ApiVersion(version), warnings=_warnings(name, scores.unknown) or msgspec.UNSET)
        return json_response(DocumentsResponse(str(uuid.uuid4()), name, results, meta, usage))

    @routes.post(COHERE_PATHS[0], defaults={"version": "1"}, provide_automatic_options=False)
    @routes.post(COHERE_PATHS[1], defaults={"version": "2"}, provide_automatic_options=False)
    def _rerank(version: str) -> Response:
        deadline = time.monotonic() + seconds
        with limiter.slot():
            return rerank_documents(version, deadline)

    @routes.post(TEXTS_PATH, provide_automatic_options=False)
    def _rerank_texts() -> Response:
        deadline = time.monotonic() + seconds
        with limiter.slot():
            fields = read(_Fields)
            if fields.texts is msgspec.UNSET and fields.documents is not msgspec.UNSET:
                return rerank_documents("1", deadline)
            call = read(TextsRequest)
            _check_count(len(call.texts), sidecar.max_documents, "texts")
            scores = scorer.score(call.query, [Product("", title=text) for text in call.texts], deadline)
        values = compute_log_odds(scores.probabilities) if call.raw_scores else scores.probabilities
        return json_response(
            [
                TextScore(index, score, call.texts[index] if call.return_text else None)
                for index, score in sort_scores(values)
            ]
        )

    @routes.post(EMBEDDINGS_PATH, provide_automatic_options=False)
    def _embeddings() -> Response:
        deadline = time.monotonic() + seconds
        with limiter.slot():
            call = read(EmbeddingsRequest)
            texts = [call.input] if isinstance(call.input, str) else call.input
            _check_count(len(texts), sidecar.max_documents, "input")
            _check_model(call.model, name)
            if call.dimensions not in (None, model.dimension):
                raise Refused(
                    f"this model's vectors have {model.dimension} dimensions, not {call.dimensions}: "
                    "leave dimensions out",
                    "dimensions",
                )
            embed = scorer.embed_documents if call.input_type in DOCUMENT_TYPES else scorer.embed_queries
            embedded = embed(texts, deadline)
        write = _as_base64 if call.encoding_format == "base64" else _as_numbers
        data = [Embedding(index, write(vector)) for index, vector in enumerate(embedded.vectors)]
        return json_response(EmbeddingsResponse(data, name, TokenUsage(embedded.tokens, embedded.tokens)))

    @routes.errorhandler(Refused)
    def _refused(error: Refused) -> Response:
        invalid = _route() == TEXTS_PATH and error.status == 400 and error.param
        return model_error(_route(), 422 if invalid else error.status, str(error), error.param)

    @routes.errorhandler(AtCapacity)
    def _at_capacity(_: AtCapacity) -> Response:
        reason = f"all {places} places at the model are taken: try again, or raise sidecar.threads"
        return model_error(_route(), 429, reason)

    @routes.errorhandler(DeadlineExceeded)
    def _deadline_exceeded(_: DeadlineExceeded) -> Response:
        reason = (
            f"the texts took longer than {sidecar.model_deadline_ms} ms (sidecar.model_deadline_ms): "
            "send fewer of them a call, or try again"
        )
        return model_error(_route(), 503, reason)

    @routes.errorhandler(HTTPException)
    def _http(error: HTTPException) -> Response:
        if error.code == 413:
            reason = f"the body is larger than {sidecar.max_body_bytes} bytes (sidecar.max_body_bytes)"
            return model_error(_route(), 413, reason)
        return model_error(_route(), error.code or 500, error.description or error.name)

    @routes.errorhandler(Exception)
    def _failed(error: Exception) -> Response:
        _log.error("%s failed", _route(), exc_info=error)
        return model_error(_route(), 500, f"the model failed: {type(error).__name__}; the log says more")

    return routes


def read_message(body: bytes, mimetype: str, kind: type[_Request]) -> _Request:
    """Decode and validate a request. Raises Refused."""
    if has_too_many_values(body):
        raise Refused(f"the body has more than {MAX_VALUES} values: send it in parts", "body")
    if mimetype not in ("", "application/json") and not mimetype.endswith("+json"):
        raise Refused(f"the body must be application/json, not {mimetype}", status=415)
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.ValidationError as error:
        message, at = str(error), _AT.search(str(error))
        if not at:
            raise Refused(f"the body is not a request of this route: {message}", "body") from error
        param = at["name"] or "body"
        advice = ": send text, not tokens (LangChain: check_embedding_ctx_length=False)"
        tokens = kind is EmbeddingsRequest and param == "input" and "got `int`" in message
        tokens = tokens or (kind is EmbeddingsRequest and param == "input" and "got `array`" in message)
        raise Refused(f"{at['path']}: {message[: at.start()]}{advice if tokens else ''}", param) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Refused(f"the body is not JSON: {error}") from error
    except RecursionError as error:
        raise Refused("the body is nested too deeply") from error


def read_product(at: int, document: str | Mapping[str, Any], rank_fields: Sequence[str] | None) -> Product:
    """Return what the model reads of document `at`: a text as a title, an object's fields as a product's.

    Fields that products don't have join the title. Raises Refused where it has none that can be read.
    """
    if isinstance(document, str):
        return Product("", title=document)
    wanted = rank_fields or (("text",) if "text" in document else _PRODUCT_FIELDS)
    texts = {name: _read_text(at, name, document[name]) for name in wanted if name in document}
    if not texts:
        present = ", ".join(sorted(document)[:10]) or "nothing"
        raise Refused(
            f"document {at} has none of the fields {', '.join(wanted)}, but {present}: "
            "name in rank_fields what is to be read",
            "documents",
        )
    brand, category, description = (texts.pop(name, "") for name in _PRODUCT_FIELDS[1:])
    title = ". ".join(text for text in texts.values() if text)
    return Product("", title, brand, category, description)


def sort_scores(scores: Floats | Doubles) -> list[tuple[int, float]]:
    """Return (index, score) from the highest score down, equal ones in the order given.

    Scores have 8 decimals: ml-commons reads them as Doubles, and fails on more digits than a Double has.
    """
    rounded = [round(score, 8) for score in scores.tolist()]
    return sorted(enumerate(rounded), key=lambda pair: -pair[1])


def _route() -> str:
    """The route called, however its path was written."""
    return request.url_rule.rule if request.url_rule else request.path


def _check_count(count: int, most: int, param: str) -> None:
    if count > most:
        raise Refused(
            f"{count} {param} are too many: at most {most} a call (sidecar.max_documents); "
            "send them in parts",
            param,
        )


def _check_model(model: str | None, served: str) -> None:
    """Vectors of two versions never mix: who names a version gets that one or nothing."""
    if model and model.startswith(_MODEL_PREFIX) and model != served:
        raise Refused(f"model {model} is not served here, {served} is", "model", 404)


def _warnings(name: str, unknown: float) -> list[str]:
    if unknown < MAX_UNKNOWN_SHARE:
        return []
    return [f"{name} does not know {unknown:.0%} of the query: the scores depend on its words alone"]


def _as_sent(document: str | dict[str, Any]) -> str | dict[str, Any]:
    return document


def _as_object(document: str | dict[str, Any]) -> dict[str, Any]:
    return {"text": document} if isinstance(document, str) else document


def _read_text(at: int, name: str, value: object) -> str:
    if value is None or isinstance(value, str | int | float):  # bool is an int
        return "" if value is None else str(value)
    raise Refused(f"documents[{at}].{name}: Expected text, got {type(value).__name__}", "documents")


def _as_numbers(vector: Floats) -> list[float]:
    return [round(component, 8) for component in vector.tolist()]


def _as_base64(vector: Floats) -> str:
    return base64.b64encode(vector.astype("<f4").tobytes()).decode()
