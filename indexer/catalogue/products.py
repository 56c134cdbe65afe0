"""Records → products: the field map applied, every cell cleaned, bad records and duplicates set aside."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import nullcontext
from functools import lru_cache

from indexer.catalogue import values
from indexer.catalogue.cleaning import clean_id, make_cleaner
from indexer.catalogue.field_map import AttributeNames, FieldMap, tidy_name
from indexer.catalogue.records import Item, Record, Reject
from indexer.catalogue.values import BadValue
from indexer.store.id_set import IdSet
from mappings.types import AttributeValue, Product

FieldValue = str | float | bool | None
_TEXTS = ("title", "brand", "category", "description")
PRODUCT_FIELDS = (*_TEXTS, "price", "available", "image", "url")
"""The fields of a product that columns give, but for its id and its attributes."""

_CACHED_NAMES = 10_000
"""Names of attributes that are tidied once: tables have the same columns in every record."""


def read_products(
    records: Iterable[Record | Reject],
    field_map: FieldMap,
    simplified: bool = False,
    seen: IdSet | None = None,
) -> Iterator[Item | Reject]:
    """Yield a product, or a Reject with its reason, for every record, in file order.

    Of several records with one id the first is kept: it can be encoded and written without waiting for the
    end of the file, and in exports with a row a variant the first row is the one that carries the text.
    Memory does not grow with the catalogue. `seen` stays open and holds the ids of all products in the end.
    """
    maker = ProductMaker(field_map, simplified)
    with IdSet() if seen is None else nullcontext(seen) as ids:
        for record in records:
            if isinstance(record, Reject):
                yield record
                continue
            try:
                product_id = maker.product_id(record)
                if product_id in ids:
                    line = ids.add(product_id, record.line)
                    reason = f"duplicate of id {product_id!r} on line {line}, which is kept"
                    yield Reject(record.line, reason, record.raw, "duplicate")
                    continue
                version = maker.version(record) if field_map.version else None
                product = maker.product(product_id, record)
            except BadValue as error:
                yield Reject(record.line, str(error), record.raw)
            else:
                ids.add(product_id, record.line)
                yield Item(product, record.line, record.raw, record.share, version)


class ProductMaker:
    """Reads what a field map names from records. Methods raise BadValue for a cell that can't be used."""

    def __init__(self, field_map: FieldMap, simplified: bool = False) -> None:
        self._map = field_map
        clean = self._clean = make_cleaner(simplified)
        self._tidy = lru_cache(_CACHED_NAMES)(lambda name: clean(tidy_name(name)))
        self._names = AttributeNames(field_map.attributes, (field_map.version, field_map.operation))

    def product_id(self, record: Record) -> str:
        """Return the record's id."""
        return values.parse_id(record.values.get(self._map.id), clean_id)

    def version(self, record: Record) -> int:
        """Return the record's version, which the field map must name a column for."""
        return values.parse_version(record.values.get(self._map.version))

    def product(self, product_id: str, record: Record) -> Product:
        """Return the whole product: what has no column or an empty cell is empty."""
        given = {name: self.value(name, record.values) for name in PRODUCT_FIELDS}
        return require_text(
            Product(
                id=product_id,
                attributes=sort_attributes(self.attributes(record)),
                **given,  # type: ignore[arg-type]  # `value` returns what each field holds
            )
        )

    def value(self, name: str, cells: Mapping[str, object]) -> FieldValue:
        """Return the value of the field `name` of a product, empty or None where no cell gives one."""
        columns = self._map.columns_for(name)
        if name in _TEXTS:
            return self._joined(cells, columns, " > " if name == "category" else " ")
        cell = cells.get(columns[0]) if columns else None
        if name == "price":
            return values.parse_price(cell, self._map.price_scale)
        return values.parse_available(cell) if name == "available" else values.parse_url(cell)

    def attributes(self, record: Record) -> dict[str, AttributeValue | None]:
        """Return the attributes that the record's columns name, in their order, None for an empty cell."""
        found: dict[str, AttributeValue | None] = {}
        for column, cell in record.values.items():
            name = self._names.name_of(column)
            if name is None:
                continue
            named = cell.items() if isinstance(cell, dict) else ((name, cell),)
            for key, inner in named:
                try:
                    value = values.parse_attribute(inner, self._clean)
                except BadValue as error:
                    raise BadValue(f"{column}: {error}") from error
                tidy = self._tidy(str(key))
                # Where two columns tidy to one name, an empty cell gives way to a full one, a yes or no to
                # a value, else the first stays.
                if tidy and _weight(value) > _weight(found.get(tidy)):
                    found[tidy] = value
                elif tidy:
                    found.setdefault(tidy, value)
        return found

    def _joined(self, cells: Mapping[str, object], columns: tuple[str, ...], joint: str) -> str:
        parts = []
        for column in columns:
            try:
                part = values.parse_text(cells.get(column), self._clean, joint)
            except BadValue as error:
                raise BadValue(f"{column}: {error}") from error
            if part and part not in parts:
                parts.append(part)
        return joint.join(parts)


def sort_attributes(attributes: Mapping[str, AttributeValue | None]) -> dict[str, AttributeValue]:
    """Return the attributes that have a value, in the order of their names.

    The encoder reads them in their order. That of the columns would be lost in a partial update, which has
    but some of them, and two exports of one product may differ in it.
    """
    return {name: value for name, value in sorted(attributes.items()) if value is not None}


def require_text(product: Product) -> Product:
    """Return the product; raise BadValue where it has neither title nor description."""
    if not product.title and not product.description:
        raise BadValue("no text: title and description are empty")
    return product


def _weight(value: AttributeValue | None) -> int:
    return 0 if value is None else 1 if isinstance(value, bool) else 2
