"""Records → changes: each record an event that writes a whole product, changes a part of one or deletes it.

The column that the field map names as `operation` says which, in any case of letters:

    upsert, index, create, insert, replace    the record is the whole product
    update, partial, patch                    what the record has a column for is replaced, the rest stays
    delete, remove                            the product goes; the record needs only the id

In a partial update a column that is there replaces the field, an empty cell clears it, and a column that the
record lacks leaves it as it is. Attributes are replaced, added and cleared one by one, by their names: where
two columns of the catalogue share one, send both.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from indexer.catalogue.field_map import FieldMap
from indexer.catalogue.products import PRODUCT_FIELDS, FieldValue, ProductMaker, require_text, sort_attributes
from indexer.catalogue.records import Record, Reject
from indexer.catalogue.values import BadValue
from mappings import fields
from mappings.types import AttributeValue, JsonObject, Product

Kind = Literal["upsert", "update", "delete"]

OPERATIONS: dict[str, Kind] = {
    **dict.fromkeys(("upsert", "index", "create", "insert", "replace"), "upsert"),
    **dict.fromkeys(("update", "partial", "patch"), "update"),
    **dict.fromkeys(("delete", "remove"), "delete"),
}
"""What an operation column may say → the kind of change."""

_PLAIN = {"price": fields.PRICE, "available": fields.AVAILABLE, "image": fields.IMAGE, "url": fields.URL}
"""Fields of a product that the encoder does not read → fields of its document."""


@dataclass(frozen=True, slots=True)
class Part:
    """What a partial update gives: only the fields named here change, and attributes name by name.

    `fields` holds names of Product's fields; an empty text or None clears one. An attribute of None goes.
    """

    fields: Mapping[str, FieldValue] = field(default_factory=dict)
    attributes: Mapping[str, AttributeValue | None] = field(default_factory=dict)

    @property
    def read_by_encoder(self) -> bool:
        """Whether it touches what the vectors come from; if not, `applied` is all there is to do."""
        return bool(self.attributes) or not _PLAIN.keys() >= self.fields.keys()


@dataclass(frozen=True, slots=True)
class Change:
    """One event and where it came from.

    `version` is None where the record has none: the caller's moment stands for it. `product` is there for an
    upsert, `part` for an update.
    """

    kind: Kind
    id: str
    version: int | None
    line: int
    raw: str
    share: float
    product: Product | None = None
    part: Part | None = None


def read_changes(
    records: Iterable[Record | Reject],
    field_map: FieldMap,
    default: Kind = "upsert",
    simplified: bool = False,
) -> Iterator[Change | Reject]:
    """Yield a change, or a Reject with its reason, for every record, in file order.

    `default` is what a record without an operation means. An id may come any number of times.
    """
    maker = ProductMaker(field_map, simplified)
    for record in records:
        if isinstance(record, Reject):
            yield record
            continue
        try:
            yield _change(record, field_map, maker, default)
        except BadValue as error:
            yield Reject(record.line, str(error), record.raw)


def merged(product: Product, part: Part) -> Product:
    """Return the product with the part applied. Raises BadValue when that leaves it without any text."""
    attributes = (
        sort_attributes({**product.attributes, **part.attributes}) if part.attributes else product.attributes
    )
    return require_text(replace(product, attributes=attributes, **part.fields))  # type: ignore[arg-type]  # see value


def applied(source: JsonObject, part: Part) -> JsonObject:
    """Return a document's `_source` with a part that the encoder does not read (ValueError for another)."""
    if part.read_by_encoder:
        raise ValueError("the encoder reads what this part changes: merge it into the product instead")
    given = {_PLAIN[name]: value for name, value in part.fields.items()}
    kept = {name: value for name, value in source.items() if name not in given}
    return {**kept, **{name: value for name, value in given.items() if value not in ("", None)}}


def _change(record: Record, field_map: FieldMap, maker: ProductMaker, default: Kind) -> Change:
    product_id = maker.product_id(record)
    kind = _kind(record.values.get(field_map.operation) if field_map.operation else None, default)
    return Change(
        kind=kind,
        id=product_id,
        version=maker.version(record) if field_map.version and field_map.version in record.values else None,
        line=record.line,
        raw=record.raw,
        share=record.share,
        product=maker.product(product_id, record) if kind == "upsert" else None,
        part=_part(record, field_map, maker) if kind == "update" else None,
    )


def _kind(cell: object, default: Kind) -> Kind:
    if cell is None or (isinstance(cell, str) and not cell.strip()):
        return default
    kind = OPERATIONS.get(cell.strip().lower()) if isinstance(cell, str) else None
    if kind is None:
        raise BadValue(f"unknown operation {cell!r} (known: {', '.join(OPERATIONS)})")
    return kind


def _part(record: Record, field_map: FieldMap, maker: ProductMaker) -> Part:
    given: dict[str, FieldValue] = {}
    for name in PRODUCT_FIELDS:
        columns = field_map.columns_for(name)
        there = [column for column in columns if column in record.values]
        if there and len(there) < len(columns):
            listed = f"{', '.join(columns[:-1])} and {columns[-1]}"
            raise BadValue(f"{name} is made of {listed}: send {'both' if len(columns) == 2 else 'all'}")
        if there:
            given[name] = maker.value(name, record.values)
    part = Part(given, maker.attributes(record))
    if not part.fields and not part.attributes:
        raise BadValue("nothing to change: the record has no column of any field")
    return part
