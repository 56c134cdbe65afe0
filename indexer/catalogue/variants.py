"""Make one product of the records that are its variants.

Where the group is the id's own column, as in Shopify's exports, variants follow one another and are merged as
they come. Otherwise a record joins the record that has its group as id or identifier (WooCommerce's
`Parent`), or the records with the same group, wherever they are in the file: all records are put into a
temporary file first.

Of the merged product texts, image and address are the first that there are, the parent's before its
variants'. The price is that of the first variant that can be bought, it is available if any variant is, and
attributes and identifiers are those of all.
"""

import pickle
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing

from indexer.catalogue.field_map import FieldMap
from indexer.catalogue.nested import find_cell
from indexer.catalogue.records import LeftOut, Record, Reject
from mappings.errors import CatalogueError
from mappings.types import AttributeValue, Product
from reranker.text.product_text import format_attribute_values

_MAX_VALUES = 200
"""Values of one attribute that are kept when variants are merged."""

_MAX_VARIANTS = 2_000
"""Records of one product that are merged; more are left out."""

KeyReader = Callable[[object], str]
"""Returns a cell as an id, empty where it has none."""


def group_records(
    records: Iterable[Record | Reject | LeftOut], field_map: FieldMap, read_key: KeyReader
) -> Iterator[list[Record] | Reject | LeftOut]:
    """Yield the records of each product together, its parent first, and what is not a record as it comes."""
    if field_map.variants != "merge" or not (field_map.group or field_map.children):
        for record in records:
            yield [record] if isinstance(record, Record) else record
    elif field_map.group == field_map.id and not field_map.children:
        yield from _group_neighbours(records, field_map, read_key)
    else:
        with closing(_Groups(field_map, read_key)) as groups:
            for record in records:
                if isinstance(record, Record):
                    groups.add(record)
                else:
                    yield record
            yield from groups.read()


def merge_products(products: Sequence[Product]) -> Product:
    """Return the product that variants are of; the first is the parent or the first variant."""
    head = products[0]
    if len(products) == 1:
        return head
    priced = [product for product in products if product.price is not None]
    buyable = [product for product in priced if product.available is not False]
    priced_by = next(iter([p for p in buyable if p.available] or buyable or priced), None)
    known = [product.available for product in products if product.available is not None]
    own = [product.available for product in products[1:] if product.available is not None]
    identifiers = [
        name for product in products for name in (product.id, *product.identifiers) if name != head.id
    ]
    return Product(
        id=head.id,
        title=_first(product.title for product in products),
        brand=_first(product.brand for product in products),
        category=_first(product.category for product in products),
        description=_first(product.description for product in products),
        attributes=_merge_attributes(products),
        price=priced_by.price if priced_by else None,
        # A parent without stock of its own says no while its variants say yes; or yes while all are sold out.
        available=any(own) if own and head.price is None else any(known) if known else None,
        image=_first(product.image for product in products),
        url=_first(product.url for product in products),
        currency=_first(product.currency for product in ([priced_by] if priced_by else products)),
        identifiers=tuple(dict.fromkeys(identifiers)),
        group=head.group,
        concepts=tuple(dict.fromkeys(concept for product in products for concept in product.concepts)),
    )


def _first(texts: Iterable[str]) -> str:
    return next((text for text in texts if text), "")


def _merge_attributes(products: Sequence[Product]) -> dict[str, AttributeValue]:
    merged: dict[str, AttributeValue] = {}
    for product in products:
        for name, value in product.attributes.items():
            present = merged.get(name)
            if present is None or present == value:
                merged[name] = value
            elif isinstance(present, bool) and isinstance(value, bool):
                merged[name] = True
            else:
                values = dict.fromkeys((*format_attribute_values(present), *format_attribute_values(value)))
                merged[name] = tuple(values)[:_MAX_VALUES]
    return dict(sorted(merged.items()))


def _group_neighbours(
    records: Iterable[Record | Reject | LeftOut], field_map: FieldMap, read_key: KeyReader
) -> Iterator[list[Record] | Reject | LeftOut]:
    group: list[Record] = []
    key = ""
    for record in records:
        if not isinstance(record, Record):
            yield record
            continue
        own = read_key(find_cell(record.values, field_map.id))
        if group and own and own == key:
            if len(group) < _MAX_VARIANTS:
                group.append(record)
            else:
                yield LeftOut(record.line, f"more than {_MAX_VARIANTS} variants of a product", own)
            continue
        if group:
            yield group
        group, key = [record], own
    if group:
        yield group


class _Groups:
    """Records in a temporary SQLite file, found again by group."""

    def __init__(self, field_map: FieldMap, read_key: KeyReader) -> None:
        self._map = field_map
        self._read_key = read_key
        self._database = sqlite3.connect("", check_same_thread=False)
        self._count = 0
        for statement in (
            "PRAGMA journal_mode = off",
            "PRAGMA synchronous = off",
            "PRAGMA cache_size = -16384",
            "CREATE TABLE records (n INTEGER PRIMARY KEY, parent TEXT, own TEXT, body BLOB)",
            "CREATE TABLE names (name TEXT PRIMARY KEY, n INTEGER) WITHOUT ROWID",
            "CREATE TABLE claims (name TEXT PRIMARY KEY, n INTEGER) WITHOUT ROWID",
        ):
            self._run(statement)

    def add(self, record: Record) -> None:
        """Put a record in."""
        self._count += 1
        own = self._read_key(find_cell(record.values, self._map.id))
        group = self._read_key(find_cell(record.values, self._map.group)) if self._map.group else ""
        names = [own, *(self._read_key(find_cell(record.values, name)) for name in self._map.identifiers)]
        if not group or group in names:
            for name in filter(None, names):
                self._run("INSERT OR IGNORE INTO names VALUES (?, ?)", name, self._count)
                self._run("INSERT OR IGNORE INTO names VALUES (?, ?)", f"id:{name}", self._count)
        for column in self._map.children:
            cell = find_cell(record.values, column)
            for child in cell if isinstance(cell, list | tuple) else [cell]:
                if name := self._read_key(child):
                    self._run("INSERT OR IGNORE INTO claims VALUES (?, ?)", name, self._count)
        parent = "" if group in names else group
        self._run("INSERT INTO records VALUES (?, ?, ?, ?)", self._count, parent, own, pickle.dumps(record))

    def read(self) -> Iterator[list[Record] | LeftOut]:
        """Yield the records of each group, the parent first, groups in the order of their first records."""
        self._run(
            "CREATE TABLE firsts AS"
            " SELECT parent, MIN(n) AS n FROM records WHERE parent <> '' GROUP BY parent"
        )
        self._run("CREATE UNIQUE INDEX by_parent ON firsts (parent)")
        rows = self._run(
            "SELECT COALESCE("
            " CASE WHEN r.parent <> '' THEN COALESCE(names.n, firsts.n) ELSE claims.n END, r.n"
            ") AS root, r.n, r.body FROM records r"
            " LEFT JOIN names ON names.name = r.parent LEFT JOIN firsts ON firsts.parent = r.parent"
            " LEFT JOIN claims ON claims.name = r.own"
            " ORDER BY root, r.n <> root, r.n"
        )
        group: list[Record] = []
        root = None
        for key, _, body in rows:
            record: Record = pickle.loads(body)
            if group and key == root:
                if len(group) < _MAX_VARIANTS:
                    group.append(record)
                else:
                    yield LeftOut(record.line, f"more than {_MAX_VARIANTS} variants of a product")
                continue
            if group:
                yield group
            group, root = [record], key
        if group:
            yield group

    def close(self) -> None:
        """Forget all records; the temporary file goes too."""
        self._database.close()

    def _run(self, statement: str, *values: object) -> sqlite3.Cursor:
        try:
            return self._database.execute(statement, values)
        except sqlite3.OperationalError as error:
            raise CatalogueError(
                f"the records can't be put into a temporary file: {error}. "
                "The variable SQLITE_TMPDIR names another folder for it"
            ) from error
