from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from indexer.catalogue.field_map import FieldMap
from indexer.catalogue.guessing import guess_field_map
from indexer.catalogue.products import read_products
from indexer.catalogue.records import Item, Record, Reject
from indexer.catalogue.stats import CatalogueStats
from indexer.sources.files import open_catalogue
from indexer.store.id_set import IdSet
from mappings.types import Product

MAP = FieldMap(
    id="id",
    title=("name", "variant"),
    description=("text",),
    brand=("maker",),
    category=("area", "aisle"),
    price=("cents",),
    price_scale=0.01,
    available=("stock",),
    image=("photos",),
    url="link",
    attributes=("specs", "attr_b_*", "attr_n_*"),
)


def read(*rows: dict[str, Any], simplified: bool = False) -> list[Item | Reject]:
    records = [Record(line, row, f"raw {line}", line / len(rows)) for line, row in enumerate(rows, start=1)]
    return list(read_products(records, MAP, simplified))


def test_every_field_is_taken_and_cleaned() -> None:
    row = {
        "id": 17,
        "name": "Mug&nbsp;™",
        "variant": "blue",
        "text": "<p>Holds ½ l</p>",
        "maker": "ＡＣＭＥ",
        "area": "Kitchen",
        "aisle": ["Cups", "Mugs"],
        "cents": 1250,
        "stock": "in stock",
        "photos": ["http://a/1.jpg", "http://a/2.jpg"],
        "link": "http://a/p?x=1",
        "attr_b_dishwasher_safe": True,
        "attr_n_height": 9.5,
        "specs": {"glaze_colour": "Blue", "lid": None},
        "ignored": "yes",
    }
    (item,) = read(row)
    assert item == Item(
        Product(
            id="17",
            title="Mug blue",
            brand="ACME",
            category="Kitchen > Cups > Mugs",
            description="Holds 1/2 l",
            attributes={"dishwasher safe": True, "height": 9.5, "glaze colour": "Blue"},
            price=12.5,
            available=True,
            image="http://a/1.jpg",
            url="http://a/p?x=1",
        ),
        1,
        "raw 1",
        1.0,
    )


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"name": "a"}, "no id"),
        ({"id": "1", "maker": "ACME", "name": " <br> "}, "no text"),
        ({"id": ["1"], "name": "a"}, "wrong type: id"),
        ({"id": "1", "name": {"de": ""}}, "no text"),
    ],
)
def test_a_bad_record_becomes_a_reject_and_reading_goes_on(row: dict[str, Any], reason: str) -> None:
    bad, good = read(row, {"id": "2", "name": "b"})
    assert isinstance(bad, Reject)
    assert reason in bad.reason
    assert (bad.line, bad.raw, bad.kind) == (1, "raw 1", "record")
    assert isinstance(good, Item)


def test_a_cell_that_can_not_be_read_is_left_empty_and_counted() -> None:
    row = {"id": "1", "name": "a", "cents": "plenty", "stock": "ask Bob", "photos": 5, "attr_n_size": b"x"}
    stats = CatalogueStats()
    records = [Record(7, row, "", 1.0), Record(8, {"id": "2", "name": "b", "stock": "ask Bob"}, "", 1.0)]
    first, second = read_products(records, MAP, stats=stats)
    assert isinstance(first, Item)
    assert first.product == Product(id="1", title="a")
    assert isinstance(second, Item)
    assert {name: count.count for name, count in stats.unreadable.items()} == {
        "price": 1,
        "available": 2,
        "image": 1,
        "attributes": 1,
    }
    assert stats.unreadable["available"].examples == {"'ask Bob'": 7}
    assert stats.unreadable_share("available") == 1.0
    assert stats.as_json()["unreadable"]["price"] == {
        "count": 1,
        "examples": [{"line": 7, "value": "'plenty'"}],
    }


@pytest.mark.parametrize(
    ("cells", "reason"),
    [
        ({"state": "Draft"}, "state is Draft"),
        ({"state": False}, "state is False"),
        ({"state": "archiviert"}, "state is archiviert"),
        ({"seen": "Not Visible Individually"}, "seen is Not Visible Individually"),
        ({"until": "2020-02-29"}, "until is past"),
    ],
)
def test_what_is_not_for_sale_is_left_out_and_counted(cells: dict[str, Any], reason: str) -> None:
    field_map = replace(MAP, status=("state",), visibility=("seen",), ends=("until",))
    stats = CatalogueStats()
    rows = [
        {"id": "1", "name": "a", **cells},
        {"id": "2", "name": "b", "state": "active", "until": "2999-01-01"},
    ]
    items = list(read_products([Record(1, row, "", 1.0) for row in rows], field_map, stats=stats))
    assert [item.product.id for item in items if isinstance(item, Item)] == ["2"]
    assert stats.left_out[reason].examples == {"1": 1}
    assert any(reason in line for line in stats.lines())


def test_an_unknown_status_leaves_the_product_in() -> None:
    stats = CatalogueStats()
    field_map = replace(MAP, status=("state",))
    (item,) = read_products(
        [Record(1, {"id": "1", "name": "a", "state": "shiny"}, "", 1.0)], field_map, stats=stats
    )
    assert isinstance(item, Item)
    assert stats.unreadable["status"].count == 1


def test_the_sale_price_counts_while_the_sale_lasts() -> None:
    field_map = replace(MAP, price=("sale", "cents"), sale_dates=("from", "to"), price_scale=1.0)
    rows: list[dict[str, Any]] = [
        {"sale": "5", "cents": "9"},
        {"sale": "", "cents": "9"},
        {"sale": "0.00", "cents": "9"},
        {"sale": "5", "cents": "9", "from": "2999-01-01"},
        {"sale": "5", "cents": "9", "from": "2020-01-01", "to": "2020-02-01"},
        {"sale": "5", "cents": "9", "from": "2020-01-01", "to": "2999-02-01"},
        {"sale": "plenty", "cents": "9"},
    ]
    records = [Record(n, {"id": n, "name": "a", **row}, "", 1.0) for n, row in enumerate(rows)]
    prices = [item.product.price for item in read_products(records, field_map) if isinstance(item, Item)]
    assert prices == [5, 9, 9, 9, 9, 5, 9]


def test_a_product_keeps_a_bounded_number_of_attributes() -> None:
    row = {"id": "1", "name": "a", "specs": {f"name {n}": n for n in range(60_000)}}
    (item,) = read(row)
    assert isinstance(item, Item)
    assert len(item.product.attributes) == 500


def test_the_first_of_an_id_is_kept() -> None:
    found = read({"id": "1", "name": "a"}, {"id": " 1 ", "name": ""}, {"id": 1, "name": "c"})
    assert isinstance(found[0], Item)
    assert [reject.kind for reject in found[1:] if isinstance(reject, Reject)] == ["duplicate", "duplicate"]
    assert isinstance(found[2], Reject)
    assert found[2].reason == "duplicate of id '1' on line 1, which is kept"


def test_a_bad_record_does_not_hold_its_id() -> None:
    assert [type(found) for found in read({"id": "1"}, {"id": "1", "name": "a"})] == [Reject, Item]


def test_yes_or_no_gives_way_to_a_value_of_the_same_name() -> None:
    for row in (
        {"attr_b_height": True, "attr_n_height": 110.0},
        {"attr_n_height": 110.0, "attr_b_height": True},
    ):
        (item,) = read({"id": "1", "name": "a", **row})
        assert isinstance(item, Item)
        assert item.product.attributes == {"height": 110.0}


def test_a_repeated_part_is_joined_once() -> None:
    (item,) = read({"id": "1", "name": "Mug", "variant": "Mug"})
    assert isinstance(item, Item)
    assert item.product.title == "Mug"


def test_simplified_reaches_every_text() -> None:
    pytest.importorskip("opencc")
    (item,) = read({"id": "1", "name": "耳機", "specs": {"顏色": "藍"}}, simplified=True)
    assert isinstance(item, Item)
    assert item.product.title == "耳机"
    assert item.product.attributes == {"颜色": "蓝"}


def test_attributes_are_in_the_order_of_their_names() -> None:
    (item,) = read(
        {"id": "1", "name": "a", "attr_n_width": 2, "specs": {"colour": "red"}, "attr_b_lid": True}
    )
    assert isinstance(item, Item)
    assert list(item.product.attributes.items()) == [("colour", "red"), ("lid", True), ("width", 2.0)]


def test_an_empty_cell_gives_way_to_a_full_one_of_the_same_name() -> None:
    for row in ({"attr_b_lid": "", "attr_n_lid": False}, {"attr_n_lid": False, "attr_b_lid": None}):
        (item,) = read({"id": "1", "name": "a", **row})
        assert isinstance(item, Item)
        assert item.product.attributes == {"lid": False}


def test_a_version_comes_along_where_the_map_names_its_column() -> None:
    rows = [
        {"id": "1", "name": "a", "rev": "7"},
        {"id": "2", "name": "b"},
        {"id": "2", "name": "c", "rev": 0},
    ]
    records = [Record(line, row, "", 1.0) for line, row in enumerate(rows, start=1)]
    found = list(read_products(records, replace(MAP, version="rev")))
    assert [item.version if isinstance(item, Item) else item.reason for item in found] == [7, "no version", 0]
    assert [item.version for item in read_products(records, MAP) if isinstance(item, Item)] == [None, None]


def test_ids_stay_in_what_the_caller_gave() -> None:
    records = [Record(line, {"id": str(line), "name": "a"}, "", 1.0) for line in (1, 2)]
    with IdSet() as seen:
        assert seen.add("2", 9) is None
        kept, duplicate = read_products(records, MAP, seen=seen)
        assert isinstance(kept, Item)
        assert isinstance(duplicate, Reject)
        assert duplicate.reason == "duplicate of id '2' on line 9, which is kept"
        assert "1" in seen
        assert "3" not in seen


def test_a_catalogue_of_thousands_of_attribute_columns_keeps_the_values_of_each_row() -> None:
    columns = {f"attr_{number}": "" for number in range(3000)}
    records = [Record(1, {"id": "1", "title": "Mug", **columns, "attr_2999": "blue"}, "", 1.0)]
    (item,) = read_products(records, FieldMap(id="id", title=("title",), attributes=("attr_*",)))
    assert isinstance(item, Item)
    assert item.product.attributes == {"2999": "blue"}


def test_numbers_that_a_spreadsheet_has_rounded_are_no_identifiers(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("id;title;ean;mpn\n1;Mug;4,00638E+12;E+12\n2;Cup;4006381333931;1E5\n")
    catalogue, stats = open_catalogue(tmp_path / "a.csv"), CatalogueStats()
    items = list(read_products(catalogue.records(), guess_field_map(catalogue), stats=stats))
    numbers = [item.product.identifiers for item in items if isinstance(item, Item)]
    assert numbers == [("E+12",), ("4006381333931", "1E5")]
    assert stats.unreadable["identifiers"].count == 1
