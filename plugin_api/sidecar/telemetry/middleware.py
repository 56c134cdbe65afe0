"""Around the whole application: ids, log lines, metrics and traces of every request."""

import secrets
import time
from collections.abc import Callable
from contextlib import nullcontext

from flask import Flask, Response

from plugin_api.search.report import STATUS_HEADER, RerankReport
from plugin_api.sidecar.serving.asgi import (
    THROUGH,
    Application,
    AsgiMessage,
    Receive,
    Scope,
    Send,
    find_header,
    read_target,
)
from plugin_api.sidecar.telemetry.access_log import entry, hide_shopper, write
from plugin_api.sidecar.telemetry.metrics import CONTENT_TYPE, Metrics
from plugin_api.sidecar.telemetry.tracing import Tracing

REQUEST_ID, OPAQUE_ID = b"x-request-id", b"x-opaque-id"


class Observer:
    """Sees every request come and its answer go. Thread-safe; one for each worker process."""

    def __init__(self, metrics: Metrics, tracing: Tracing | None = None) -> None:
        self._metrics, self._tracing = metrics, tracing
        self._resting: Callable[[], int] = int

    def searched(self, report: RerankReport, seconds: float) -> None:
        """Count a search that has just ended in this thread."""
        self._metrics.searched(report, seconds)
        self._metrics.set_open_circuits(self._resting())
        if self._tracing:
            self._tracing.searched(report, seconds)

    def add_route(self, app: Flask, resting: Callable[[], int]) -> None:
        """Give the metrics a route, `/_attune/metrics`.

        `resting` tells how many indexes are not reranked for a while because that kept failing.
        """
        self._resting = resting

        @app.get("/_attune/metrics")
        def _metrics() -> Response:
            return Response(self._metrics.exposition(), content_type=CONTENT_TYPE)

    def around(self, application: Application) -> Application:
        """Return the application, each of its requests observed."""

        async def observed(scope: Scope, receive: Receive, send: Send) -> None:
            await _Exchange(self._metrics, self._tracing, scope, send).run(application, receive)

        return observed


class _Exchange:
    """One request, from its arrival to the last byte of its answer."""

    def __init__(self, metrics: Metrics, tracing: Tracing | None, scope: Scope, send: Send) -> None:
        self._metrics, self._tracing, self._scope, self._send = metrics, tracing, scope, send
        self._began = time.monotonic()
        self._status, self._sent, self._rerank_status = 500, 0, ""
        # OpenSearch puts it into its slow log, from 3.5 on. Not X-Opaque-Id, which names a client: one for
        # every request fills the memory of its deprecation log (opensearch-project/OpenSearch#16702).
        self._request_id = find_header(scope, REQUEST_ID)
        if not self._request_id:
            self._request_id = secrets.token_hex(16)
            scope["headers"] = [*scope["headers"], (REQUEST_ID, self._request_id.encode())]

    async def run(self, application: Application, receive: Receive) -> None:
        """Have the request answered."""
        self._metrics.began()
        tracing, method = self._tracing, self._scope["method"]
        span = None
        if tracing:
            span, self._scope["headers"] = tracing.begin(self._scope["headers"], method)
        try:
            with tracing.current(span) if tracing and span else nullcontext():
                await application(self._scope, receive, self._observe)
        finally:
            self._end()
            if tracing and span:
                path = hide_shopper(self._scope["raw_path"].decode("ascii"))
                tracing.end(span, method, path, self._status)

    async def _observe(self, message: AsgiMessage) -> None:
        if message["type"] == "http.response.start":
            self._status = message["status"]
            named = dict(message["headers"])
            self._rerank_status = named.get(STATUS_HEADER.encode(), b"").decode("latin-1")
            if REQUEST_ID not in named:
                shown = (REQUEST_ID, _header_safe(self._request_id).encode())
                message = {**message, "headers": [*message["headers"], shown]}
        else:
            self._sent += len(message.get("body", b""))
        await self._send(message)

    def _end(self) -> None:
        """Tell of the request, now that its answer is sent."""
        seconds = time.monotonic() - self._began
        self._metrics.ended()
        if self._scope["state"].get(THROUGH) and not self._rerank_status:
            self._metrics.passed(self._scope["method"], self._status, seconds)
        write(
            entry(
                self._scope["method"],
                read_target(self._scope),
                self._status,
                seconds,
                self._sent,
                self._request_id,
                find_header(self._scope, OPAQUE_ID),
                self._rerank_status,
            )
        )


def _header_safe(value: str) -> str:
    return "".join(letter for letter in value if " " < letter <= "~")
