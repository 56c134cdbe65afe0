"""Read records as changes: each one writes a whole product, updates a part of one, or deletes one.

The column that the field map names as `operation` says which, in any case of letters:

    upsert, index, create, insert, replace    the record is the whole product
    update, partial, patch                    the record's columns are replaced, the rest stays
    delete, remove                            the product is deleted; the record needs only the id

In a partial update a column replaces the field, an empty cell clears it, and a column that the record lacks
leaves the field as it is. Attributes are replaced, added and cleared one by one, by name. Where two columns
of the catalogue share a name, send both. A cell that can't be read
leaves its field as it is and is counted; the other fields of the record are applied. A record of a product
that is not for sale, such as a draft, deletes it.

Where the field map merges variants, send all records of a product together: they are one change.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from indexer.catalogue.attributes import sort_attributes
from indexer.catalogue.field_map import FieldMap
from indexer.catalogue.nested import has_cell
from indexer.catalogue.presets import prepare_records
from indexer.catalogue.product_maker import (
    JOINED_FIELDS,
    PRODUCT_FIELDS,
    FieldValue,
    ProductMaker,
    require_text,
)
from indexer.catalogue.products import make_product
from indexer.catalogue.records import LeftOut, Record, Reject
from indexer.catalogue.stats import CatalogueStats
from indexer.catalogue.values import BadValue
from indexer.catalogue.variants import group_records
from mappings import fields
from mappings.types import AttributeValue, JsonObject, Product

ChangeKind = Literal["upsert", "update", "delete"]

CHANGE_KINDS: dict[str, ChangeKind] = {
    **dict.fromkeys(("upsert", "index", "create", "insert", "replace"), "upsert"),
    **dict.fromkeys(("update", "partial", "patch"), "update"),
    **dict.fromkeys(("delete", "remove"), "delete"),
}
"""Values of an operation column → the kind of change."""

_NOT_ENCODED = {
    "price": fields.PRICE,
    "available": fields.AVAILABLE,
    "image": fields.IMAGE,
    "url": fields.URL,
    "currency": fields.CURRENCY,
    "group": fields.GROUP,
}
"""Fields of a product that the encoder does not read → fields of its document."""


@dataclass(frozen=True, slots=True)
class PartialUpdate:
    """The fields that a partial update replaces, and the attributes by name.

    `fields` has names of Product's fields; an empty text or None clears one. An attribute of None is removed.
    """

    fields: Mapping[str, FieldValue] = field(default_factory=dict)
    attributes: Mapping[str, AttributeValue | None] = field(default_factory=dict)

    @property
    def needs_encoder(self) -> bool:
        """Whether it changes what the vectors are made of. If not, `update_source` applies it."""
        return bool(self.attributes) or not _NOT_ENCODED.keys() >= self.fields.keys()


@dataclass(frozen=True, slots=True)
class Change:
    """One change and where it came from.

    `version` is None where the record has none; the moment of its source is used instead. An upsert has a
    `product`, an update a `part`.
    """

    kind: ChangeKind
    id: str
    version: int | None
    line: int
    raw: str
    share: float
    product: Product | None = None
    part: PartialUpdate | None = None


def read_changes(
    records: Iterable[Record | Reject],
    field_map: FieldMap,
    default: ChangeKind = "upsert",
    simplified: bool = False,
    stats: CatalogueStats | None = None,
) -> Iterator[Change | Reject]:
    """Yield a change, or a Reject with its reason, for every record or group of variants, in order.

    `default` is the kind of a record without an operation. An id may come any number of times.
    `stats` counts cells that can't be read.
    """
    stats = CatalogueStats() if stats is None else stats
    maker = ProductMaker(field_map, simplified, stats)
    for group in group_records(prepare_records(records, field_map), field_map, maker.read_key):
        if isinstance(group, Reject):
            yield group
            continue
        if isinstance(group, LeftOut):
            stats.records += 1
            stats.add_left_out(group.reason, group.line, group.product_id)
            continue
        stats.records += len(group)
        try:
            yield _read_change(group, field_map, maker, default)
        except BadValue as error:
            yield Reject(group[0].line, str(error), group[0].raw)


def merge_product(product: Product, part: PartialUpdate) -> Product:
    """Return the product with the update applied. Raises BadValue where that leaves it without any text."""
    attributes = (
        sort_attributes({**product.attributes, **part.attributes}) if part.attributes else product.attributes
    )
    return require_text(replace(product, attributes=attributes, **part.fields))  # type: ignore[arg-type]


def update_source(source: JsonObject, part: PartialUpdate) -> JsonObject:
    """Return a document's `_source` with an update that needs no encoder. Raises ValueError for another."""
    if part.needs_encoder:
        raise ValueError("the encoder reads what this update changes: merge it into the product instead")
    given = {_NOT_ENCODED[name]: value for name, value in part.fields.items()}
    rest = {name: value for name, value in source.items() if name not in given}
    return {**rest, **{name: value for name, value in given.items() if value not in ("", None)}}


def _read_change(
    group: list[Record], field_map: FieldMap, maker: ProductMaker, default: ChangeKind
) -> Change:
    record = group[0]
    product_id = maker.product_id(record)
    kind = _read_kind(record.values.get(field_map.operation) if field_map.operation else None, default)
    members = group if kind == "delete" else maker.members(group)
    kind = kind if members else "delete"
    return Change(
        kind=kind,
        id=product_id,
        version=maker.version(record) if field_map.version and field_map.version in record.values else None,
        line=record.line,
        raw=record.raw,
        share=group[-1].share,
        product=make_product(maker, product_id, members) if kind == "upsert" else None,
        part=_read_part(record, field_map, maker) if kind == "update" else None,
    )


def _read_kind(cell: object, default: ChangeKind) -> ChangeKind:
    if cell is None or (isinstance(cell, str) and not cell.strip()):
        return default
    kind = CHANGE_KINDS.get(cell.strip().lower()) if isinstance(cell, str) else None
    if kind is None:
        raise BadValue(f"unknown operation {cell!r} (known: {', '.join(CHANGE_KINDS)})")
    return kind


def _read_part(record: Record, field_map: FieldMap, maker: ProductMaker) -> PartialUpdate:
    fields: dict[str, FieldValue] = {}
    unreadable = ""
    for name in PRODUCT_FIELDS:
        columns = field_map.columns_for(name)
        present = [column for column in columns if has_cell(record.values, column)]
        if present and len(present) < len(columns) and name in JOINED_FIELDS:
            listed = f"{', '.join(columns[:-1])} and {columns[-1]}"
            raise BadValue(f"{name} is made of {listed}: send {'both' if len(columns) == 2 else 'all'}")
        if not present or (name == "identifiers" and len(present) < len(columns)):
            continue
        try:
            fields[name] = maker.value(name, record)
        except BadValue as error:
            maker.read(name, record)  # counts it
            unreadable = unreadable or str(error)
    if "price" in fields and (currency := maker.read("currency", record)):
        fields["currency"] = currency
    part = PartialUpdate(fields, maker.attributes(record))
    if not part.fields and not part.attributes:
        raise BadValue(unreadable or "nothing to change: the record has no column of any field")
    return part
