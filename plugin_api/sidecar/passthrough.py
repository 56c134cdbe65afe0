"""Passing on, byte for byte and as it comes, every method and path that Attune does not rerank."""

from collections.abc import Iterable, Iterator
from typing import Any
from urllib.parse import urlsplit

from flask import Response

from mappings.errors import BadRequest
from plugin_api.opensearch.client import CHUNK_BYTES, OpenSearchClient, end_to_end
from plugin_api.search.answer import Answer

Environ = dict[str, Any]

OF_THE_HOP = frozenset({"host", "expect"})
"""Request headers that are this connection's: OpenSearch has an address of its own."""


def forward(client: OpenSearchClient, environ: Environ, body: Iterable[bytes] | bytes) -> Answer:
    """Send a request on as it came. Raises ClusterDown."""
    headers = request_headers(environ)
    stream = client.stream(environ["REQUEST_METHOD"], target(environ), headers, body)
    return Answer(stream.status, stream.chunks, stream.headers)


def target(environ: Environ) -> str:
    """Path and query string as they came, percent-encoding and all."""
    raw: str = environ.get("RAW_URI") or environ["REQUEST_URI"]
    if raw.startswith("/"):
        return raw
    parts = urlsplit(raw)  # a proxy's form: with scheme and host
    return f"{parts.path or '/'}?{parts.query}" if parts.query else parts.path or "/"


def request_headers(environ: Environ) -> dict[str, str]:
    """The headers that go on, names in lower case: all but this connection's."""
    named = {name[5:].replace("_", "-"): value for name, value in environ.items() if name.startswith("HTTP_")}
    if environ.get("CONTENT_TYPE"):
        named["content-type"] = environ["CONTENT_TYPE"]
    if environ.get("CONTENT_LENGTH"):
        named["content-length"] = environ["CONTENT_LENGTH"]
    kept = end_to_end(named.items())
    return {name: value for name, value in kept.items() if name not in OF_THE_HOP}


def request_body(environ: Environ) -> Iterator[bytes] | bytes:
    """The body as it comes in; b"" where there is none.

    Raises BadRequest, while it is read, where the caller breaks off: half a body must not look like a whole.
    """
    length = int(environ.get("CONTENT_LENGTH") or 0)
    if not length and not environ.get("wsgi.input_terminated"):
        return b""
    if not length and "HTTP_TRANSFER_ENCODING" not in environ:
        return b""
    return _chunks(environ["wsgi.input"], length)


def _chunks(stream: Any, length: int) -> Iterator[bytes]:
    left = length
    while chunk := stream.read(min(CHUNK_BYTES, left) if length else CHUNK_BYTES):
        left -= len(chunk)
        yield chunk
        if length and not left:
            return
    if length:
        raise BadRequest(f"the request's body ended {left} bytes early")


def wsgi_response(answer: Answer) -> Response:
    """An answer for Flask, its headers unchanged."""
    response = Response(answer.body, answer.status, direct_passthrough=True)
    response.headers.clear()
    for name, value in answer.headers:
        response.headers.add(name, value)
    if isinstance(answer.body, bytes):
        response.content_length = len(answer.body)
    return response
