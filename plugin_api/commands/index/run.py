"""What `attune index` does, from its options: the source opened, the job run, the report printed."""

import json
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import click
from opensearchpy import OpenSearch

from indexer.catalogue.recorded_field_map import was_simplified
from indexer.change.job import ChangeJob, ChangesReport, run_changes
from indexer.rebuild.job import Engine, IndexJob, run_index_job, settled
from indexer.rebuild.loading import load_here
from indexer.rebuild.product_source import IndexSupply, supply_of_index
from indexer.rebuild.verify import compare
from indexer.store.alias import Aliases
from indexer.store.jobs_index import JobsIndex
from indexer.store.retry import Patience
from mappings.client import check_cluster, connect
from mappings.errors import AttuneError, IndexingError, SettingsError
from mappings.settings import Settings
from plugin_api.commands.index.metrics import JobMetrics
from plugin_api.commands.index.models import ModelFolders, model_folders
from plugin_api.commands.index.priority import step_back
from plugin_api.commands.index.signals import stopping, terminated
from plugin_api.commands.index.sources import IndexOptions, IndexSources
from plugin_api.commands.index.summary import changes_summary, comparison_summary, rebuild_summary
from plugin_api.terminal import JobProgress
from reranker.model import load_model

RAY_ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_BACKEND_LOG_LEVEL": "fatal",
    "RAY_DEDUP_LOGS_SKIP_REGEX": ".",
}
"""What Ray takes from there alone, unless it is set: no statistics to its makers, and no log between ours."""


class IndexRun:
    """One call of `attune index`."""

    def __init__(self, settings: Settings, options: IndexOptions) -> None:
        self._settings = settings
        self._options = options
        self._sources = IndexSources(options, settings.database)

    def rebuild(self, mode: str) -> None:
        """Write a new index and move the alias to it."""
        options, settings = self._options, self._settings
        step_back(idle=options.engine == "local")
        catalogue = None if mode == "reencode" else self._sources.catalogue(self._sources.opened())
        with self._reported("rebuild") as (metrics, progress):
            client = self._client()
            patience = Patience(settings.index.retry_seconds, progress.waiting)
            encoder = load_model(self._model_folder(), settings.model.threads)
            job = IndexJob(
                supply=catalogue or self._index(client, patience),
                alias=options.alias,
                rejects=self._sources.rejects(),
                settings=settings.index,
            )
            with terminated():
                report = run_index_job(
                    job,
                    client,
                    encoder,
                    lambda of: progress.show(of.indexed, of.share),
                    patience,
                    self._engine(progress),
                )
            metrics.done(asdict(report))
        self._print(asdict(report), rebuild_summary(report, job.rejects, options.model))

    def changes(self, dry: bool) -> None:
        """Apply changes to the index that searches use."""
        options, settings = self._options, self._settings
        stop = threading.Event()
        with self._reported("changes") as (metrics, progress):
            client = self._client()
            patience = Patience(settings.index.retry_seconds, progress.waiting)
            live = settled(Aliases(client, options.alias, patience))
            job = ChangeJob(
                alias=options.alias,
                field_map=lambda stream: self._sources.field_map_of_changes(stream.source, live),
                rejects=self._sources.rejects(),
                settings=settings.index,
                default=options.operation,
                simplified=options.simplified or was_simplified(live),
                dry=dry,
            )

            def show(report: ChangesReport, share: float) -> None:
                progress.show(report.changes, share)
                if options.follow:
                    metrics.running(asdict(report))

            with stopping(stop):
                # What was read from standard input is applied to its end; files and tables come again.
                reading = None if options.source == "-" else stop
                feeds = self._sources.feeds(client, patience, stop, progress.say)
                models: ModelFolders = model_folders(options.model, settings.model)
                report = run_changes(job, client, models, feeds, show, patience, reading)
            metrics.done(asdict(report))
        self._print(asdict(report), changes_summary(report, job.rejects, dry))

    def compare(self, mode: str, dry: bool) -> None:
        """Compare catalogue and index; to verify, exit with 1 where they differ."""
        options, settings = self._options, self._settings
        source = None if mode == "reencode" else self._sources.opened()
        # A dry run tells what a rebuild would do, and that reads the catalogue as if there were no index.
        catalogue = self._sources.catalogue(source) if source and dry else None
        with self._reported("verify") as (metrics, progress):
            client = self._client()
            patience = Patience(settings.index.retry_seconds, progress.waiting)
            aliases = Aliases(client, options.alias, patience)
            aliases.check()
            live = settled(aliases)
            if live is None and not dry:
                raise IndexingError(f"alias {options.alias} has no index of Attune's to compare with")
            if source and not dry:
                catalogue = self._sources.catalogue(source, live)
            encoder = load_model(self._model_folder(), settings.model.threads)
            found = compare(
                catalogue or self._index(client, patience),
                client,
                JobsIndex(client, patience),
                options.alias,
                live,
                encoder,
                patience,
                settings.index.batch,
                lambda of: progress.show(of.indexed, of.share),
            )
            status = 0 if dry or found.equal else 1
            metrics.done(asdict(found), status)
        self._print(asdict(found) | {"equal": found.equal}, comparison_summary(found, dry))
        sys.exit(status)

    def _client(self) -> OpenSearch:
        client = connect(self._settings.opensearch)
        check_cluster(client, self._settings.opensearch)
        return client

    def _index(self, client: OpenSearch, patience: Patience) -> IndexSupply:
        """Return the index in use, as what a rebuild reads."""
        live = settled(Aliases(client, self._options.alias, patience))
        if live is None:
            raise IndexingError(f"alias {self._options.alias} has no index of Attune's to encode again")
        return supply_of_index(client, live, patience)

    def _model_folder(self) -> Path | None:
        name = self._options.model or self._settings.model.folder
        return Path(name).absolute() if name else None

    def _engine(self, progress: JobProgress) -> Engine:
        options, settings = self._options, self._settings
        if options.engine == "local":
            return load_here
        for name, value in RAY_ENVIRONMENT.items():
            os.environ.setdefault(name, value)
        try:
            from indexer.ray.engine import RayEngine
        except ImportError as error:
            raise SettingsError("--engine ray needs Ray: pip install 'attune[ray]'") from error
        return RayEngine(
            connect=partial(connect, settings.opensearch),
            encoder=partial(load_model, self._model_folder()),
            workers=options.workers,
            threads=settings.model.threads,
            address=os.environ.get("RAY_ADDRESS", ""),
            say=progress.say,
        )

    @contextmanager
    def _reported(self, job: str) -> Iterator[tuple[JobMetrics, JobProgress]]:
        """Yield metrics and progress; a run that fails leaves its exit status in the metrics."""
        options = self._options
        metrics = JobMetrics(options.metrics, options.alias, job)
        try:
            with JobProgress("indexing", hidden=options.as_json) as progress:
                yield metrics, progress
        except AttuneError as error:
            metrics.failed(error.exit_code)
            raise
        except BaseException:
            metrics.failed(1)
            raise

    def _print(self, report: dict[str, Any], summary: str) -> None:
        click.echo(json.dumps(report, ensure_ascii=False) if self._options.as_json else summary)
