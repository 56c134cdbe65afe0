"""Other names of products: a click log may call them by a barcode or a stock number."""

from collections.abc import Iterable, Iterator

from indexer.catalogue.cleaning import clean_id
from indexer.catalogue.records import Record, Reject
from indexer.catalogue.values import BadValue, parse_id
from mappings.errors import CatalogueError


def read_product_names(records: Iterable[Record | Reject], id_column: str, column: str) -> dict[str, str]:
    """Return a map from each value of `column` to the id of its product.

    A list in the column gives a product several names. A value that two products share, or that is another
    product's id, is left out. Raises CatalogueError where no record has `column`.
    """
    ids: set[str] = set()
    names: dict[str, set[str]] = {}
    for record in records:
        if isinstance(record, Record):
            for product_id in _identifiers(record.values.get(id_column)):
                ids.add(product_id)
                for name in _identifiers(record.values.get(column)):
                    names.setdefault(name, set()).add(product_id)
    if not names:
        raise CatalogueError(f"no product has a value in the column {column}: clicks.id_column must name one")
    return {
        name: product_id
        for name, owners in names.items()
        for product_id in owners
        if len(owners) == 1 and (name not in ids or name == product_id)
    }


def _identifiers(cell: object) -> Iterator[str]:
    for value in cell if isinstance(cell, list | tuple) else (cell,):
        try:
            yield parse_id(value, clean_id)
        except BadValue:
            continue
