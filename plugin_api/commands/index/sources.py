"""What `attune index` reads, by its options: catalogues, changes, and their field maps."""

import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import click

from indexer.catalogue.field_map import FieldMap, load_field_map
from indexer.catalogue.guessing import guess_field_map, judge_prices
from indexer.catalogue.recorded_field_map import load_recorded_field_map, was_simplified
from indexer.catalogue.records import Source
from indexer.change.changes import ChangeKind
from indexer.rebuild.product_source import CatalogueSource
from indexer.sources.change_stream import ChangeStream
from indexer.sources.database import DatabaseTable, open_database
from indexer.sources.database_changes import watch_database
from indexer.sources.files import ReadOptions, open_catalogue
from indexer.sources.folder import watch_folder
from indexer.sources.package import PACKAGE_PREFIX, open_named_catalogue
from indexer.sources.standard_input import StandardInput
from indexer.store.alias import ManagedIndex
from indexer.store.jobs_index import JobsIndex
from indexer.store.session import IndexSession
from mappings.domains import Domain
from mappings.errors import SettingsError
from mappings.settings import DatabaseSettings
from mappings.types import JsonObject
from plugin_api.commands.domain_option import fit_domain_map, put_domain


@dataclass(frozen=True, slots=True)
class IndexOptions:
    """The options of the command line."""

    source: str
    alias: str
    fields: Path | None = None
    preset: str = ""
    read_as: ReadOptions = field(default_factory=ReadOptions)
    model: Path | None = None
    rejects: Path | None = None
    images: str = ""
    simplified: bool = False
    limit: int | None = None
    operation: ChangeKind = "upsert"
    follow: float | None = None
    table: str = ""
    query: str = ""
    watermark: str = ""
    deleted: str = ""
    engine: str = "local"
    workers: int = 0
    metrics: Path | None = None
    as_json: bool = False
    domain: Domain = field(default_factory=Domain)

    @property
    def is_database(self) -> bool:
        """Whether the source is a database."""
        return bool(self.table or self.query) or "://" in self.source


@dataclass(frozen=True, slots=True)
class AliasWatermarks:
    """The watermarks of one alias, in the jobs index."""

    jobs: JobsIndex
    alias: str

    def load(self, key: str) -> JsonObject | None:
        """Return the value saved under `key`, None where there is none."""
        return self.jobs.load(f"watermark:{self.alias}:{key}")

    def save(self, key: str, value: JsonObject) -> None:
        """Save `value` under `key`."""
        self.jobs.save(f"watermark:{self.alias}:{key}", value)


@dataclass(frozen=True, slots=True)
class IndexSources:
    """Opens what the options name. Methods raise SettingsError for options that exclude each other."""

    options: IndexOptions
    settings: DatabaseSettings

    def open_catalogue(self) -> Source:
        """Open the catalogue: a file, or a database."""
        options = self.options
        if options.is_database:
            return open_database(self._table())
        if options.source == "-":
            raise SettingsError("standard input is for changes: attune index --changes -")
        if options.source.startswith(PACKAGE_PREFIX):
            return open_named_catalogue(options.source, options.domain.folder)
        return open_catalogue(Path(options.source), options.read_as)

    def _table(self) -> DatabaseTable:
        options = self.options
        url = options.source or self.settings.url
        if not url:
            raise SettingsError("name the database: its URL as SOURCE, or in ATTUNE_DATABASE_URL")
        return DatabaseTable(url, options.table, options.query, options.watermark, options.deleted)

    def open_streams(
        self, session: IndexSession, stop: threading.Event, say: Callable[[str], None]
    ) -> Iterator[ChangeStream]:
        """Yield the change streams as they come. `say` receives a line for each file that can't be used."""
        options = self.options
        if options.is_database:
            watermarks = AliasWatermarks(session.open_jobs(), options.alias)
            overlap = self.settings.overlap_seconds
            database = open_database(self._table())
            return watch_database(database, watermarks, options.follow, stop, say, overlap)
        if options.source == "-":
            return iter([ChangeStream(StandardInput(sys.stdin.buffer, stop))])
        path = Path(options.source)
        if path.is_dir():
            return watch_folder(path, options.follow, stop, say, options=options.read_as)
        if options.follow:
            raise SettingsError("--follow is for a folder or a database: a file comes once")
        return iter([ChangeStream(open_catalogue(path, options.read_as), follows_catalogue=True)])

    def make_source(self, source: Source, live: ManagedIndex | None = None) -> CatalogueSource:
        """Return a catalogue with its field map: that of the index `live`, where it is compared with one."""
        options = self.options
        simplified = options.simplified or was_simplified(live)
        return CatalogueSource(source, self._choose_field_map(source, live), simplified, options.limit)

    def _choose_field_map(self, catalogue: Source, live: ManagedIndex | None) -> FieldMap:
        """Return the map of the option, the recorded map of the index, or a guess, which is printed."""
        options = self.options
        if options.fields:
            field_map = put_domain(
                judge_prices(catalogue, load_field_map(options.fields, catalogue)), options.domain
            )
            # Versioned by the moment of reading, rows would look newer than changes that commit meanwhile.
            return _with_version(field_map) if options.watermark else field_map
        if recorded := load_recorded_field_map(live, catalogue):
            return recorded
        if not options.preset and (fitting := fit_domain_map(catalogue, options.domain)):
            return fitting
        field_map = put_domain(guess_field_map(catalogue, preset=options.preset), options.domain)
        if not options.as_json:
            known = f"of the preset {field_map.preset}" if field_map.preset else "guessed from the columns"
            click.echo(f"Field map {known} (correct it by --fields):")
            click.echo("".join(f"  {line}\n" for line in field_map.as_toml().splitlines()))
        return field_map

    def choose_change_map(self, changes: Source, live: ManagedIndex | None) -> FieldMap:
        """Return the map of the option, the recorded map of the index, or a guess."""
        if self.options.fields:
            return _with_version(load_field_map(self.options.fields, changes, partial=True))
        recorded = load_recorded_field_map(live, changes, partial=True)
        return _with_version(recorded) if recorded else guess_field_map(changes, True, self.options.preset)

    def rejects_path(self) -> Path:
        """Return the path of the reject file."""
        options = self.options
        if options.rejects:
            return options.rejects
        if (
            options.is_database
            or ":" in options.source
            or options.source in ("", "-")
            or Path(options.source).is_dir()
        ):
            return Path(f"{options.alias}.rejects.jsonl")
        path = Path(options.source)
        return path.with_name(f"{path.name}.rejects.jsonl")


def _with_version(field_map: FieldMap) -> FieldMap:
    """Return the map with `_version` as the column of versions, unless it names another one."""
    return field_map if field_map.version else replace(field_map, version="_version")
