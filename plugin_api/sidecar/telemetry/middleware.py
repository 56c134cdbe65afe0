"""Around the whole application: ids, log lines, metrics and traces of every request."""

import secrets
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import nullcontext
from typing import Any

from flask import Flask, Response, request

from plugin_api.search.report import STATUS_HEADER, RerankReport
from plugin_api.sidecar.passthrough import target
from plugin_api.sidecar.telemetry.access_log import entry, write
from plugin_api.sidecar.telemetry.metrics import CONTENT_TYPE, Metrics
from plugin_api.sidecar.telemetry.tracing import Tracing

Environ = dict[str, Any]
Headers = list[tuple[str, str]]
StartResponse = Callable[..., Callable[[bytes], object]]
Application = Callable[[Environ, StartResponse], Iterable[bytes]]

REQUEST_ID, OPAQUE_ID = "HTTP_X_REQUEST_ID", "HTTP_X_OPAQUE_ID"
ENDPOINT = "attune.endpoint"


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

    def watch(self, app: Flask, passed: str, resting: Callable[[], int]) -> None:
        """Put this around `app`, and its metrics at `/_attune/metrics`.

        `passed` is the endpoint of what goes to OpenSearch; `resting` tells how many indexes are not reranked
        for a while because that kept failing.
        """
        self._resting = resting
        inner: Application = app.wsgi_app

        @app.get("/_attune/metrics")
        def _metrics() -> Response:
            return Response(self._metrics.exposition(), content_type=CONTENT_TYPE)

        @app.before_request
        def _route() -> None:
            request.environ[ENDPOINT] = request.endpoint

        def _observed(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
            return _Exchange(self._metrics, self._tracing, environ, start_response, passed).run(inner)

        app.wsgi_app = _observed  # type: ignore[method-assign]


class _Exchange:
    """One request, from its arrival to the last byte of its answer."""

    def __init__(
        self,
        metrics: Metrics,
        tracing: Tracing | None,
        environ: Environ,
        start_response: StartResponse,
        passed: str,
    ) -> None:
        self._metrics, self._tracing, self._environ = metrics, tracing, environ
        self._start_response, self._passed = start_response, passed
        self._began = time.monotonic()
        self._status, self._sent, self._rerank_status = 500, 0, ""
        self._method: str = environ["REQUEST_METHOD"]
        self._target = target(environ)
        # OpenSearch puts it into its slow log, from 3.5 on. Not X-Opaque-Id, which names a client: one for
        # every request fills the memory of its deprecation log (opensearch-project/OpenSearch#16702).
        self._request_id: str = environ.setdefault(REQUEST_ID, secrets.token_hex(16))

    def run(self, application: Application) -> Iterable[bytes]:
        """Have the request answered."""
        self._metrics.began()
        tracing = self._tracing
        self._span = tracing.begin(self._environ, self._method) if tracing else None
        try:
            with tracing.current(self._span) if tracing and self._span else nullcontext():
                answer = application(self._environ, self._start)
        except BaseException:
            self.ended()
            raise
        return _Body(answer, self)

    def count(self, piece: bytes) -> bytes:
        """Count bytes of the answer."""
        self._sent += len(piece)
        return piece

    def _start(self, status: str, headers: Headers, exc_info: object = None) -> Callable[[bytes], object]:
        self._status = int(status[:3])
        named = {name.lower(): value for name, value in headers}
        self._rerank_status = named.get(STATUS_HEADER, "")
        if "x-request-id" not in named:
            headers = [*headers, ("x-request-id", _header_safe(self._request_id))]
        return self._start_response(status, headers, exc_info)

    def ended(self) -> None:
        """Tell of the request, now that its answer is sent."""
        seconds = time.monotonic() - self._began
        self._metrics.ended()
        if self._environ.get(ENDPOINT) == self._passed and not self._rerank_status:
            self._metrics.passed(self._method, self._status, seconds)
        if self._tracing and self._span:
            self._tracing.end(self._span, self._method, self._target.partition("?")[0], self._status)
        write(
            entry(
                self._method,
                self._target,
                self._status,
                seconds,
                self._sent,
                self._request_id,
                self._environ.get(OPAQUE_ID, ""),
                self._rerank_status,
            )
        )


class _Body:
    """The answer's body; a server closes it when it has been sent, or when the client is gone."""

    def __init__(self, answer: Iterable[bytes], exchange: _Exchange) -> None:
        self._answer, self._exchange = answer, exchange

    def __iter__(self) -> Iterator[bytes]:
        return map(self._exchange.count, self._answer)

    def close(self) -> None:
        """Close what the application gave."""
        close = getattr(self._answer, "close", None)
        try:
            if close is not None:
                close()
        finally:
            self._exchange.ended()


def _header_safe(value: str) -> str:
    return "".join(letter for letter in value if " " < letter <= "~")
