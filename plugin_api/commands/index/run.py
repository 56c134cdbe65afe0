"""Run `attune index`: open the source, run the job, print the report."""

import json
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from functools import partial
from typing import Any

import click

from indexer.attach.attachment import Attachment
from indexer.attach.shop_index import read_attachment
from indexer.attach.verify import verify_vectors
from indexer.catalogue.recorded_field_map import was_simplified
from indexer.change.job import ChangeJob, ChangesReport, apply_changes
from indexer.rebuild.background import BackgroundEncoder
from indexer.rebuild.job import Engine, rebuild_index
from indexer.rebuild.loading import load_locally
from indexer.rebuild.product_source import CatalogueSource, IndexSource, open_index_source
from indexer.rebuild.verify import verify_index
from indexer.sources.files import describe_format
from indexer.store.opensearch_errors import translate_errors
from indexer.store.session import IndexSession, OneEncoder
from mappings.client import connect
from mappings.errors import IndexingError, SettingsError
from mappings.settings import Settings
from plugin_api.commands.index.attached import reencode_attached, summarize_attach, summarize_check
from plugin_api.commands.index.metrics import JobMetrics
from plugin_api.commands.index.models import describe_choice, model_folders, names_model, sample_products
from plugin_api.commands.index.pictures import open_pictures, summarize_pictures
from plugin_api.commands.index.priority import lower_priority
from plugin_api.commands.index.session import open_job_session
from plugin_api.commands.index.signals import stop_on_signals
from plugin_api.commands.index.sources import IndexOptions, IndexSources
from plugin_api.commands.index.summary import summarize_changes, summarize_rebuild, summarize_verify
from plugin_api.commands.index.tuning import find_template, tune_rebuilt_index
from plugin_api.terminal import JobProgress
from plugin_api.tuning.summary import summarize_tuning
from reranker.mixed_model import load_any_model
from reranker.shipped_models import choose_shipped_model

_RAY_ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_BACKEND_LOG_LEVEL": "fatal",
    "RAY_DEDUP_LOGS_SKIP_REGEX": ".",
}
"""Environment variables for Ray, unless they are set: no usage statistics, and no log lines between ours."""


class IndexRun:
    """One call of `attune index`."""

    def __init__(self, settings: Settings, options: IndexOptions) -> None:
        self._settings = settings
        self._options = options
        self._sources = IndexSources(options, settings.database)
        self._models = model_folders(options.model, settings.model)
        self._stop = threading.Event()
        self._pictures = open_pictures(options.images, settings)

    def rebuild(self, mode: str) -> None:
        """Write a new index and move the alias to it."""
        options = self._options
        catalogue = None if mode == "reencode" else self._sources.make_source(self._sources.open_catalogue())
        rejects = self._sources.rejects_path()
        reading = catalogue.details() if catalogue else []
        for detail in reading if not options.as_json else []:
            click.echo(f"Reading {detail['file']} as {describe_format(detail)}", err=True)
        with stop_on_signals(self._stop):
            with self._report("rebuild") as (metrics, progress):
                session = self._open_session(progress)
                source = catalogue or self._open_live_index(session)
                self._choose_model(source, progress)
                background = self._yield_processors(session, progress)
                if background:
                    session = replace(session, encoders=OneEncoder(background))
                template = find_template(session.client, session.alias)
                report = rebuild_index(session, source, rejects, self._make_engine(progress))
                metrics.write_success(asdict(report))
                tuning = tune_rebuilt_index(
                    session.client,
                    self._settings,
                    session.alias,
                    report.indexed,
                    options.model,
                    template,
                    session.retry.check_stop,
                    progress.say,
                )
            speed = background.speed if background else None
            as_json = asdict(report) | {
                "reading": reading,
                "encoding_speed": asdict(speed) if speed else None,
                "tuning": tuning.as_json() if tuning else None,
            }
            as_json |= self._report_pictures()
            summary = summarize_rebuild(report, source.stats, speed, rejects, options.model)
            pictures = summarize_pictures(self._pictures.stats) if self._pictures else []
            self._print(
                as_json, "\n".join([summary, *pictures, *(summarize_tuning(tuning) if tuning else ())])
            )

    def apply_changes(self, dry: bool) -> None:
        """Apply changes to the index that searches use. The first signal ends it after the current batch."""
        options = self._options
        stop = threading.Event()
        with stop_on_signals(stop, self._stop):
            with self._report("changes") as (metrics, progress):
                session = self._open_session(progress)
                live = session.indexes.find_live()
                job = ChangeJob(
                    field_map=lambda stream: self._sources.choose_change_map(stream.source, live),
                    rejects=self._sources.rejects_path(),
                    default=options.operation,
                    simplified=options.simplified or was_simplified(live),
                    dry=dry,
                )

                def write_running(report: ChangesReport) -> None:
                    if options.follow:
                        metrics.write_running(asdict(report))

                # Standard input is applied to its end. Files and tables are delivered again.
                stop_applying = None if options.source == "-" else stop
                streams = self._sources.open_streams(session, stop, progress.say)
                report = apply_changes(session, job, streams, stop_applying, write_running)
                metrics.write_success(asdict(report))
            pictures = summarize_pictures(self._pictures.stats) if self._pictures else []
            lines = [summarize_changes(report, job.rejects, dry), *pictures]
            self._print(asdict(report) | self._report_pictures(), "\n".join(lines))

    def verify(self, mode: str, dry: bool) -> None:
        """Compare catalogue and index. Exit with status 1 where they differ, unless it is a dry run."""
        options = self._options
        source = None if mode == "reencode" else self._sources.open_catalogue()
        # A dry run tells what a rebuild would do, and that reads the catalogue as if there were no index.
        catalogue = self._sources.make_source(source) if source and dry else None
        with stop_on_signals(self._stop):
            with self._report("verify") as (metrics, progress):
                session = self._open_session(progress)
                session.indexes.validate()
                live = session.indexes.find_live()
                if live is None and not dry:
                    raise IndexingError(f"alias {options.alias} has no index of Attune's to compare with")
                if source and not dry:
                    catalogue = self._sources.make_source(source, live)
                verified = catalogue or self._open_live_index(session)
                if dry or live is None or not self._models.prefer_version(live.model):
                    self._choose_model(verified, progress)
                report = verify_index(session, verified, live)
                status = 0 if dry or report.equal else 1
                metrics.write_success(asdict(report), status)
            self._print(asdict(report) | {"equal": report.equal}, summarize_verify(report, dry))
        sys.exit(status)

    def find_attachment(self) -> Attachment | None:
        """Return what attaching recorded of the alias's index, None where it is not a shop's own."""
        with translate_errors(f"looking up {self._options.alias}"):
            return read_attachment(connect(self._settings.opensearch), self._options.alias)

    def verify_attached(self) -> None:
        """Compare an attached index's documents with their vectors. Exit with status 1 where they differ."""
        with stop_on_signals(self._stop), self._report("verify") as (metrics, progress):
            check = verify_vectors(self._open_session(progress))
            status = 0 if check.equal else 1
            metrics.write_success(asdict(check), status)
        self._print(asdict(check) | {"equal": check.equal}, summarize_check(check))
        sys.exit(status)

    def reencode_attached(self) -> None:
        """Encode the documents of an attached index anew by the model of the options."""
        lower_priority()
        attachment = self.find_attachment()
        if attachment and not names_model(self._options.model, self._settings.model):
            self._models.prefer_version(attachment.model)
        with stop_on_signals(self._stop), self._report("reencode") as (metrics, progress):
            report = reencode_attached(self._open_session(progress))
            metrics.write_success(asdict(report))
        self._print(asdict(report), summarize_attach(report))

    def _choose_model(self, source: CatalogueSource | IndexSource, progress: JobProgress) -> None:
        """Let the shipped model for the language of the products encode them, unless another is named."""
        if names_model(self._options.model, self._settings.model):
            return
        chosen = choose_shipped_model(sample_products(source))
        self._models.prefer(chosen)
        if choice := describe_choice(chosen):
            progress.say(choice)

    def _open_session(self, progress: JobProgress) -> IndexSession:
        session = open_job_session(self._settings, self._options.alias, self._models, self._stop, progress)
        return replace(session, pictures=self._pictures) if self._pictures else session

    def _report_pictures(self) -> dict[str, Any]:
        return {"pictures": asdict(self._pictures.stats)} if self._pictures else {}

    def _yield_processors(self, session: IndexSession, progress: JobProgress) -> BackgroundEncoder | None:
        """Let searches of the alias go first, where there are any; return the encoder that does."""
        if session.indexes.find_live() is None:
            return None
        if self._options.engine == "ray":
            lower_priority()
            return None
        return BackgroundEncoder(
            self._models.current, self._settings.model.threads, session.retry.check_stop, progress.say
        )

    def _open_live_index(self, session: IndexSession) -> IndexSource:
        """Return the live index as the source of a rebuild."""
        live = session.indexes.find_live()
        if live is None:
            raise IndexingError(f"alias {session.alias} has no index of Attune's to encode again")
        return open_index_source(session.client, live, session.retry)

    def _make_engine(self, progress: JobProgress) -> Engine:
        options, settings = self._options, self._settings
        if options.engine == "local":
            return load_locally
        for name, value in _RAY_ENVIRONMENT.items():
            os.environ.setdefault(name, value)
        try:
            from indexer.ray.engine import RayEngine
        except ImportError as error:
            raise SettingsError("--engine ray needs Ray: pip install 'attune[ray]'") from error
        folder = self._models.folders[0]
        return RayEngine(
            connect=partial(connect, settings.opensearch),
            encoder=partial(load_any_model, folder.absolute()),
            workers=options.workers,
            threads=settings.model.threads,
            address=os.environ.get("RAY_ADDRESS", ""),
            say=progress.say,
        )

    @contextmanager
    def _report(self, job: str) -> Iterator[tuple[JobMetrics, JobProgress]]:
        """Yield metrics and progress. A run that fails leaves its exit status in the metrics."""
        options = self._options
        metrics = JobMetrics(options.metrics, options.alias, job)
        with metrics.record_failure(), JobProgress("indexing", hidden=options.as_json) as progress:
            yield metrics, progress

    def _print(self, report: dict[str, Any], summary: str) -> None:
        click.echo(json.dumps(report, ensure_ascii=False) if self._options.as_json else summary)
