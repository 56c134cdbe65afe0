"""A catalogue as one file, a ZIP archive or a folder of files: its columns and records, part by part."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import lru_cache
from itertools import islice
from pathlib import Path

from indexer.catalogue.nested import has_cell
from indexer.catalogue.records import Record, Reject
from indexer.sources.files.byte_streams import ByteSource
from indexer.sources.files.formats import FileFormat, detect_format, read_columns, read_records
from indexer.sources.files.options import ReadOptions
from mappings.errors import CatalogueError
from mappings.types import JsonObject

SUFFIXES = [
    ".csv",
    ".tsv",
    ".tab",
    ".txt",
    ".json",
    ".jsonl",
    ".ndjson",
    ".xml",
    ".rss",
    ".atom",
    ".xlsx",
    ".xlsm",
    ".xls",
    ".ods",
    ".parquet",
    ".zip",
    ".gz",
    ".bz2",
    ".xz",
]
"""Endings of files that are read in a folder. The content tells the format, not the ending."""

_OWN_ENDINGS = (".rejects.jsonl", ".reason.txt")
"""Endings of files that jobs write beside catalogues."""

_SAMPLE_RECORDS = 2000
"""Records that the columns of a file without a header are taken from."""


@dataclass(frozen=True, slots=True)
class CatalogueFile:
    """A catalogue in a file, a ZIP archive or a folder: a `Source`. Make one with `open_catalogue`."""

    path: Path
    options: ReadOptions = field(default_factory=ReadOptions)
    follow_links: bool = True

    @property
    def name(self) -> str:
        """The path, as messages give it."""
        return str(self.path)

    @property
    def moment_ms(self) -> int:
        """When the file was last written to, in milliseconds since 1970; of a folder, its oldest file."""
        try:
            return min(path.stat().st_mtime_ns for path in self._paths()) // 1_000_000
        except OSError as error:
            raise CatalogueError(f"{self.path} can't be read: {error.strerror or error}") from error

    def records(self) -> Iterator[Record | Reject]:
        """Yield every record, or a Reject for a bad one. Raises CatalogueError for a damaged file."""
        parts = self._parts()
        if len(parts) == 1:
            yield from read_records(parts[0], _detect(parts[0], self.options))
            return
        for index, part in enumerate(parts):
            for record in read_records(part, _detect(part, self.options)):
                if isinstance(record, Record):
                    yield replace(record, share=(index + record.share) / len(parts))
                else:
                    yield replace(record, reason=f"{_short_name(part)}: {record.reason}")

    def columns(self) -> tuple[str, ...]:
        """Return the columns in file order, those of the first 2,000 records where there is no header."""
        return tuple(dict.fromkeys(column for part in self._parts() for column in self._part_columns(part)))

    def missing(self, wanted: Iterable[str]) -> tuple[str, ...]:
        """Return those of the `wanted` columns that the file lacks, sorted.

        A column of JSON or XML may first appear far down. Only when the sample lacks one is the file read
        through.
        """
        absent = set(wanted).difference(self.columns())
        for part in self._parts():
            if not absent:
                break
            file_format = _detect(part, self.options)
            if not file_format.has_header:
                for record in read_records(part, file_format):
                    if isinstance(record, Record):
                        absent.difference_update(
                            [column for column in absent if has_cell(record.values, column)]
                        )
                    if not absent:
                        break
        return tuple(sorted(absent))

    def details(self) -> list[JsonObject]:
        """Return how each part is read: its format, encoding, dialect, and columns that were renamed."""
        return [{"file": part.name, **_detect(part, self.options).as_json()} for part in self._parts()]

    def _part_columns(self, part: ByteSource) -> Iterator[str]:
        file_format = _detect(part, self.options)
        if file_format.has_header:
            yield from read_columns(part, file_format)
            return
        for record in islice(read_records(part, file_format), _SAMPLE_RECORDS):
            if isinstance(record, Record):
                yield from record.values

    def _paths(self) -> list[Path]:
        if not self.path.is_dir():
            return [self.path]
        paths = [path for path in sorted(self.path.iterdir()) if path.is_file() and has_known_suffix(path)]
        if not paths:
            raise CatalogueError(
                f"{self.path} has no catalogue file: their names end in {', '.join(SUFFIXES)}"
            )
        return paths

    def _parts(self) -> list[ByteSource]:
        parts = [
            part
            for path in self._paths()
            for part in ByteSource(path, follow_links=self.follow_links).members()
        ]
        named = [part for part in parts if not part.member or has_known_suffix(Path(part.member))]
        if not named:
            raise CatalogueError(f"{self.path} holds no catalogue file")
        return named


def open_catalogue(
    path: Path, options: ReadOptions | None = None, follow_links: bool = True
) -> CatalogueFile:
    """Return the catalogue at a path, a file or a folder of files. Raises CatalogueError when it is missing.

    Without `follow_links` only a regular file is opened, never a link.
    """
    if not path.exists():
        raise CatalogueError(f"catalogue file {path} does not exist")
    return CatalogueFile(path, options or ReadOptions(), follow_links)


def has_known_suffix(path: Path) -> bool:
    """Whether the name of a file says that it is a catalogue, not hidden, and no remark on one."""
    name = path.name.lower()
    remark = name.startswith((".", "readme", "license", "notice")) or name.endswith(_OWN_ENDINGS)
    return path.suffix.lower() in SUFFIXES and not remark


def _detect(part: ByteSource, options: ReadOptions) -> FileFormat:
    """Return the format of a part, found once for each state of its file."""
    try:
        status = part.path.stat(follow_symlinks=part.follow_links)
    except OSError as error:
        raise CatalogueError(f"{part.name} can't be read: {error.strerror or error}") from error
    return _detect_state(part, options, (status.st_ino, status.st_size, status.st_mtime_ns))


@lru_cache(maxsize=8)
def _detect_state(part: ByteSource, options: ReadOptions, state: tuple[int, int, int]) -> FileFormat:
    del state
    return detect_format(part, options)


def _short_name(part: ByteSource) -> str:
    return part.member or part.path.name
