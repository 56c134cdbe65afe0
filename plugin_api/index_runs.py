"""What `attune index` does, from its options: the source opened, the job run, the report printed."""

import json
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

import click
from opensearchpy import OpenSearch

from indexer.alias import Aliases, MadeIndex
from indexer.change_job import ChangeJob, ChangesReport, run_changes
from indexer.changes import Kind
from indexer.comparison import compare
from indexer.database import DatabaseTable, open_database
from indexer.database_changes import database_feeds
from indexer.feeds import Feed
from indexer.fieldmap import FieldMap, load_field_map
from indexer.guessing import guess_field_map
from indexer.job import Engine, IndexJob, run_index_job, settled
from indexer.jobs_index import JobsIndex, open_jobs
from indexer.loading import load_here
from indexer.noted import noted_field_map, noted_simplified
from indexer.patience import Patience
from indexer.reading import Source, open_catalogue
from indexer.standard_input import StandardInput
from indexer.supplies import CatalogueSupply, IndexSupply, supply_of_index
from indexer.watching import folder_feeds
from mappings.client import check_cluster, connect
from mappings.errors import AttuneError, IndexingError, SettingsError
from mappings.settings import Settings
from mappings.types import JsonObject
from plugin_api.index_metrics import JobMetrics
from plugin_api.index_summary import changes_summary, comparison_summary, rebuild_summary
from plugin_api.job_progress import JobProgress
from plugin_api.model_folders import ModelFolders, model_folders
from plugin_api.priority import step_back
from reranker.model import load_model

RAY_ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_BACKEND_LOG_LEVEL": "fatal",
    "RAY_DEDUP_LOGS_SKIP_REGEX": ".",
}
"""What Ray takes from there alone, unless it is set: no statistics to its makers, and no log between ours."""


@dataclass(frozen=True, slots=True)
class IndexOptions:
    """The options of the command line, as they are there."""

    source: str
    alias: str
    fields: Path | None = None
    model: Path | None = None
    rejects: Path | None = None
    simplified: bool = False
    limit: int | None = None
    operation: Kind = "upsert"
    follow: float | None = None
    table: str = ""
    query: str = ""
    watermark: str = ""
    deleted: str = ""
    engine: str = "local"
    workers: int = 0
    metrics: Path | None = None
    as_json: bool = False

    @property
    def of_database(self) -> bool:
        """Whether the source is a database."""
        return bool(self.table or self.query) or "://" in self.source


@dataclass(frozen=True, slots=True)
class AliasWatermarks:
    """Watermarks in the jobs' index, each alias with its own."""

    jobs: JobsIndex
    alias: str

    def load(self, key: str) -> JsonObject | None:
        """Return what was saved under `key`."""
        return self.jobs.load(f"watermark:{self.alias}:{key}")

    def save(self, key: str, value: JsonObject) -> None:
        """Keep `value` under `key`."""
        self.jobs.save(f"watermark:{self.alias}:{key}", value)


class IndexRun:
    """One call of `attune index`."""

    def __init__(self, settings: Settings, options: IndexOptions) -> None:
        self._settings = settings
        self._options = options

    def rebuild(self, mode: str) -> None:
        """Write a new index and move the alias to it."""
        options, settings = self._options, self._settings
        step_back()
        catalogue = None if mode == "reencode" else self._catalogue(self._opened())
        with self._reported("rebuild") as (metrics, progress):
            client = self._client()
            patience = Patience(settings.index.patience_seconds, progress.waiting)
            encoder = load_model(self._model_folder(), settings.model.threads)
            job = IndexJob(
                supply=catalogue or self._index(client, patience),
                alias=options.alias,
                rejects=self._rejects(),
                settings=settings.index,
            )
            with _terminated():
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
            patience = Patience(settings.index.patience_seconds, progress.waiting)
            live = settled(Aliases(client, options.alias, patience))
            job = ChangeJob(
                alias=options.alias,
                field_map=lambda feed: self._field_map_of_changes(feed.source, live),
                rejects=self._rejects(),
                settings=settings.index,
                default=options.operation,
                simplified=options.simplified or noted_simplified(live),
                dry=dry,
            )

            def show(report: ChangesReport, share: float) -> None:
                progress.show(report.changes, share)
                if options.follow:
                    metrics.running(asdict(report))

            with _stopping(stop):
                # What was read from standard input is applied to its end; files and tables come again.
                reading = None if options.source == "-" else stop
                feeds = self._feeds(client, patience, stop, progress)
                models: ModelFolders = model_folders(options.model, settings.model)
                report = run_changes(job, client, models, feeds, show, patience, reading)
            metrics.done(asdict(report))
        self._print(asdict(report), changes_summary(report, job.rejects, dry))

    def compare(self, mode: str, dry: bool) -> None:
        """Compare catalogue and index; to verify, exit with 1 where they differ."""
        options, settings = self._options, self._settings
        source = None if mode == "reencode" else self._opened()
        # A dry run tells what a rebuild would do, and that reads the catalogue as if there were no index.
        catalogue = self._catalogue(source) if source and dry else None
        with self._reported("verify") as (metrics, progress):
            client = self._client()
            patience = Patience(settings.index.patience_seconds, progress.waiting)
            aliases = Aliases(client, options.alias, patience)
            aliases.check()
            live = settled(aliases)
            if live is None and not dry:
                raise IndexingError(f"alias {options.alias} has no index of Attune's to compare with")
            if source and not dry:
                catalogue = self._catalogue(source, live)
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

    def _opened(self) -> Source:
        options = self._options
        if options.of_database:
            return open_database(self._table())
        if options.source == "-":
            raise SettingsError("standard input is for changes: attune index --changes -")
        return open_catalogue(Path(options.source))

    def _table(self) -> DatabaseTable:
        options = self._options
        url = options.source or self._settings.database.url
        if not url:
            raise SettingsError("name the database: its URL as SOURCE, or in ATTUNE_DATABASE_URL")
        return DatabaseTable(url, options.table, options.query, options.watermark, options.deleted)

    def _feeds(
        self, client: OpenSearch, patience: Patience, stop: threading.Event, progress: JobProgress
    ) -> Iterator[Feed]:
        options = self._options
        if options.of_database:
            marks = AliasWatermarks(open_jobs(client, patience), options.alias)
            overlap = self._settings.database.overlap_seconds
            database = open_database(self._table())
            return database_feeds(database, marks, options.follow, stop, progress.say, overlap)
        if options.source == "-":
            return iter([Feed(StandardInput(sys.stdin.buffer, stop))])
        path = Path(options.source)
        if path.is_dir():
            return folder_feeds(path, options.follow, stop, progress.say)
        if options.follow:
            raise SettingsError("--follow is for a folder or a database: a file comes once")
        return iter([Feed(open_catalogue(path))])

    def _catalogue(self, source: Source, live: MadeIndex | None = None) -> CatalogueSupply:
        """Return how a catalogue is read; for comparing it with an index (`live`), as that one's was."""
        options = self._options
        simplified = options.simplified or noted_simplified(live)
        return CatalogueSupply(source, self._field_map(source, live), simplified, options.limit)

    def _field_map(self, catalogue: Source, live: MadeIndex | None) -> FieldMap:
        """Return the map of the option, the one that the index was made by, or a guess, which is printed."""
        options = self._options
        if options.fields:
            field_map = load_field_map(options.fields, catalogue)
            # By the moment of reading, rows would look newer than changes of them that are yet to commit.
            return _by_version(field_map) if options.watermark else field_map
        if noted := noted_field_map(live, catalogue):
            return noted
        field_map = guess_field_map(catalogue)
        if not options.as_json:
            click.echo("Field map guessed from the columns (correct it by --fields):")
            click.echo("".join(f"  {line}\n" for line in field_map.as_toml().splitlines()))
        return field_map

    def _field_map_of_changes(self, changes: Source, live: MadeIndex | None) -> FieldMap:
        """Return the map of the option, the one that the index was made by, or a guess."""
        if self._options.fields:
            return _by_version(load_field_map(self._options.fields, changes, partial=True))
        noted = noted_field_map(live, changes, partial=True)
        return _by_version(noted) if noted else guess_field_map(changes, partial=True)

    def _index(self, client: OpenSearch, patience: Patience) -> IndexSupply:
        """Return the index in use, as what a rebuild reads."""
        live = settled(Aliases(client, self._options.alias, patience))
        if live is None:
            raise IndexingError(f"alias {self._options.alias} has no index of Attune's to encode again")
        return supply_of_index(client, live, patience)

    def _rejects(self) -> Path:
        options = self._options
        if options.rejects:
            return options.rejects
        if options.of_database or options.source in ("", "-") or Path(options.source).is_dir():
            return Path(f"{options.alias}.rejects.jsonl")
        path = Path(options.source)
        return path.with_name(f"{path.name}.rejects.jsonl")

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
            from indexer.ray_engine import RayEngine
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


def _by_version(field_map: FieldMap) -> FieldMap:
    """Return the map with `_version` for a version, unless it names another column."""
    return field_map if field_map.version else replace(field_map, version="_version")


@contextmanager
def _terminated() -> Iterator[None]:
    """Take a SIGTERM for a Ctrl-C, so that locks are given up."""

    def interrupt(signum: int, frame: FrameType | None) -> None:  # noqa: ARG001  signal passes them
        raise KeyboardInterrupt

    with _handling(interrupt, signal.SIGTERM):
        yield


@contextmanager
def _stopping(stop: threading.Event) -> Iterator[None]:
    """End at the next batch on the first SIGTERM or Ctrl-C, at once on the second."""

    def end(signum: int, frame: FrameType | None) -> None:  # noqa: ARG001  signal passes them
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()

    with _handling(end, signal.SIGTERM, signal.SIGINT):
        yield


@contextmanager
def _handling(handler: Any, *signals: signal.Signals) -> Iterator[None]:
    if (
        threading.current_thread() is not threading.main_thread()
    ):  # Python hands signals to the main one alone
        yield
        return
    before = {of: signal.signal(of, handler) for of in signals}
    try:
        yield
    finally:
        for of, old in before.items():
            signal.signal(of, old)
