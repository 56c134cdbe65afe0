"""What the sidecar counts and times, for Prometheus, over all worker processes together.

Worker processes share their numbers through files in a folder of theirs, named by PROMETHEUS_MULTIPROC_DIR
before prometheus-client is imported; without it this process's own are shown.
"""

import os
from collections.abc import Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.multiprocess import MultiProcessCollector

from plugin_api.search.response import STATES, Report

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4
FOLDER_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"

SECONDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
WINDOWS = (10, 20, 50, 100, 200, 500, 1000)
STAGES = ("encode", "search", "score", "fetch")
METHODS = ("GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH")

REASONS = (
    ("times in a row", "circuit_open"),  # first: it quotes another
    ("deadline", "deadline"),
    ("OpenSearch answered", "opensearch_error"),
    ("broke the connection", "opensearch_error"),
    ("does not answer at", "opensearch_down"),
    ("sidecar.max_concurrent_reranks", "busy"),
    ("was made with model", "other_model"),
    ("doesn't know", "unknown_words"),
    ("was not asked for", "not_asked"),
    ("with its own", "own_order"),
    ("point in time", "own_order"),
    ("scroll", "own_order"),
    ("no hits were asked for", "no_hits"),
    ("is no whole number", "bad_page"),
    ("k-NN", "knn_failed"),
    ("index the catalogue", "not_indexed"),
    ("body is no", "unread_body"),
    ("body can't be read", "unread_body"),
    ("text", "no_text"),
)
"""Words in a report's reason and the class that they make it; the first found counts."""


class Metrics:
    """The sidecar's metrics. Thread-safe; one for each worker process."""

    def __init__(self, models: Sequence[str]) -> None:
        """Count from zero. `models` are the versions that are served, the default one first."""
        self._own = CollectorRegistry()
        stages = Histogram(
            "attune_stage_seconds",
            "Time of the stages of reranked searches.",
            ["stage"],
            buckets=SECONDS,
            registry=self._own,
        )
        self._stages = tuple((stage, stages.labels(stage)) for stage in STAGES)
        searches = Histogram(
            "attune_search_seconds",
            "Time of searches from end to end by what became of reranking.",
            ["rerank_status"],
            buckets=SECONDS,
            registry=self._own,
        )
        self._searches = {state: searches.labels(state) for state in STATES}
        reasons = Counter(
            "attune_unranked", "Searches that were not reranked, by why.", ["rerank_status", "reason"],
            registry=self._own,
        )  # fmt: skip
        self._reasons = reasons.labels
        self._window = Histogram(
            "attune_window", "Candidates that were reranked.", buckets=WINDOWS, registry=self._own
        )
        self._kept = Counter(
            "attune_kept_windows", "Searches answered from a window ranked before.", registry=self._own
        )
        passed = Histogram(
            "attune_passed_seconds",
            "Time of requests that were passed through, until the last byte was sent.",
            ["method", "status"],
            buckets=SECONDS,
            registry=self._own,
        )
        self._passed = passed.labels
        self._in_flight = Gauge(
            "attune_in_flight", "Requests under way.", registry=self._own, multiprocess_mode="livesum"
        )
        self._circuits = Gauge(
            "attune_circuits_open",
            "Indexes whose reranking rests because it kept failing.",
            registry=self._own,
            multiprocess_mode="livemax",
        )
        info = Gauge(
            "attune_model", "Versions of the models served.", ["version"], registry=self._own,
            multiprocess_mode="livemax",
        )  # fmt: skip
        for version in models:
            info.labels(version).set(1)

    def searched(self, report: Report, seconds: float) -> None:
        """Count one search and its stages."""
        self._searches[report.rerank_status].observe(seconds)
        if report.reason:
            self._reasons(report.rerank_status, reason_class(report.reason)).inc()
            return
        self._window.observe(report.window)
        self._kept.inc(report.kept)
        for stage, histogram in self._stages:
            milliseconds = getattr(report.took_ms, stage)
            if milliseconds:
                histogram.observe(milliseconds / 1000)

    def passed(self, method: str, status: int, seconds: float) -> None:
        """Count one request that went to OpenSearch and back as it came."""
        known = method if method in METHODS else "other"
        self._passed(known, f"{status // 100}xx").observe(seconds)

    def began(self) -> None:
        """Count a request that is under way."""
        self._in_flight.inc()

    def ended(self) -> None:
        """Count a request as ended."""
        self._in_flight.dec()

    def circuits(self, resting: int) -> None:
        """Say how many indexes' reranking rests now."""
        self._circuits.set(resting)

    def exposition(self) -> bytes:
        """All metrics of all workers in Prometheus's text format."""
        folder = os.environ.get(FOLDER_VARIABLE)
        if not folder:
            return generate_latest(self._own)
        together = CollectorRegistry()
        MultiProcessCollector(together, folder)  # type: ignore[no-untyped-call]
        return generate_latest(together)


def reason_class(reason: str) -> str:
    """One of the few classes that a reason, which may quote anything, belongs to."""
    return next((name for words, name in REASONS if words in reason), "other")
