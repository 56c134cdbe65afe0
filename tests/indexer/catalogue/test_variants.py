from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from indexer.catalogue.field_map import FieldMap
from indexer.catalogue.products import read_products
from indexer.catalogue.records import Item, Record
from indexer.catalogue.stats import CatalogueStats
from indexer.catalogue.variants import merge_products
from mappings.types import Product

MAP = FieldMap(
    id="id",
    title=("name",),
    price=("price",),
    available=("stock",),
    identifiers=("sku",),
    attributes=("size", "colour"),
    group="parent",
    status=("status",),
)


def read(rows: Iterable[dict[str, Any]], field_map: FieldMap = MAP) -> tuple[list[Item], CatalogueStats]:
    stats = CatalogueStats()
    records = [Record(line, row, f"raw {line}", 1.0) for line, row in enumerate(rows, start=1)]
    outcomes = list(read_products(records, field_map, stats=stats))
    assert all(isinstance(outcome, Item) for outcome in outcomes)
    return [outcome for outcome in outcomes if isinstance(outcome, Item)], stats


def test_rows_join_the_row_that_they_name_wherever_it_is() -> None:
    items, stats = read(
        [
            {"id": "11", "parent": "1", "sku": "S", "price": 5, "stock": 0, "size": "S"},
            {"id": "2", "name": "Cup", "price": 3, "stock": 1},
            {"id": "1", "name": "Mug", "sku": "MUG", "colour": "red"},
            {"id": "12", "parent": "MUG", "sku": "M", "price": 7, "stock": 2, "size": "M"},
            {"id": "13", "parent": "id:1", "sku": "L", "price": 6, "stock": 2, "size": "L"},
        ]
    )
    cup, mug = items
    assert (cup.product.id, mug.product.id, mug.line, mug.raw) == ("2", "1", 3, "raw 3")
    assert mug.product == Product(
        id="1",
        title="Mug",
        price=7.0,
        available=True,
        attributes={"colour": "red", "size": ("S", "M", "L")},
        identifiers=("MUG", "11", "S", "12", "M", "13", "L"),
    )
    assert (stats.records, stats.merged) == (5, 3)


def test_rows_of_a_group_without_a_parent_are_one_product_under_the_first_id() -> None:
    items, _ = read(
        [
            {"id": "a", "parent": "g", "name": "Mug", "size": 1},
            {"id": "x", "name": "Cup"},
            {"id": "b", "parent": "g"},
        ]
    )
    assert [(item.product.id, item.product.identifiers) for item in items] == [("a", ("b",)), ("x", ())]


def test_a_group_can_be_kept_for_collapse() -> None:
    items, _ = read(
        [
            {"id": "a", "parent": "g", "name": "Mug"},
            {"id": "b", "parent": "g", "name": "Mug L"},
            {"id": "c", "name": "Cup"},
        ],
        replace(MAP, variants="keep"),
    )
    assert [(item.product.id, item.product.group) for item in items] == [("a", "g"), ("b", "g"), ("c", "")]


def test_neighbours_of_one_id_are_merged_where_the_id_is_the_group() -> None:
    field_map = replace(MAP, group="id")
    items, stats = read(
        [{"id": "1", "name": "Mug", "size": "S"}, {"id": "1", "size": "M"}, {"id": "2", "name": "Cup"}],
        field_map,
    )
    assert [item.product.attributes for item in items] == [{"size": ("S", "M")}, {}]
    assert stats.merged == 1


def test_a_variant_that_is_not_for_sale_is_left_out_alone_a_parent_with_all() -> None:
    rows = [
        {"id": "1", "name": "Mug", "price": 1},
        {"id": "11", "parent": "1", "size": "S", "status": "disabled"},
        {"id": "12", "parent": "1", "size": "M"},
        {"id": "2", "name": "Cup", "status": "draft"},
        {"id": "21", "parent": "2", "size": "S"},
    ]
    items, stats = read(rows)
    assert [(item.product.id, item.product.attributes) for item in items] == [("1", {"size": "M"})]
    assert {reason: count.count for reason, count in stats.left_out.items()} == {
        "status is disabled": 1,
        "status is draft": 2,
    }


def test_the_price_is_that_of_the_first_variant_that_can_be_bought() -> None:
    sold, first, dear = (
        Product("1", "Mug", price=price, available=available, currency="EUR")
        for price, available in ((5.0, False), (7.0, True), (9.0, True))
    )
    assert merge_products([sold, first, dear]).price == 7.0
    assert merge_products([sold, replace(first, available=False)]).price == 5.0
    assert merge_products([sold, replace(first, available=False)]).available is False
    assert merge_products([replace(sold, available=None), replace(first, available=None)]).available is None


def test_a_parent_says_nothing_about_stock_where_its_variants_do() -> None:
    parent = Product("1", "Mug", available=True)
    assert merge_products([parent, Product("2", price=5.0, available=False)]).available is False
    assert merge_products(
        [replace(parent, available=False), Product("2", price=5.0, available=True)]
    ).available


def test_more_variants_than_are_merged_are_left_out_and_counted() -> None:
    rows = [{"id": "1", "name": "Mug"}, *({"id": "1", "size": str(n)} for n in range(2100))]
    items, stats = read(rows, replace(MAP, group="id"))
    assert len(items) == 1
    assert stats.left_out["more than 2000 variants of a product"].count == 101
