"""Catalogues that installed packages hold, as `package:icd-10-cm`, and several catalogues as one."""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

from indexer.catalogue.records import Record, Reject, Source
from indexer.sources.files import open_catalogue
from indexer.terminologies import read_terminology
from mappings.types import JsonObject

PACKAGE_PREFIX = "package:"
"""How the name of a package's catalogue begins."""

_SAMPLE = 50
"""Records whose keys are the columns."""


class PackageCatalogue:
    """A `Source` of the entries of a terminology."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._terminology = read_terminology(name.removeprefix(PACKAGE_PREFIX))

    @property
    def name(self) -> str:
        """What the catalogue is named by."""
        return self._name

    @property
    def moment_ms(self) -> int:
        """When the package's data were released."""
        return self._terminology.moment_ms

    def records(self) -> Iterator[Record | Reject]:
        """Yield every entry."""
        total = len(self._terminology.entries)
        for line, entry in enumerate(self._terminology.entries, start=1):
            yield Record(line, entry, json.dumps(entry, ensure_ascii=False), line / total)

    def columns(self) -> tuple[str, ...]:
        """Return the keys of the first entries."""
        sample = islice(self._terminology.entries, _SAMPLE)
        return tuple(dict.fromkeys(key for entry in sample for key in entry))

    def missing(self, wanted: Iterable[str]) -> tuple[str, ...]:
        """Return those of the columns that no entry has."""
        keys = {key for entry in self._terminology.entries for key in entry}
        return tuple(sorted(set(wanted) - keys))

    def details(self) -> list[JsonObject]:
        """Return nothing: a package has one format."""
        return []


@dataclass(frozen=True, slots=True)
class JoinedCatalogue:
    """A `Source` of several, one after the other."""

    parts: Sequence[Source]

    @property
    def name(self) -> str:
        """The names of the parts."""
        return ",".join(part.name.rpartition("/")[2] for part in self.parts)

    @property
    def moment_ms(self) -> int:
        """The latest moment of the parts."""
        return max(part.moment_ms for part in self.parts)

    def records(self) -> Iterator[Record | Reject]:
        """Yield every record of each part, with the share of all that is read by then."""
        counts = [sum(1 for _ in part.records()) for part in self.parts]
        total, before = max(sum(counts), 1), 0
        for part, count in zip(self.parts, counts, strict=True):
            for record in part.records():
                if isinstance(record, Record):
                    record = replace(record, share=(before + record.share * count) / total)
                yield record
            before += count

    def columns(self) -> tuple[str, ...]:
        """Return the columns of all parts."""
        return tuple(dict.fromkeys(column for part in self.parts for column in part.columns()))

    def missing(self, wanted: Iterable[str]) -> tuple[str, ...]:
        """Return those of the columns that every part lacks."""
        lacking = set(wanted)
        for part in self.parts:
            lacking &= set(part.missing(lacking))
        return tuple(sorted(lacking))

    def details(self) -> list[JsonObject]:
        """Return how each file of the parts is read."""
        return [detail for part in self.parts for detail in part.details()]


def open_named_catalogue(names: str, folder: Path) -> Source:
    """Return the catalogue of names that commas separate: files of a folder, and `package:NAME`.

    Raises CatalogueError where one is missing.
    """
    parts: list[Source] = [
        PackageCatalogue(name) if name.startswith(PACKAGE_PREFIX) else open_catalogue(folder / name)
        for name in (part.strip() for part in names.split(","))
    ]
    return parts[0] if len(parts) == 1 else JoinedCatalogue(parts)
