"""Metrics of a job in a file, for the text-file collector of Prometheus' node exporter."""

import time
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry, Gauge, write_to_textfile
from prometheus_client.parser import text_string_to_metric_families

from mappings.errors import SettingsError

PREFIX = "attune_index_"
SUCCESS = f"{PREFIX}last_success_timestamp_seconds"
RUNNING_SECONDS = 10.0
"""A job without an end writes its metrics this far apart."""

OUTCOMES = (
    "indexed", "encoded", "brought", "rejected", "duplicates", "changes", "upserted", "updated", "deleted",
    "stale", "unchanged", "products", "same", "newer", "missing", "extra", "fields", "vectors",
)  # fmt: skip


class JobMetrics:
    """Writes the file at a job's end, whichever it is; without a path it does nothing.

    `attune_index_last_success_timestamp_seconds` stays as it was when a run fails: alert on its age.
    """

    def __init__(self, path: Path | None, alias: str, job: str) -> None:
        self._path = path
        self._labels = {"alias": alias, "job": job}
        self._began = self._written = time.time()
        if path and path.suffix != ".prom":
            raise SettingsError(f"--metrics {path}: the node exporter reads only files that end in .prom")

    def done(self, report: dict[str, Any], status: int = 0) -> None:
        """Write the metrics of a run that came to its end; `status` is 1 where it found differences."""
        self._write(status, report, self._before() if status else time.time())

    def running(self, report: dict[str, Any]) -> None:
        """Write them now and then while a run goes on."""
        if time.time() - self._written >= RUNNING_SECONDS:
            self._write(0, report, time.time())

    def failed(self, status: int) -> None:
        """Write the metrics of a run that failed with this exit status."""
        self._write(status, {}, self._before())

    def _write(self, status: int, report: dict[str, Any], success: float) -> None:
        if not self._path:
            return
        self._written = time.time()
        registry = CollectorRegistry()

        def gauge(name: str, about: str, value: float, **labels: str) -> None:
            names = (*self._labels, *labels)
            Gauge(name, about, names, registry=registry).labels(*self._labels.values(), *labels.values()).set(
                value
            )

        gauge(SUCCESS, "When a run last succeeded; 0: never.", success)
        gauge(f"{PREFIX}last_run_timestamp_seconds", "When the last run ended.", self._written)
        gauge(f"{PREFIX}duration_seconds", "How long the last run took.", self._written - self._began)
        gauge(f"{PREFIX}exit_status", "0 done, 1 failed, 2 wrong use, 3 another job was at work.", status)
        records = Gauge(f"{PREFIX}records", "What became of the last run's records.",
                        (*self._labels, "outcome"), registry=registry)  # fmt: skip
        for name in OUTCOMES:
            if name in report:
                records.labels(*self._labels.values(), name).set(report[name])
        try:
            write_to_textfile(str(self._path), registry)
        except OSError as error:
            raise SettingsError(f"--metrics {self._path} can't be written: {error.strerror}") from error

    def _before(self) -> float:
        """Return the last success that the file tells of, 0 for none."""
        try:
            text = self._path.read_text(encoding="utf-8") if self._path else ""
            families = list(text_string_to_metric_families(text))
        except (OSError, ValueError):
            return 0.0
        found = [of for family in families for of in family.samples if of.name == SUCCESS]
        return next((of.value for of in found if of.labels == self._labels), 0.0)
