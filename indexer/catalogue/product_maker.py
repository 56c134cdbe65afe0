"""Read the fields of a product from the cells of a record, as a field map names them."""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial

from indexer.catalogue import values
from indexer.catalogue.attributes import AttributeReader, sort_attributes
from indexer.catalogue.availability import has_ended, parse_available, parse_for_sale
from indexer.catalogue.cleaning import clean_id, make_cleaner
from indexer.catalogue.currencies import parse_currency
from indexer.catalogue.field_map import DERIVED, FieldMap
from indexer.catalogue.nested import find_cell, parse_listing
from indexer.catalogue.prices import Price, parse_price
from indexer.catalogue.records import Record
from indexer.catalogue.stats import CatalogueStats
from indexer.catalogue.thesaurus import load_thesaurus
from indexer.catalogue.values import BadValue
from mappings.types import AttributeValue, Product

FieldValue = str | float | bool | tuple[str, ...] | None
PRODUCT_FIELDS = (
    "title", "brand", "category", "description", "price", "available", "image", "url", "currency",
    "identifiers",
    "group",
)  # fmt: skip
"""The fields of a product that columns give, other than its id and its attributes."""

JOINED_FIELDS = ("title", "brand", "category", "description")
"""The fields that join the texts of all their columns."""

_MAX_IDENTIFIERS = 1000
_SEPARATOR = re.compile(r"[,;|]")
_ROUNDED = re.compile(r"\d[.,]\d{1,9}E\+\d{1,2}", re.IGNORECASE)
"""How spreadsheets write long numbers when they save them: the last digits are lost."""

_NOT_IDENTIFIERS = ("", "-", "0", "n/a", "na", "none", "null", "no", "does not apply", "unknown")


class ProductMaker:
    """Makes products of records. A cell that can't be read is left empty and counted in `stats`."""

    def __init__(
        self,
        field_map: FieldMap,
        simplified: bool = False,
        stats: CatalogueStats | None = None,
        now: datetime | None = None,
    ) -> None:
        self._map = field_map
        self._stats = CatalogueStats() if stats is None else stats
        self._now = now or datetime.now(UTC)
        clean = self._clean = make_cleaner(simplified)
        never = (field_map.version, field_map.operation)
        self._attributes = AttributeReader(field_map.attributes, never, clean, self._stats)
        self._columns = {name: field_map.columns_for(name) for name in PRODUCT_FIELDS}
        self._thesaurus = load_thesaurus(field_map.domain) if field_map.domain else None
        self._priced: tuple[Record | None, Price | None] = (None, None)
        self._readers: dict[str, Callable[[Record], FieldValue]] = {
            "price": lambda record: price.amount if (price := self._price(record)) else None,
            "currency": self._currency,
            "available": self._available,
            "image": self._image,
            "url": lambda record: values.parse_url(find_cell(record.values, self._map.url), clean_id),
            "identifiers": self._identifiers,
            "group": self._group,
        }
        for name in JOINED_FIELDS:
            self._readers[name] = partial(self._joined, name)
        self._filled = [
            (name, reader)
            for name, reader in self._readers.items()
            if self._columns[name] or (name == "currency" and self._columns["price"])
        ]

    def id_cell(self, record: Record) -> object:
        """Return the cell that holds the record's id."""
        return find_cell(record.values, self._map.id)

    def product_id(self, record: Record) -> str:
        """Return the record's id. Raises BadValue where it has none."""
        return values.parse_id(self.id_cell(record), clean_id)

    def read_key(self, cell: object) -> str:
        """Return a cell as an id or identifier, empty where it is neither."""
        try:
            return values.parse_id(cell, clean_id)
        except BadValue:
            return ""

    def version(self, record: Record) -> int:
        """Return the record's version, for which the field map must name a column. Raises BadValue."""
        return values.parse_version(find_cell(record.values, self._map.version))

    def members(self, group: list[Record]) -> list[Record]:
        """Return the records of a group that are for sale, none where its parent is not. Count the others."""
        members: list[Record] = []
        for record in group:
            reason = self.reason_not_for_sale(record, head=record is group[0])
            if reason:
                left_out = group if record is group[0] else [record]
                for other in left_out:
                    self._stats.add_left_out(reason, other.line, self.read_key(self.id_cell(other)))
                if record is group[0]:
                    return []
            else:
                members.append(record)
        return members

    def reason_not_for_sale(self, record: Record, head: bool = True) -> str:
        """Return why the record must not be found by shoppers, empty where it may be.

        Only a parent or a product without variants (`head`) is left out for its visibility.
        """
        for column in (*self._map.status, *(self._map.visibility if head else ())):
            cell = find_cell(record.values, column)
            try:
                if parse_for_sale(cell) is False:
                    return f"{column.removeprefix(DERIVED)} is {str(cell).strip()[:40]}"
            except BadValue:
                self._stats.add_unreadable("status", record.line, cell)
        for column in self._map.ends:
            cell = find_cell(record.values, column)
            try:
                if has_ended(cell, self._now):
                    return f"{column} is past"
            except BadValue:
                self._stats.add_unreadable("ends", record.line, cell)
        return ""

    def product(self, product_id: str, record: Record) -> Product:
        """Return the record's product: a field without a column or with an empty cell is empty."""
        fields: dict[str, FieldValue] = {}
        for name, reader in self._filled:
            try:
                fields[name] = reader(record)
            except BadValue:
                fields[name] = self.read(name, record)
        product = Product(
            id=product_id,
            attributes=sort_attributes(self.attributes(record)),
            **fields,  # type: ignore[arg-type]  # `read` returns what each field holds
        )
        return self._thesaurus.expand(product) if self._thesaurus else product

    def read(self, name: str, record: Record) -> FieldValue:
        """Return the value of the field `name`, empty or None where no cell gives one or it can't be read."""
        try:
            return self.value(name, record)
        except BadValue:
            columns = self._map.columns_for(name) or self._map.columns_for("price")
            cells = [find_cell(record.values, column) for column in columns]
            shown = next((cell for cell in cells if cell not in (None, "")), None)
            self._stats.add_unreadable(name, record.line, shown)
            return "" if name in (*JOINED_FIELDS, "image", "url", "currency", "group") else None

    def value(self, name: str, record: Record) -> FieldValue:
        """Return the value of the field `name`. Raises BadValue where its cells can't be read."""
        return self._readers[name](record)

    def attributes(self, record: Record) -> dict[str, AttributeValue | None]:
        """Return the attributes that the record's columns name, in their order, None for an empty cell."""
        return self._attributes.read(record)

    def _joined(self, name: str, record: Record) -> str:
        joint = " > " if name == "category" else " "
        parts = []
        for column in self._columns[name]:
            part = values.parse_text(find_cell(record.values, column), self._clean, joint)
            if part and part not in parts:
                parts.append(part)
        return joint.join(parts)

    def _price(self, record: Record) -> Price | None:
        """Return the first price above 0, of the first column only while its sale lasts."""
        if self._priced[0] is record:
            return self._priced[1]
        price = self._find_price(record)
        self._priced = (record, price)
        return price

    def _find_price(self, record: Record) -> Price | None:
        problem: BadValue | None = None
        free: Price | None = None
        columns = self._map.price
        for column in columns:
            if len(columns) > 1 and column == columns[0] and not self._is_on_sale(record):
                continue
            try:
                price = parse_price(
                    find_cell(record.values, column), self._map.price_scale, self._map.decimal
                )
            except BadValue as error:
                problem = problem or error
                continue
            if price and price.amount:
                return price
            free = price or free
        if problem and not free:
            raise problem
        return free

    def _is_on_sale(self, record: Record) -> bool:
        cells = [find_cell(record.values, column) for column in self._map.sale_dates]
        if len(cells) == 1 and isinstance(cells[0], str):
            cells = list(cells[0].split("/")) if cells[0].count("/") == 1 else [None, None]
        try:
            moments = [values.parse_moment(cell) for cell in cells]
        except BadValue:
            return True
        starts, ends = [*moments, None, None][:2]
        return (starts is None or starts <= self._now) and (ends is None or ends.date() >= self._now.date())

    def _currency(self, record: Record) -> str:
        if self._map.currency and (code := parse_currency(find_cell(record.values, self._map.currency))):
            return code
        try:
            price = self._price(record)
        except BadValue:
            return ""
        return price.currency if price else ""

    def _available(self, record: Record) -> bool | None:
        problem: BadValue | None = None
        for column in self._map.available:
            try:
                available = parse_available(find_cell(record.values, column))
            except BadValue as error:
                problem = problem or error
                continue
            if available is not None:
                return available
        if problem:
            raise problem
        return None

    def _image(self, record: Record) -> str:
        for column in self._map.image:
            if address := values.parse_url(find_cell(record.values, column), clean_id):
                return address
        return ""

    def _identifiers(self, record: Record) -> tuple[str, ...]:
        names: dict[str, None] = {}
        for column in self._map.identifiers:
            cell = parse_listing(find_cell(record.values, column))
            for element in cell if isinstance(cell, list | tuple) else (cell,):
                if isinstance(element, str) and _ROUNDED.fullmatch(element.strip()):
                    self._stats.add_unreadable("identifiers", record.line, element)
                    continue
                for part in _SEPARATOR.split(element[:2000]) if isinstance(element, str) else (element,):
                    name = self.read_key(part).lstrip("'")
                    if name.casefold() not in _NOT_IDENTIFIERS and len(names) < _MAX_IDENTIFIERS:
                        names[name] = None
        return tuple(names)

    def _group(self, record: Record) -> str:
        keeps = self._map.group and self._map.variants == "keep"
        return self.read_key(find_cell(record.values, self._map.group)) if keeps else ""


def require_text(product: Product) -> Product:
    """Return the product; raise BadValue where it has neither title nor description."""
    if not product.title and not product.description:
        raise BadValue("no text: title and description are empty")
    return product
