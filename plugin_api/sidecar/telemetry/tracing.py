"""Spans of requests and of a search's stages, sent to an OpenTelemetry collector where one is configured.

OpenTelemetry is imported only then: `pip install 'attune[tracing]'`.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from mappings.errors import SettingsError
from plugin_api.search.report import RerankReport

if TYPE_CHECKING:
    from opentelemetry.trace import Span

TRACES_PATH = "/v1/traces"
EXPORT_SECONDS = 5.0
_STAGES = ("encode", "search", "score", "fetch")
_HEADERS = ("traceparent", "tracestate")
"""W3C Trace Context's headers."""

_RawHeaders = list[tuple[bytes, bytes]]


class Tracing:
    """Makes spans and sends them in the background. Thread-safe; one for each worker process."""

    def __init__(self, endpoint: str) -> None:
        """Send to an OTLP/HTTP address. Raises SettingsError where OpenTelemetry is not installed."""
        try:
            from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
            from opentelemetry.sdk.resources import Resource
            from opentelemetry.sdk.trace import TracerProvider
            from opentelemetry.sdk.trace.export import BatchSpanProcessor
            from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
        except ModuleNotFoundError as error:
            raise SettingsError(
                "sidecar.tracing_endpoint needs OpenTelemetry: pip install 'attune[tracing]'"
            ) from error
        address = endpoint if endpoint.endswith(TRACES_PATH) else endpoint.rstrip("/") + TRACES_PATH
        self._provider = TracerProvider(resource=Resource.create({"service.name": "attune"}))
        exporter = OTLPSpanExporter(endpoint=address, timeout=EXPORT_SECONDS)
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self._tracer = self._provider.get_tracer("attune")
        self._propagator = TraceContextTextMapPropagator()

    def begin(self, headers: _RawHeaders, name: str) -> "tuple[Span, _RawHeaders]":
        """Begin a request's span, under the caller's where it named one.

        Return the span, and the headers with which OpenSearch's spans will be under it.
        """
        from opentelemetry.trace import SpanKind, set_span_in_context

        named = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in headers]
        came = {name: value for name, value in named if name in _HEADERS}
        span = self._tracer.start_span(name, self._propagator.extract(came), SpanKind.SERVER)
        going: dict[str, str] = {}
        self._propagator.inject(going, set_span_in_context(span))
        others = [pair for pair in headers if pair[0].decode("latin-1") not in _HEADERS]
        return span, [*others, *((key.encode(), value.encode()) for key, value in going.items())]

    @contextmanager
    def current(self, span: "Span") -> Iterator[None]:
        """Put what is made in the block under the span."""
        from opentelemetry.trace import use_span

        with use_span(span, end_on_exit=False, record_exception=False, set_status_on_exception=False):
            yield

    def searched(self, report: RerankReport, seconds: float) -> None:
        """Add the span of a search that has just ended, and of its stages, one after the other."""
        from opentelemetry.trace import set_span_in_context

        ended = time.time_ns()
        began = ended - int(seconds * 1e9)
        span = self._tracer.start_span("attune.search", start_time=began)
        span.set_attribute("attune.rerank_status", report.rerank_status.value)
        if report.reason_code:
            span.set_attribute("attune.reason_code", report.reason_code.value)
        span.set_attribute("attune.window", report.window)
        within = set_span_in_context(span)
        for stage in _STAGES:
            nanoseconds = int(getattr(report.took_ms, stage) * 1e6)
            if nanoseconds:
                self._tracer.start_span(stage, within, start_time=began).end(began + nanoseconds)
                began += nanoseconds
        span.end(ended)

    def end(self, span: "Span", method: str, path: str, status: int) -> None:
        """End a request's span."""
        from opentelemetry.trace import StatusCode

        span.set_attributes(
            {"http.request.method": method, "url.path": path, "http.response.status_code": status}
        )
        if status >= 500:
            span.set_status(StatusCode.ERROR)
        span.end()

    def close(self) -> None:
        """Send what is left."""
        self._provider.shutdown()
