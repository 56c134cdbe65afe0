"""What a rebuild reads: a catalogue, or the products of the index that it replaces."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Protocol

from opensearchpy import OpenSearch

from indexer.catalogue.field_map import FieldMap
from indexer.catalogue.products import read_products
from indexer.catalogue.records import Item, Reject, Source
from indexer.catalogue.stats import CatalogueStats
from indexer.store.alias import ManagedIndex
from indexer.store.catch_up import ChangesSince
from indexer.store.documents import restore_product
from indexer.store.id_set import IdSet
from indexer.store.retry import RetryPolicy
from indexer.store.scan import count_documents, refresh_index, scan_documents
from mappings import fields
from mappings.types import JsonObject

_EVERYTHING: JsonObject = {"match_all": {}}


class ProductSource(Protocol):
    """A stream of products with a description: sources of equal descriptions have equal products."""

    @property
    def name(self) -> str:
        """The name in messages."""
        ...

    @property
    def stats(self) -> CatalogueStats:
        """What reading left empty and left out, complete when it was read."""
        ...

    @property
    def moment_ms(self) -> int:
        """When it was true, in milliseconds since 1970: the version of products that have none."""
        ...

    @property
    def has_versions(self) -> bool:
        """Whether the highest version of its products stands for all of it, rather than its moment."""
        ...

    @property
    def is_partial(self) -> bool:
        """Whether it is part of a catalogue on purpose."""
        ...

    @property
    def is_changing(self) -> bool:
        """Whether it changes while it is read, so that a second reading may lack products."""
        ...

    def changes_since(self, highest: int, moment_ms: int) -> ChangesSince:
        """Return which changes it lacks. `highest` is the highest version that its products have."""
        ...

    def describe(self) -> JsonObject:
        """Return the description, which is recorded in the metadata of an index made from it."""
        ...

    def describe_reading(self) -> JsonObject:
        """Return how many records were read and what of them could not be, once it was read."""
        ...

    def details(self) -> list[JsonObject]:
        """Return how the files of a catalogue are read: format, encoding and dialect."""
        ...

    def read(self, ids: IdSet) -> Iterator[Item | Reject]:
        """Yield its products, each once, and its rejects. Adds the products' ids to `ids`."""
        ...


@dataclass(frozen=True, slots=True)
class CatalogueSource:
    """A catalogue and its field map. `limit` is the number of products after which reading ends."""

    catalogue: Source
    field_map: FieldMap
    simplified: bool = False
    limit: int | None = None
    stats: CatalogueStats = field(default_factory=CatalogueStats)

    @property
    def name(self) -> str:
        """The catalogue's name."""
        return self.catalogue.name

    @property
    def moment_ms(self) -> int:
        """The catalogue's moment."""
        return self.catalogue.moment_ms

    @property
    def has_versions(self) -> bool:
        """Whether the field map names a column of versions."""
        return bool(self.field_map.version)

    @property
    def is_partial(self) -> bool:
        """Whether there is a limit."""
        return self.limit is not None

    @property
    def is_changing(self) -> bool:
        """Always False: a changed file is another catalogue."""
        return False

    def changes_since(self, highest: int, moment_ms: int) -> ChangesSince:
        """Return the changes after the highest version, or after the moment."""
        return ChangesSince(highest, per_product=True) if self.has_versions else ChangesSince(moment_ms)

    def describe(self) -> JsonObject:
        """Return the name, the moment and how the catalogue is read."""
        return {
            "source": self.catalogue.name.rpartition("/")[2],
            "moment": self.moment_ms,
            "simplified": self.simplified,
            "limit": self.limit,
            "fields": self.field_map.as_json(),
        }

    def describe_reading(self) -> JsonObject:
        """Return the number of records and of unreadable cells by field."""
        unreadable = {name: count.count for name, count in self.stats.unreadable.items()}
        return {"records": self.stats.records, "unreadable": unreadable}

    def details(self) -> list[JsonObject]:
        """Return how the catalogue's files are read."""
        return self.catalogue.details()

    def read(self, ids: IdSet) -> Iterator[Item | Reject]:
        """Yield the catalogue's products and rejects, in its order."""
        count = 0
        for outcome in read_products(
            self.catalogue.records(), self.field_map, self.simplified, ids, self.stats
        ):
            if isinstance(outcome, Item):
                count += 1
                yield replace(outcome, share=min(1.0, count / self.limit)) if self.limit else outcome
                if count == self.limit:
                    return
            else:
                yield outcome


@dataclass(frozen=True, slots=True)
class IndexSource:
    """The products of an index: a change of model needs no catalogue. Make one with `open_index_source`."""

    client: OpenSearch
    index: ManagedIndex
    products: int
    retry: RetryPolicy
    has_versions: bool = False
    is_partial: bool = False
    is_changing: bool = True
    stats: CatalogueStats = field(default_factory=CatalogueStats)

    @property
    def name(self) -> str:
        """The index's name."""
        return self.index.name

    @property
    def moment_ms(self) -> int:
        """The moment of the catalogue that the index was made from."""
        return self.index.version

    def changes_since(self, highest: int, moment_ms: int) -> ChangesSince:
        """Return every change that comes while the index is read."""
        del highest, moment_ms
        return ChangesSince(-1, per_product=True)

    def describe(self) -> JsonObject:
        """Return the description of the index's catalogue, and the index's name."""
        names = ("source", "moment", "simplified", "limit", "fields")
        metadata = self.index.metadata
        return {name: metadata[name] for name in names if name in metadata} | {"reencoded": self.index.name}

    def describe_reading(self) -> JsonObject:
        """Return how the catalogue of the index was read."""
        metadata = self.index.metadata
        return {name: metadata[name] for name in ("records", "unreadable") if name in metadata}

    def details(self) -> list[JsonObject]:
        """Return nothing: an index has no format to detect."""
        return []

    def read(self, ids: IdSet) -> Iterator[Item | Reject]:
        """Yield every product as of now, each with its version."""
        index = self.index.name
        refresh_index(self.client, index, self.retry)
        for number, document in enumerate(scan_documents(self.client, index, _EVERYTHING, self.retry), 1):
            ids.add(document.id, number)
            yield Item(
                product=restore_product(document.id, document.source),
                line=number,
                raw=document.id,
                share=min(1.0, number / max(1, self.products)),
                version=document.version,
                changed=bool(document.attune.get(fields.CHANGED.removeprefix(f"{fields.ATTUNE}."))),
            )


def open_index_source(client: OpenSearch, index: ManagedIndex, retry: RetryPolicy) -> IndexSource:
    """Return the source of an index's products."""
    return IndexSource(client, index, count_documents(client, index.name, _EVERYTHING, retry), retry)
