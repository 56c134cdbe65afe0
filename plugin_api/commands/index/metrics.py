"""Metrics of a job in a file, for the text-file collector of Prometheus' node exporter."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry, Gauge, write_to_textfile
from prometheus_client.parser import text_string_to_metric_families

from mappings.errors import AttuneError, SettingsError

_PREFIX = "attune_index_"
SUCCESS_METRIC = f"{_PREFIX}last_success_timestamp_seconds"
_RUNNING_SECONDS = 10.0
"""A job that keeps running writes its metrics at this interval."""

_OUTCOMES = (
    "indexed", "encoded", "changes_copied", "rejected", "duplicates", "changes", "upserted", "updated",
    "deleted", "stale", "unchanged", "products", "same", "newer", "missing", "extra", "fields", "vectors",
    "documents", "outdated", "overtaken", "without_text",
)  # fmt: skip


class JobMetrics:
    """Writes the file when a job ends, well or not. Without a path it does nothing.

    `attune_index_last_success_timestamp_seconds` stays as it was when a run fails: alert on its age.
    """

    def __init__(self, path: Path | None, alias: str, job: str) -> None:
        self._path = path
        self._labels = {"alias": alias, "job": job}
        self._began = self._written = time.time()
        if path and path.suffix != ".prom":
            raise SettingsError(f"--metrics {path}: the node exporter reads only files that end in .prom")

    def write_success(self, report: dict[str, Any], status: int = 0) -> None:
        """Write the metrics of a finished run. `status` is 1 where verify found differences."""
        self._write(status, report, self._read_last_success() if status else time.time())

    def write_running(self, report: dict[str, Any]) -> None:
        """Write the metrics of a run that goes on, at intervals."""
        if time.time() - self._written >= _RUNNING_SECONDS:
            self._write(0, report, time.time())

    def write_failure(self, status: int) -> None:
        """Write the metrics of a run that failed with this exit status."""
        self._write(status, {}, self._read_last_success())

    @contextmanager
    def record_failure(self) -> Iterator[None]:
        """Write the metrics of a run that fails with the exit status it ends with."""
        try:
            yield
        except AttuneError as error:
            self.write_failure(error.exit_code)
            raise
        except BaseException:
            self.write_failure(1)
            raise

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

        gauge(SUCCESS_METRIC, "When a run last succeeded; 0: never.", success)
        gauge(f"{_PREFIX}last_run_timestamp_seconds", "When the last run ended.", self._written)
        gauge(f"{_PREFIX}duration_seconds", "How long the last run took.", self._written - self._began)
        gauge(f"{_PREFIX}exit_status", "0 done, 1 failed, 2 wrong use, 3 another job was running.", status)
        records = Gauge(f"{_PREFIX}records", "The last run's records by outcome.",
                        (*self._labels, "outcome"), registry=registry)  # fmt: skip
        for name in _OUTCOMES:
            if name in report:
                records.labels(*self._labels.values(), name).set(report[name])
        try:
            write_to_textfile(str(self._path), registry)
        except OSError as error:
            raise SettingsError(f"--metrics {self._path} can't be written: {error.strerror}") from error

    def _read_last_success(self) -> float:
        """Return the time of the last success in the file, 0 for none."""
        try:
            text = self._path.read_text(encoding="utf-8") if self._path else ""
            families = list(text_string_to_metric_families(text))
        except (OSError, ValueError):
            return 0.0
        samples = [
            sample for family in families for sample in family.samples if sample.name == SUCCESS_METRIC
        ]
        return next((sample.value for sample in samples if sample.labels == self._labels), 0.0)
