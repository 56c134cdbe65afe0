"""What a rebuild reads: a catalogue, or the products of the index that is to be replaced."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from typing import Protocol

from opensearchpy import OpenSearch

from indexer.catalogue.field_map import FieldMap
from indexer.catalogue.products import read_products
from indexer.catalogue.records import Item, Reject, Source
from indexer.store.alias import MadeIndex
from indexer.store.catch_up import Since
from indexer.store.documents import shown_product
from indexer.store.id_set import SeenIds
from indexer.store.retry import Patience
from indexer.store.scan import counted, every, refresh
from mappings import fields
from mappings.types import JsonObject


class Supply(Protocol):
    """Products, and what is noted of where they came from: equal notes give equal products."""

    @property
    def name(self) -> str:
        """What messages call it."""
        ...

    @property
    def moment_ms(self) -> int:
        """When it was true, in milliseconds since 1970: the version of products that bring none."""
        ...

    @property
    def versioned(self) -> bool:
        """Whether what it stands for is the highest version that its products bring, not its moment."""
        ...

    @property
    def partial(self) -> bool:
        """Whether it is meant to be a part only."""
        ...

    @property
    def changing(self) -> bool:
        """Whether it goes on changing: what was read of it may be gone when it is read again."""
        ...

    def since(self, highest: int, moment_ms: int) -> Since:
        """Which changes it lacks; `highest` is of the versions that its products bring."""
        ...

    def note(self) -> JsonObject:
        """What an index made of it notes."""
        ...

    def items(self, seen: SeenIds) -> Iterator[Item | Reject]:
        """Yield its products once each, and what is none."""
        ...


@dataclass(frozen=True, slots=True)
class CatalogueSupply:
    """A catalogue read by a field map. `limit` ends reading after that many products."""

    catalogue: Source
    field_map: FieldMap
    simplified: bool = False
    limit: int | None = None

    @property
    def name(self) -> str:
        """The catalogue's."""
        return self.catalogue.name

    @property
    def moment_ms(self) -> int:
        """The catalogue's."""
        return self.catalogue.moment_ms

    @property
    def versioned(self) -> bool:
        """Whether the field map has a column of versions."""
        return bool(self.field_map.version)

    @property
    def partial(self) -> bool:
        """Whether there is a limit."""
        return self.limit is not None

    @property
    def changing(self) -> bool:
        """Never: another file is another catalogue."""
        return False

    def since(self, highest: int, moment_ms: int) -> Since:
        """Return those after the highest version, or after its moment."""
        return Since(highest, own=True) if self.versioned else Since(moment_ms)

    def note(self) -> JsonObject:
        """Return name, moment and how it is read."""
        return {
            "source": self.catalogue.name.rpartition("/")[2],
            "moment": self.moment_ms,
            "simplified": self.simplified,
            "limit": self.limit,
            "fields": {name: value for name, value in asdict(self.field_map).items() if value},
        }

    def items(self, seen: SeenIds) -> Iterator[Item | Reject]:
        """Yield the catalogue's products and rejects, in its order."""
        found = 0
        for outcome in read_products(self.catalogue.records(), self.field_map, self.simplified, seen):
            if isinstance(outcome, Item):
                found += 1
                yield replace(outcome, share=min(1.0, found / self.limit)) if self.limit else outcome
                if found == self.limit:
                    return
            else:
                yield outcome


@dataclass(frozen=True, slots=True)
class IndexSupply:
    """The products that an index holds: for another model no catalogue is needed."""

    client: OpenSearch
    index: MadeIndex
    products: int
    patience: Patience
    versioned: bool = False
    partial: bool = False
    changing: bool = True

    @property
    def name(self) -> str:
        """The index's."""
        return self.index.name

    @property
    def moment_ms(self) -> int:
        """The moment of the catalogue that the index was made of."""
        return self.index.version

    def since(self, highest: int, moment_ms: int) -> Since:
        """Return all that came while it was read."""
        del highest, moment_ms
        return Since(-1, own=True)

    def note(self) -> JsonObject:
        """Return the index's note as far as it is about the catalogue."""
        about = ("source", "moment", "simplified", "limit", "fields")
        return {name: self.index.note[name] for name in about if name in self.index.note} | {
            "reencoded": self.index.name
        }

    def items(self, seen: SeenIds) -> Iterator[Item | Reject]:
        """Yield every product as of now, each with its version."""
        index = self.index.name
        everything: JsonObject = {"match_all": {}}
        refresh(self.client, index, self.patience)
        for number, of in enumerate(every(self.client, index, everything, self.patience), 1):
            seen.first_line(of.id, number)
            yield Item(
                product=shown_product(of.id, of.source),
                line=number,
                raw=of.id,
                share=min(1.0, number / max(1, self.products)),
                version=of.version,
                changed=bool(of.own.get(fields.CHANGED.removeprefix(f"{fields.ATTUNE}."))),
            )


def supply_of_index(client: OpenSearch, index: MadeIndex, patience: Patience) -> IndexSupply:
    """Return the supply of an index with its number of products."""
    return IndexSupply(client, index, counted(client, index.name, {"match_all": {}}, patience), patience)
