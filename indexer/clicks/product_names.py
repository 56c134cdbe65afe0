"""Other names of products: a click log may call them by a barcode or stock number, another column's."""

from collections.abc import Iterable, Iterator

from indexer.catalogue.cleaning import clean_id
from indexer.catalogue.records import Record, Reject
from indexer.catalogue.values import BadValue, parse_id
from mappings.errors import CatalogueError


def product_names(records: Iterable[Record | Reject], id_column: str, column: str) -> dict[str, str]:
    """Return each value of `column` → the id of the product that has it.

    Lists name a product several times. What two products share, or is another's id, is nobody's name. Raises
    CatalogueError where no record has `column`.
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
        for name, found in names.items()
        for product_id in found
        if len(found) == 1 and (name not in ids or name == product_id)
    }


def _identifiers(cell: object) -> Iterator[str]:
    for value in cell if isinstance(cell, list | tuple) else (cell,):
        try:
            yield parse_id(value, clean_id)
        except BadValue:
            continue
