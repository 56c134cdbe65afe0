"""What reading a catalogue yields: records as they stand in the file, and lines that can't be used."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from mappings.types import Product

RejectKind = Literal["record", "duplicate", "document"]


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
    """

    line: int
    reason: str
    raw: str = ""
    kind: RejectKind = "record"


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
