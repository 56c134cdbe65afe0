"""Passing requests through to OpenSearch, as the Flask app does it, and the parts of a WSGI request."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from flask import Response

from plugin_api.opensearch.client import Headers, OpenSearchClient
from plugin_api.opensearch.headers import drop_hop_headers, drop_signature
from plugin_api.search.answer import Answer

Environ = dict[str, Any]

_NOT_FORWARDED = frozenset({"host", "expect"})
"""Request headers of this connection: OpenSearch has an address of its own."""

UNDERSCORED = "attune.underscored"
"""Where a server puts the headers whose names have an underscore, as (name, value) in Latin-1."""

FORWARDING = "attune.forwarding"
"""Where a server puts a Forwarding, if it can pass a request through by itself."""


@dataclass
class Forwarding:
    """Set `headers` to have the server pass the request through as it came, and add them to the answer."""

    headers: Headers | None = None


def forward(client: OpenSearchClient, environ: Environ, body: bytes, more: Headers = ()) -> Response:
    """Pass a request through, `more` headers added to its answer. Raises ClusterDown, AnswerTooLarge.

    The server does it where it can; else the app does, in the thread at hand.
    """
    forwarding = environ.get(FORWARDING)
    if forwarding is not None:
        forwarding.headers = more
        return Response(status=204)
    answer = client.request(
        environ["REQUEST_METHOD"], read_wsgi_target(environ), read_wsgi_headers(environ), body
    )
    return make_wsgi_response(Answer(answer.status, answer.body, (*answer.headers, *more)))


def read_wsgi_target(environ: Environ) -> str:
    """Return path and query string as they came, percent-encoding and all."""
    raw: str = environ.get("RAW_URI") or environ["REQUEST_URI"]
    if raw.startswith("/"):
        return raw
    parts = urlsplit(raw)  # a proxy's form: with scheme and host
    return f"{parts.path or '/'}?{parts.query}" if parts.query else parts.path or "/"


def read_wsgi_headers(environ: Environ) -> dict[str, str]:
    """Return the headers that go on, names in lower case: all but this connection's."""
    pairs = [
        (name[5:].replace("_", "-").lower(), value)
        for name, value in environ.items()
        if name.startswith("HTTP_")
    ]
    pairs += [("content-type", environ["CONTENT_TYPE"])] if environ.get("CONTENT_TYPE") else []
    pairs += environ.get(UNDERSCORED, ())
    going = drop_signature(drop_hop_headers(pairs))
    return {name: as_utf8(value) for name, value in going if name not in _NOT_FORWARDED}


def as_utf8(value: str) -> str:
    """Return a header's value as text, where WSGI has each of its bytes as a character."""
    return value if value.isascii() else value.encode("latin-1").decode("utf-8", "surrogateescape")


def make_wsgi_response(answer: Answer) -> Response:
    """Return an answer for Flask, its headers unchanged."""
    body: bytes | Iterable[bytes] = answer.body
    response = Response(body, answer.status, direct_passthrough=True)
    response.headers.clear()
    for name, value in answer.headers:
        response.headers.add(name, value)
    if isinstance(answer.body, bytes):
        response.content_length = len(answer.body)
    return response
