"""What the sidecar counts and times, for Prometheus, over all worker processes together.

Worker processes share their numbers through files in a folder of theirs, named by PROMETHEUS_MULTIPROC_DIR
before prometheus-client is imported; without it this process's own are shown.
"""

import os
from collections.abc import Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.multiprocess import MultiProcessCollector

from plugin_api.search.reasons import Reason, RerankStatus
from plugin_api.search.report import RerankReport

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4
FOLDER_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"

_SECONDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
_WINDOWS = (10, 20, 50, 100, 200, 500, 1000)
_STAGES = ("encode", "search", "score", "fetch")
_METHODS = ("GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH")


class Metrics:
    """The sidecar's metrics. Thread-safe; one for each worker process."""

    def __init__(self, models: Sequence[str]) -> None:
        """Count from zero. `models` are the versions that are served, the default one first."""
        self._own = CollectorRegistry()
        stages = Histogram(
            "attune_stage_seconds",
            "Time of the stages of reranked searches.",
            ["stage"],
            buckets=_SECONDS,
            registry=self._own,
        )
        self._stages = tuple((stage, stages.labels(stage)) for stage in _STAGES)
        searches = Histogram(
            "attune_search_seconds",
            "Time of searches from end to end by what became of reranking.",
            ["rerank_status"],
            buckets=_SECONDS,
            registry=self._own,
        )
        self._searches = {status: searches.labels(status.value) for status in RerankStatus}
        reasons = Counter(
            "attune_unranked", "Searches that were not reranked, by why.", ["rerank_status", "reason"],
            registry=self._own,
        )  # fmt: skip
        self._reasons = {reason: reasons.labels(reason.status.value, reason.value) for reason in Reason}
        self._window = Histogram(
            "attune_window", "Candidates that were reranked.", buckets=_WINDOWS, registry=self._own
        )
        self._cached = Counter(
            "attune_cached_rankings",
            "Searches answered from a cached ranking.",
            registry=self._own,
        )
        self._without_vectors = Counter(
            "attune_hits_without_vectors",
            "Hits that kept their keyword place because they have no vectors.",
            registry=self._own,
        )
        passed = Histogram(
            "attune_passed_seconds",
            "Time of requests that were passed through, until the last byte was sent.",
            ["method", "status"],
            buckets=_SECONDS,
            registry=self._own,
        )
        self._passed = passed.labels
        self._in_flight = Gauge(
            "attune_in_flight", "Requests under way.", registry=self._own, multiprocess_mode="livesum"
        )
        self._circuits = Gauge(
            "attune_circuits_open",
            "Indexes whose searches are not reranked for a while because that failed repeatedly.",
            registry=self._own,
            multiprocess_mode="livemax",
        )
        info = Gauge(
            "attune_model", "Versions of the models served.", ["version"], registry=self._own,
            multiprocess_mode="livemax",
        )  # fmt: skip
        for version in models:
            info.labels(version).set(1)

    def searched(self, report: RerankReport, seconds: float) -> None:
        """Count one search and its stages."""
        self._searches[report.rerank_status].observe(seconds)
        if report.reason_code:
            self._reasons[report.reason_code].inc()
            return
        self._window.observe(report.window)
        self._cached.inc(report.cached)
        self._without_vectors.inc(report.without_vectors)
        for stage, histogram in self._stages:
            milliseconds = getattr(report.took_ms, stage)
            if milliseconds:
                histogram.observe(milliseconds / 1000)

    def passed(self, method: str, status: int, seconds: float) -> None:
        """Count one request that went to OpenSearch and back as it came."""
        known = method if method in _METHODS else "other"
        self._passed(known, f"{status // 100}xx").observe(seconds)

    def began(self) -> None:
        """Count a request that is under way."""
        self._in_flight.inc()

    def ended(self) -> None:
        """Count a request as ended."""
        self._in_flight.dec()

    def set_open_circuits(self, number: int) -> None:
        """Set how many indexes' searches are not reranked now because that failed repeatedly."""
        self._circuits.set(number)

    def exposition(self) -> bytes:
        """All metrics of all workers in Prometheus's text format."""
        folder = os.environ.get(FOLDER_VARIABLE)
        if not folder:
            return generate_latest(self._own)
        together = CollectorRegistry()
        MultiProcessCollector(together, folder)  # type: ignore[no-untyped-call]
        return generate_latest(together)
