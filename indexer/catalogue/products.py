"""Records → products: read by the field map, cleaned, variants merged, and what is not for sale left out."""

from collections.abc import Iterable, Iterator
from contextlib import nullcontext

from indexer.catalogue.field_map import FieldMap
from indexer.catalogue.presets import prepare_records
from indexer.catalogue.product_maker import ProductMaker, require_text
from indexer.catalogue.records import Item, LeftOut, Record, Reject
from indexer.catalogue.stats import CatalogueStats
from indexer.catalogue.values import BadValue
from indexer.catalogue.variants import group_records, merge_products
from indexer.store.id_set import IdSet
from mappings.types import Product


def read_products(
    records: Iterable[Record | Reject],
    field_map: FieldMap,
    simplified: bool = False,
    seen: IdSet | None = None,
    stats: CatalogueStats | None = None,
) -> Iterator[Item | Reject]:
    """Yield a product, or a Reject with its reason, for every record or group of variants, in file order.

    Of several records with one id the first stays: it can be encoded and written without waiting for the end
    of the file. `stats` counts cells that can't be read, which are left empty, and products that are not for
    sale, which are left out. Memory does not grow with the catalogue. `seen` stays open and holds the ids of
    all products in the end.
    """
    stats = CatalogueStats() if stats is None else stats
    maker = ProductMaker(field_map, simplified, stats)
    with IdSet() if seen is None else nullcontext(seen) as ids:
        for group in group_records(prepare_records(records, field_map), field_map, maker.read_key):
            if isinstance(group, Reject):
                yield group
                continue
            if isinstance(group, LeftOut):
                stats.records += 1
                stats.add_left_out(group.reason, group.line, group.product_id)
                continue
            stats.records += len(group)
            head = group[0]
            try:
                product_id = maker.product_id(head)
                members = maker.members(group)
                if not members:
                    continue
                line = ids.get(product_id)
                if line is not None:
                    reason = f"duplicate of id {product_id!r} on line {line}, which is kept"
                    yield Reject(head.line, reason, head.raw, "duplicate")
                    continue
                version = max(map(maker.version, members)) if field_map.version else None
                product = make_product(maker, product_id, members)
            except BadValue as error:
                yield Reject(head.line, str(error), head.raw)
            else:
                ids.add(product_id, head.line)
                stats.merged += len(members) - 1
                yield Item(product, head.line, head.raw, members[-1].share, version)


def make_product(maker: ProductMaker, product_id: str, members: list[Record]) -> Product:
    """Return the product of a record, or of a parent and its variants. Raises BadValue without a text."""
    if len(members) == 1:
        return require_text(maker.product(product_id, members[0]))
    variants = [maker.product(maker.read_key(maker.id_cell(member)), member) for member in members[1:]]
    return require_text(merge_products([maker.product(product_id, members[0]), *variants]))
