"""Records → products: the field map applied, every cell cleaned, bad records and duplicates set aside."""

from collections.abc import Callable, Iterable, Iterator

from indexer import values
from indexer.cleaning import clean_id, cleaner
from indexer.fieldmap import AttributeNames, FieldMap, tidy_name
from indexer.records import Item, Record, Reject
from indexer.values import BadValue
from mappings.types import AttributeValue, Product


def read_products(
    records: Iterable[Record | Reject], field_map: FieldMap, simplified: bool = False
) -> Iterator[Item | Reject]:
    """Yield a product, or a Reject with its reason, for every record, in file order.

    Of several records with one id the first is kept: it can be encoded and written without waiting for the
    end of the file, and in exports with a row a variant the first row is the one that carries the text.
    Memory grows by one id and line number a product and nothing else.
    """
    maker = _ProductMaker(field_map, cleaner(simplified))
    seen: dict[str, int] = {}
    for record in records:
        if isinstance(record, Reject):
            yield record
            continue
        try:
            product_id = maker.product_id(record)
            if product_id in seen:
                reason = f"duplicate of id {product_id!r} on line {seen[product_id]}, which is kept"
                yield Reject(record.line, reason, record.raw, "duplicate")
                continue
            product = maker.product(product_id, record)
        except BadValue as error:
            yield Reject(record.line, str(error), record.raw)
        else:
            seen[product_id] = record.line
            yield Item(product, record.line, record.raw, record.share)


class _ProductMaker:
    def __init__(self, field_map: FieldMap, clean: Callable[[str], str]) -> None:
        self._map = field_map
        self._clean = clean
        self._names = AttributeNames(field_map.attributes)

    def product_id(self, record: Record) -> str:
        return values.identifier(record.values.get(self._map.id), clean_id)

    def product(self, product_id: str, record: Record) -> Product:
        cells, field_map = record.values, self._map
        title = self._joined(record, field_map.title)
        description = self._joined(record, field_map.description)
        if not title and not description:
            raise BadValue("no text: title and description are empty")
        return Product(
            id=product_id,
            title=title,
            brand=self._joined(record, field_map.brand),
            category=self._joined(record, field_map.category, " > "),
            description=description,
            attributes=self._attributes(record),
            price=values.price(cells.get(field_map.price), field_map.price_scale),
            available=values.available(cells.get(field_map.available)),
            image=values.first(cells.get(field_map.image)),
            url=values.first(cells.get(field_map.url)),
        )

    def _joined(self, record: Record, columns: tuple[str, ...], joint: str = " ") -> str:
        parts = []
        for column in columns:
            try:
                part = values.text(record.values.get(column), self._clean, joint)
            except BadValue as error:
                raise BadValue(f"{column}: {error}") from error
            if part and part not in parts:
                parts.append(part)
        return joint.join(parts)

    def _attributes(self, record: Record) -> dict[str, AttributeValue]:
        found: dict[str, AttributeValue] = {}
        for column, cell in record.values.items():
            name = self._names.of(column)
            if name is None:
                continue
            named = cell.items() if isinstance(cell, dict) else ((name, cell),)
            for key, inner in named:
                try:
                    value = values.attribute(inner, self._clean)
                except BadValue as error:
                    raise BadValue(f"{column}: {error}") from error
                tidy = self._clean(tidy_name(str(key)))
                # Where two columns tidy to one name, a yes or no gives way to a value, else the first stays.
                if value is not None and tidy and isinstance(found.get(tidy, True), bool):
                    if isinstance(value, bool) and tidy in found:
                        continue
                    found[tidy] = value
        return found
