"""One search's way in: what it asks for, its body read, and the answer, reranked or OpenSearch's own."""

import zlib
from dataclasses import replace
from urllib.parse import parse_qsl

from flask import Request, Response

from mappings.settings import SidecarSettings
from plugin_api.opensearch.client import OpenSearchClient
from plugin_api.opensearch.http_client import AnswerTooLarge
from plugin_api.opensearch.json_depth import check_depth
from plugin_api.opensearch.raw_json import prettify
from plugin_api.search.answer import Answer
from plugin_api.search.deadline import Deadline
from plugin_api.search.msearch import MultiSearch
from plugin_api.search.query.request import MAX_BODY_BYTES
from plugin_api.search.query.types import FallbackRequest, SearchCall
from plugin_api.search.reasons import Cause, NotReranked, Reason
from plugin_api.search.render import add_status
from plugin_api.search.search import Observe, Searcher
from plugin_api.search.templates import render_call
from plugin_api.sidecar.passthrough import forward, make_wsgi_response, read_wsgi_headers, read_wsgi_target

_MAX_LIST_BYTES = 2_000_000
"""Bytes of the longest list of searches that is read."""

_OF_THE_BODY = frozenset({"content-length", "content-encoding"})
"""Request headers that no longer hold once a body has been read."""


class SearchRoutes:
    """Answers searches, and passes through all that is none. Thread-safe."""

    def __init__(
        self, settings: SidecarSettings, client: OpenSearchClient, searcher: Searcher, observe: Observe
    ) -> None:
        self._settings, self._client, self._searcher, self._observe = settings, client, searcher, observe
        self._msearch = MultiSearch(client, searcher)

    def answer(self, request: Request) -> Response:
        """Answer a request. Raises AttuneError."""
        path, _, query = read_wsgi_target(request.environ).partition("?")
        kind, index = search_kind(path) if request.method in ("GET", "POST") else ("", "")
        body = request.get_data(cache=False)
        if not kind:
            return forward(self._client, request.environ, body)
        limit = min(self._settings.max_body_bytes, longest_body(kind))
        read = decompress(body, request.headers.get("Content-Encoding", ""), limit)
        if read is None:
            return self._pass(request, body, Reason.BODY_TOO_LARGE.because())
        lines = kind.startswith("_msearch")
        if read and not is_json(request.headers.get("Content-Type", ""), lines):
            return self._pass(request, body, Reason.NOT_JSON.because())
        check_depth(read, lines)
        headers = {k: v for k, v in read_wsgi_headers(request.environ).items() if k not in _OF_THE_BODY}
        params = dict(parse_qsl(query.replace(";", "&"), keep_blank_values=True))
        call = SearchCall(index, read, params, headers, request.method)
        try:
            answer = self._answer(kind, call)
        except NotReranked as error:
            answer = error.cause
        except AnswerTooLarge:
            answer = Reason.BODY_TOO_LARGE.because()
        if isinstance(answer, Cause):
            return self._pass(request, body, answer)
        wants_pretty = params.get("pretty", "false") in ("", "true")
        return make_wsgi_response(replace(answer, body=prettify(answer.read())) if wants_pretty else answer)

    def _answer(self, kind: str, call: SearchCall) -> Answer | Cause:
        """Answer a search; return the cause where it is to go on as it came."""
        deadline, template = Deadline.after(self._settings.deadline_ms / 1000), kind.endswith("/template")
        if kind.startswith("_msearch"):
            answer = self._msearch.answer_templates if template else self._msearch.answer
            return answer(call, deadline)
        if template:
            call = render_call(self._client, call, deadline)
        if kind == "_count":
            return self._searcher.answer_count(call)
        request = self._searcher.parse(call)
        if isinstance(request, FallbackRequest) and request.verbatim:
            return request.cause
        answered = self._searcher.answer_request(call, request, deadline)
        return add_status(answered) if template else answered

    def _pass(self, request: Request, body: bytes, cause: Cause) -> Response:
        report = self._searcher.report(cause)
        self._observe(report, 0.0)
        return forward(self._client, request.environ, body, report.headers)


def search_kind(path: str) -> tuple[str, str]:
    """Return what kind of search a path, percent-encoded, asks for, and its index as it stands there.

    ("_search", "products") for `/products/_search`; ("", "") for all that is not a search.
    """
    parts = path.rstrip("/").split("/")[1:]
    for kind in ("_search", "_msearch", "_count", "_search/template", "_msearch/template"):
        length = kind.count("/") + 1
        if "/".join(parts[-length:]) == kind and len(parts) - length <= 1:
            index = "".join(parts[:-length])
            if not (index.startswith("_") and index != "_all"):
                return kind, index
    return "", ""


def longest_body(kind: str) -> int:
    """Return the bytes of the longest search of a kind that is read; a longer one goes on as it came."""
    return _MAX_LIST_BYTES if kind.startswith("_msearch") else MAX_BODY_BYTES


def decompress(body: bytes, coding: str, limit: int) -> bytes | None:
    """Return the body, unpacked where it is gzip of one or more members; None where that can't be done.

    That includes a body of more than `limit` bytes.
    """
    if coding.lower() in ("", "identity"):
        return body if len(body) <= limit else None
    if coding.lower() != "gzip":
        return None
    parts, size = [], 0
    while body:
        unpacker = zlib.decompressobj(16 + zlib.MAX_WBITS)
        try:
            parts.append(unpacker.decompress(body, limit - size + 1))
        except zlib.error:
            return None
        size += len(parts[-1])
        if size > limit or not unpacker.eof:
            return None
        body = unpacker.unused_data
    return b"".join(parts)


def is_json(content_type: str, lines: bool) -> bool:
    """Whether OpenSearch takes a body of this type for JSON, for `lines` one document a line."""
    kind = content_type.partition(";")[0].strip().lower()
    return kind == "application/json" or (lines and kind == "application/x-ndjson")
