"""The model for other programs: reranking and embedding texts that come with the request.

    POST /v1/rerank, /v2/rerank   Cohere's shape (Jina's too); OpenSearch's ml-commons speaks it
    POST /rerank                  text-embeddings-inference's
    POST /v1/embeddings           OpenAI's

No other method is claimed: `GET /rerank` is OpenSearch's index of that name.
"""

import base64
import logging
import os
import re
import uuid
from collections.abc import Sequence
from typing import TypeVar

import msgspec
import numpy as np
from flask import Blueprint, Response, request
from werkzeug.exceptions import HTTPException

from mappings.settings import Settings
from mappings.types import Product
from plugin_api.search.rerank import UNREADABLE
from plugin_api.sidecar.model_api.concurrency_limiter import Busy, Turns
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
    Embedding,
    EmbeddingsRequest,
    EmbeddingsResponse,
    RerankMeta,
    RerankRequest,
    RerankResponse,
    RerankResult,
    RerankTextsRequest,
    TextRank,
    Usage,
    Value,
)
from plugin_api.sidecar.model_api.text_model import TextModel, Texts
from reranker.types import Floats

Request = TypeVar("Request", bound=msgspec.Struct)
log = logging.getLogger("attune")

WAIT_SECONDS = 10.0
"""The longest wait for a turn at the model; clients give up after 60 and more."""

SERVED = "attune-"
"""What the served model's name begins with; its version follows."""

_PRODUCT_FIELDS = ("title", "brand", "category", "description")
LOG_ODDS_FLOOR = 1e-9
_AT = re.compile(r" - at `\$\.?(?P<path>(?P<name>[^`.\[]*)[^`]*)`$")


class Refused(Exception):
    """A request can't be answered as it is; `param` is the field that says why."""

    def __init__(self, message: str, param: str = "", status: int = 400) -> None:
        super().__init__(message)
        self.param = param
        self.status = status


def model_blueprint(settings: Settings, model: TextModel) -> Blueprint:
    """Return the routes. Errors come in the shape of the route called; nothing is sent to OpenSearch.

    At most half of the sidecar's threads are here at a time, so that searches always find one.
    """
    routes = Blueprint("model", __name__)
    wanted, sidecar = settings.search, settings.sidecar
    texts = Texts(model, (wanted.relevance_weight, wanted.click_weight, wanted.purchase_weight))
    places = max(1, sidecar.threads // 2)
    at_once = min(places, os.cpu_count() or 1)
    turns = Turns(at_once, places - at_once, WAIT_SECONDS)
    name = SERVED + model.version

    def read(kind: type[Request]) -> Request:
        request.max_content_length = sidecar.max_body_bytes
        return read_message(request.get_data(cache=False), request.mimetype, kind)

    @routes.post(COHERE_PATHS[0], defaults={"version": "1"}, provide_automatic_options=False)
    @routes.post(COHERE_PATHS[1], defaults={"version": "2"}, provide_automatic_options=False)
    def _rerank(version: str) -> Response:
        call = read(RerankRequest)
        _check_count(len(call.documents), sidecar.max_documents, "documents")
        _check_model(call.model, name)
        documents = [as_product(at, found, call.rank_fields) for at, found in enumerate(call.documents)]
        with turns.turn():
            scores = texts.score(call.query, documents)
        results = [
            RerankResult(index, score, _shown(call.documents[index]) if call.return_documents else None)
            for index, score in ranked(scores.probabilities)[: call.top_n]
        ]
        warnings = _warnings(name, scores.unknown)
        meta = RerankMeta(ApiVersion(version), warnings or None)
        return json_response(RerankResponse(str(uuid.uuid4()), name, results, meta))

    @routes.post(TEXTS_PATH, provide_automatic_options=False)
    def _rerank_texts() -> Response:
        call = read(RerankTextsRequest)
        _check_count(len(call.texts), sidecar.max_documents, "texts")
        with turns.turn():
            scores = texts.score(call.query, [Product("", title=text) for text in call.texts])
        values = log_odds(scores.probabilities) if call.raw_scores else scores.probabilities
        return json_response(
            [
                TextRank(index, score, call.texts[index] if call.return_text else None)
                for index, score in ranked(values)
            ]
        )

    @routes.post(EMBEDDINGS_PATH, provide_automatic_options=False)
    def _embeddings() -> Response:
        call = read(EmbeddingsRequest)
        given = [call.input] if isinstance(call.input, str) else call.input
        _check_count(len(given), sidecar.max_documents, "input")
        _check_model(call.model, name)
        if call.dimensions not in (None, model.dimension):
            raise Refused(
                f"this model's vectors have {model.dimension} dimensions, not {call.dimensions}: "
                "leave dimensions out",
                "dimensions",
            )
        with turns.turn():
            embed = texts.embed_documents if call.input_type in DOCUMENT_TYPES else texts.embed_queries
            found = embed(given)
        shown = _base64 if call.encoding_format == "base64" else _numbers
        data = [Embedding(index, shown(vector)) for index, vector in enumerate(found.vectors)]
        return json_response(EmbeddingsResponse(data, name, Usage(found.tokens, found.tokens)))

    @routes.errorhandler(Refused)
    def _refused(error: Refused) -> Response:
        schema = _route() == TEXTS_PATH and error.status == 400 and error.param
        return model_error(_route(), 422 if schema else error.status, str(error), error.param)

    @routes.errorhandler(Busy)
    def _busy(_: Busy) -> Response:
        reason = f"all {places} places at the model are taken: try again, or raise sidecar.threads"
        return model_error(_route(), 429, reason)

    @routes.errorhandler(HTTPException)
    def _http(error: HTTPException) -> Response:
        if error.code == 413:
            reason = f"the body is larger than {sidecar.max_body_bytes} bytes (sidecar.max_body_bytes)"
            return model_error(_route(), 413, reason)
        return model_error(_route(), error.code or 500, error.description or error.name)

    @routes.errorhandler(Exception)
    def _failed(error: Exception) -> Response:
        log.error("%s failed", _route(), exc_info=error)
        return model_error(_route(), 500, f"the model failed: {type(error).__name__}; the log says more")

    return routes


def read_message(body: bytes, mimetype: str, kind: type[Request]) -> Request:
    """Decode and validate a request. Raises Refused."""
    if mimetype not in ("", "application/json") and not mimetype.endswith("+json"):
        raise Refused(f"the body must be application/json, not {mimetype}", status=415)
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.ValidationError as error:
        message, at = str(error), _AT.search(str(error))
        if not at:
            raise Refused(f"the body is no request of this route: {message}", "body") from error
        param = at["name"] or "body"
        advice = ": send text, not tokens (LangChain: check_embedding_ctx_length=False)"
        tokens = kind is EmbeddingsRequest and param == "input" and "got `int`" in message
        tokens = tokens or (kind is EmbeddingsRequest and param == "input" and "got `array`" in message)
        raise Refused(f"{at['path']}: {message[: at.start()]}{advice if tokens else ''}", param) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Refused(f"the body is no JSON: {error}") from error
    except RecursionError as error:
        raise Refused("the body is nested too deeply") from error


def as_product(at: int, document: str | dict[str, Value], rank_fields: Sequence[str] | None) -> Product:
    """Return what the model reads of document `at`: a text as a title, an object's fields as a product's.

    Fields that products don't have join the title. Raises Refused where it has none that can be read.
    """
    if isinstance(document, str):
        return Product("", title=document)
    wanted = rank_fields or (("text",) if "text" in document else _PRODUCT_FIELDS)
    found = {name: _text(document[name]) for name in wanted if name in document}
    if not found:
        has = ", ".join(sorted(document)[:10]) or "nothing"
        raise Refused(
            f"document {at} has none of the fields {', '.join(wanted)}, but {has}: "
            "name in rank_fields what is to be read",
            "documents",
        )
    brand, category, description = (found.pop(name, "") for name in _PRODUCT_FIELDS[1:])
    title = ". ".join(text for text in found.values() if text)
    return Product("", title, brand, category, description)


def ranked(scores: Floats) -> list[tuple[int, float]]:
    """Return (index, score) from the highest score down, equal ones in the order given.

    Scores have 8 decimals: ml-commons takes each for a Double, and more digits make it something else.
    """
    rounded = [round(score, 8) for score in scores.tolist()]
    return sorted(enumerate(rounded), key=lambda found: -found[1])


def log_odds(probabilities: Floats) -> Floats:
    """Return the log-odds (n,) of probabilities (n,), at most 20.7 either way."""
    kept = np.clip(probabilities.astype(np.float64), LOG_ODDS_FLOOR, 1 - LOG_ODDS_FLOOR)
    odds: Floats = np.log(kept / (1 - kept))
    return odds


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


def _check_model(asked: str | None, served: str) -> None:
    """Vectors of two versions never mix: who names a version gets that one or nothing."""
    if asked and asked.startswith(SERVED) and asked != served:
        raise Refused(f"model {asked} is not served here, {served} is", "model", 404)


def _warnings(name: str, unknown: float) -> list[str]:
    if unknown < UNREADABLE:
        return []
    return [f"{name} does not know {unknown:.0%} of the query: the scores go by words alone"]


def _shown(document: str | dict[str, Value]) -> dict[str, Value]:
    return {"text": document} if isinstance(document, str) else document


def _text(value: Value) -> str:
    return "" if value is None else str(value)


def _numbers(vector: Floats) -> list[float]:
    return [round(component, 8) for component in vector.tolist()]


def _base64(vector: Floats) -> str:
    return base64.b64encode(vector.astype("<f4").tobytes()).decode()
