"""Where `attune index` reads from, by its options: catalogues, changes, and how their columns are read."""

import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import click
from opensearchpy import OpenSearch

from indexer.catalogue.field_map import FieldMap, load_field_map
from indexer.catalogue.guessing import guess_field_map
from indexer.catalogue.recorded_field_map import load_recorded_field_map, was_simplified
from indexer.catalogue.records import Source
from indexer.change.changes import Kind
from indexer.rebuild.product_source import CatalogueSupply
from indexer.sources.change_stream import ChangeStream
from indexer.sources.database import DatabaseTable, open_database
from indexer.sources.database_changes import watch_database
from indexer.sources.files import open_catalogue
from indexer.sources.folder import watch_folder
from indexer.sources.standard_input import StandardInput
from indexer.store.alias import MadeIndex
from indexer.store.jobs_index import JobsIndex, open_jobs
from indexer.store.retry import Patience
from mappings.errors import SettingsError
from mappings.settings import DatabaseSettings
from mappings.types import JsonObject


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


@dataclass(frozen=True, slots=True)
class IndexSources:
    """Opens what the options name. Methods raise SettingsError for options that don't fit together."""

    options: IndexOptions
    settings: DatabaseSettings

    def opened(self) -> Source:
        """Open the catalogue: a file, or a database."""
        options = self.options
        if options.of_database:
            return open_database(self._table())
        if options.source == "-":
            raise SettingsError("standard input is for changes: attune index --changes -")
        return open_catalogue(Path(options.source))

    def _table(self) -> DatabaseTable:
        options = self.options
        url = options.source or self.settings.url
        if not url:
            raise SettingsError("name the database: its URL as SOURCE, or in ATTUNE_DATABASE_URL")
        return DatabaseTable(url, options.table, options.query, options.watermark, options.deleted)

    def feeds(
        self,
        client: OpenSearch,
        patience: Patience,
        stop: threading.Event,
        say: Callable[[str], None],
    ) -> Iterator[ChangeStream]:
        """Yield the feeds of changes as they come; `say` tells of files and tables that can't be used."""
        options = self.options
        if options.of_database:
            marks = AliasWatermarks(open_jobs(client, patience), options.alias)
            overlap = self.settings.overlap_seconds
            database = open_database(self._table())
            return watch_database(database, marks, options.follow, stop, say, overlap)
        if options.source == "-":
            return iter([ChangeStream(StandardInput(sys.stdin.buffer, stop))])
        path = Path(options.source)
        if path.is_dir():
            return watch_folder(path, options.follow, stop, say)
        if options.follow:
            raise SettingsError("--follow is for a folder or a database: a file comes once")
        return iter([ChangeStream(open_catalogue(path))])

    def catalogue(self, source: Source, live: MadeIndex | None = None) -> CatalogueSupply:
        """Return how a catalogue is read; for comparing it with an index (`live`), as that one's was."""
        options = self.options
        simplified = options.simplified or was_simplified(live)
        return CatalogueSupply(source, self._field_map(source, live), simplified, options.limit)

    def _field_map(self, catalogue: Source, live: MadeIndex | None) -> FieldMap:
        """Return the map of the option, the one that the index was made by, or a guess, which is printed."""
        options = self.options
        if options.fields:
            field_map = load_field_map(options.fields, catalogue)
            # By the moment of reading, rows would look newer than changes of them that are yet to commit.
            return _by_version(field_map) if options.watermark else field_map
        if noted := load_recorded_field_map(live, catalogue):
            return noted
        field_map = guess_field_map(catalogue)
        if not options.as_json:
            click.echo("Field map guessed from the columns (correct it by --fields):")
            click.echo("".join(f"  {line}\n" for line in field_map.as_toml().splitlines()))
        return field_map

    def field_map_of_changes(self, changes: Source, live: MadeIndex | None) -> FieldMap:
        """Return the map of the option, the one that the index was made by, or a guess."""
        if self.options.fields:
            return _by_version(load_field_map(self.options.fields, changes, partial=True))
        noted = load_recorded_field_map(live, changes, partial=True)
        return _by_version(noted) if noted else guess_field_map(changes, partial=True)

    def rejects(self) -> Path:
        """Return where records that can't be used are written."""
        options = self.options
        if options.rejects:
            return options.rejects
        if options.of_database or options.source in ("", "-") or Path(options.source).is_dir():
            return Path(f"{options.alias}.rejects.jsonl")
        path = Path(options.source)
        return path.with_name(f"{path.name}.rejects.jsonl")


def _by_version(field_map: FieldMap) -> FieldMap:
    """Return the map with `_version` for a version, unless it names another column."""
    return field_map if field_map.version else replace(field_map, version="_version")
