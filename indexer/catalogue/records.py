"""Records: what a source yields before cleaning, what cleaning makes of them, and what is rejected."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

from mappings.types import JsonObject, Product

RejectKind = Literal["record", "resynchronised", "duplicate", "document"]


@dataclass(frozen=True, slots=True)
class Record:
    """One record before any cleaning.

    `line` counts from 1: the line where the record starts, in Parquet the row. `share` is how much of
    the file has been read up to here, 0..1.
    """

    line: int
    values: Mapping[str, object]
    raw: str
    share: float


@dataclass(frozen=True, slots=True)
class Reject:
    """A record that does not reach the index, and why.

    `kind` tells a bad record from one whose id came before, and from a document that OpenSearch refused.
    It is `resynchronised` where records behind a bad one may be missing too.
    """

    line: int
    reason: str
    raw: str = ""
    kind: RejectKind = "record"


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A record that is meant not to reach the index: a draft, a translation, a row that is not a product."""

    line: int
    reason: str
    product_id: str = ""


@dataclass(frozen=True, slots=True)
class Item:
    """A cleaned product and where it came from, so that a later refusal can still name its line.

    `version` is the record's own, None where the field map has no column for it. `changed` marks what came
    as a change, where an index is the source.
    """

    product: Product
    line: int
    raw: str
    share: float
    version: int | None = None
    changed: bool = False


class Source(Protocol):
    """A catalogue or a series of changes, read as a stream of records in constant memory."""

    @property
    def name(self) -> str:
        """The name for messages. It never holds a password."""
        ...

    @property
    def moment_ms(self) -> int:
        """When the contents were true, in milliseconds since 1970: the version of records that have none."""
        ...

    def records(self) -> Iterator[Record | Reject]:
        """Yield every record, or a Reject for one that can't be read. Raises CatalogueError."""
        ...

    def columns(self) -> tuple[str, ...]:
        """Return the columns in their order, as far as they are known before reading everything."""
        ...

    def missing(self, wanted: Iterable[str]) -> tuple[str, ...]:
        """Return those of the `wanted` columns that the source certainly lacks, sorted."""
        ...

    def details(self) -> list[JsonObject]:
        """Return how each file is read: its format, encoding and dialect. Empty where nothing is detected."""
        ...
