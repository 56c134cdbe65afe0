"""Errors of the model routes, each in the shape that the route's clients read."""

import msgspec
from flask import Response

from plugin_api.sidecar.model_api.messages import DocumentsError, OpenAIError, OpenAIErrorDetail, TextsError

COHERE_PATHS = ("/v1/rerank", "/v2/rerank")
TEXTS_PATH = "/rerank"
EMBEDDINGS_PATH = "/v1/embeddings"
MODEL_PATHS = (*COHERE_PATHS, TEXTS_PATH, EMBEDDINGS_PATH)

_RETRY_AFTER_SECONDS = 1
"""How long callers are told to wait when the model is busy. Clients lengthen it themselves."""

_OPENAI_CODES = {401: "invalid_api_key", 404: "model_not_found", 429: "rate_limit_exceeded"}
_TEXTS_TYPES = {401: "Unauthorized", 429: "Overloaded", 503: "Overloaded"}


def model_error(path: str, status: int, message: str, param: str = "") -> Response:
    """Return an error in the shape of one of MODEL_PATHS; `param` is what it is about, for OpenAI's shape."""
    body: DocumentsError | TextsError | OpenAIError
    if path == TEXTS_PATH:
        body = TextsError(message, _TEXTS_TYPES.get(status, "Validation" if status < 500 else "Backend"))
    elif path == EMBEDDINGS_PATH:
        kind = "invalid_request_error" if status < 500 else "server_error"
        body = OpenAIError(OpenAIErrorDetail(message, kind, param or None, _OPENAI_CODES.get(status)))
    else:
        body = DocumentsError(message, message)
    response = json_response(body, status)
    if status in (429, 503):
        response.headers["Retry-After"] = str(_RETRY_AFTER_SECONDS)
    return response


def json_response(body: object, status: int = 200) -> Response:
    """Return a message as JSON."""
    return Response(msgspec.json.encode(body), status, content_type="application/json")
