import csv
import gzip
import json
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import UTC, datetime
from itertools import islice, pairwise
from pathlib import Path
from typing import Any

import pytest

from indexer.catalogue.field_map import FieldMap, load_field_map
from indexer.catalogue.guessing import guess_field_map
from indexer.catalogue.products import read_products
from indexer.catalogue.records import Item, Record, Reject
from indexer.catalogue.stats import CatalogueStats
from indexer.catalogue.values import BadValue
from indexer.change.changes import (
    Change,
    ChangeKind,
    PartialUpdate,
    merge_product,
    read_changes,
    update_source,
)
from indexer.sources.files import open_catalogue
from indexer.store.documents import build_document, restore_product
from mappings.types import JsonObject, Product
from tests.fakes.fake_encoder import encode_text

DEMO = Path(__file__).parents[3] / "plugin_api/commands/demo/data"
MAP = FieldMap(
    id="id",
    title=("name", "variant"),
    description=("text",),
    brand=("maker",),
    category=("area", "aisle"),
    price=("cents",),
    price_scale=0.01,
    available=("stock",),
    image=("photo",),
    url="link",
    attributes=("specs", "attr_*"),
    version="rev",
    operation="do",
)
WHOLE: dict[str, Any] = {
    "id": "1",
    "name": "Mug",
    "variant": "blue",
    "text": "Holds ½ l",
    "maker": "ACME",
    "area": "Kitchen",
    "aisle": "Cups",
    "cents": 1250,
    "stock": True,
    "photo": "http://a/1.jpg",
    "link": "http://a/1",
    "attr_height": 9.5,
    "attr_colour": "Blue",
    "attr_lid": False,
    "attr_dishwasher_safe": True,
    "specs": {"glaze": "matt", "origin": "Stoke"},
    "rev": 7,
}


def read(*rows: dict[str, Any], default: ChangeKind = "upsert") -> list[Change | Reject]:
    records = [Record(line, row, f"raw {line}", line / len(rows)) for line, row in enumerate(rows, start=1)]
    return list(read_changes(records, MAP, default))


def change(row: dict[str, Any], default: ChangeKind = "upsert") -> Change:
    (found,) = read(row, default=default)
    assert isinstance(found, Change), found
    return found


def part(row: dict[str, Any]) -> PartialUpdate:
    found = change({"id": "1", "do": "update", **row}).part
    assert found is not None
    return found


def reason(row: dict[str, Any]) -> str:
    (found,) = read(row)
    assert isinstance(found, Reject), found
    return found.reason


def product(row: dict[str, Any], field_map: FieldMap = MAP) -> Product:
    (item,) = read_products([Record(1, row, "", 1.0)], field_map)
    assert isinstance(item, Item), item
    return item.product


def stored(product: Product) -> JsonObject:
    """The document as OpenSearch gives it back, with vectors that are the same for all."""
    body: JsonObject = json.loads(json.dumps(build_document(product, encode_text("same"), "m", 1, "byte")))
    return body


def write_csv(folder: Path, rows: list[dict[str, Any]]) -> Path:
    with (folder / "changes.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(dict.fromkeys(key for row in rows for key in row)))
        writer.writeheader()
        writer.writerows(rows)
    return folder / "changes.csv"


def write_jsonl(folder: Path, rows: list[dict[str, Any]]) -> Path:
    with gzip.open(folder / "changes.jsonl.gz", "wt", encoding="utf-8") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)
    return folder / "changes.jsonl.gz"


def write_parquet(folder: Path, rows: list[dict[str, Any]]) -> Path:
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    names = list(dict.fromkeys(key for row in rows for key in row))
    table = pyarrow.table({name: [row.get(name) for row in rows] for name in names})
    parquet.write_table(table, folder / "changes.parquet")
    return folder / "changes.parquet"


@pytest.mark.parametrize("write", [write_csv, write_jsonl, write_parquet])
def test_every_kind_of_file_brings_every_kind_of_change(
    tmp_path: Path, write: Callable[[Path, list[dict[str, Any]]], Path]
) -> None:
    when = "2026-01-31T10:00:00.250Z"
    rows = [
        {"_op": "", "id": "1", "title": "Mug", "price": 3.5, "attr_colour": "Blue", "_version": when},
        {"_op": "UPDATE", "id": "1", "title": "Big mug", "price": None, "attr_colour": "", "_version": when},
        {"_op": "Delete", "id": "1", "title": None, "price": None, "attr_colour": None, "_version": when},
        {"_op": "upsert", "id": "1", "title": None, "price": None, "attr_colour": None, "_version": when},
    ]
    catalogue = open_catalogue(write(tmp_path, rows))
    found = list(read_changes(catalogue.records(), guess_field_map(catalogue, partial=True)))
    changes = [event for event in found if isinstance(event, Change)]
    moment = int(datetime(2026, 1, 31, 10, 0, 0, 250_000, UTC).timestamp() * 1000)
    assert [(event.kind, event.id, event.version) for event in changes] == [
        ("upsert", "1", moment),
        ("update", "1", moment),
        ("delete", "1", moment),
    ]
    upsert, update, delete = changes
    assert upsert.product == Product("1", title="Mug", price=3.5, attributes={"colour": "Blue"})
    assert update.part == PartialUpdate({"title": "Big mug", "price": None}, {"colour": None})
    assert (upsert.part, update.product, delete.part, delete.product) == (None, None, None, None)
    assert [event.line for event in found] == ([2, 3, 4, 5] if write is write_csv else [1, 2, 3, 4])
    assert isinstance(found[3], Reject)
    assert "no text" in found[3].reason
    assert found[3].raw


def test_a_list_of_prices_needs_no_other_column(tmp_path: Path) -> None:
    (tmp_path / "map.toml").write_text('id = "sku"\ntitle = "name"\nprice = "cents"\nprice_scale = 0.01\n')
    (tmp_path / "a.csv").write_text("sku,cents\n1,250\n2,\n")
    catalogue = open_catalogue(tmp_path / "a.csv")
    field_map = load_field_map(tmp_path / "map.toml", catalogue, partial=True)
    found = list(read_changes(catalogue.records(), field_map, "update"))
    assert [event.part for event in found if isinstance(event, Change)] == [
        PartialUpdate({"price": 2.5}),
        PartialUpdate({"price": None}),
    ]


def test_a_list_of_deletions_is_just_ids(tmp_path: Path) -> None:
    (tmp_path / "gone.csv").write_text("id\n1\n\n2\n")
    catalogue = open_catalogue(tmp_path / "gone.csv")
    found = list(read_changes(catalogue.records(), guess_field_map(catalogue, partial=True), "delete"))
    assert [(event.kind, event.id) for event in found if isinstance(event, Change)] == [
        ("delete", "1"),
        ("delete", "2"),
    ]


@pytest.mark.parametrize(
    ("word", "kind"),
    [
        *(
            (word, "upsert")
            for word in ("upsert", "index", "create", "insert", "replace", " Index ", "INSERT")
        ),
        *((word, "update") for word in ("update", "partial", "patch", "Patch")),
        *((word, "delete") for word in ("delete", "remove", "DELETE")),
        *((word, "default") for word in ("", "  ", None)),
    ],
)
def test_what_operations_are_called(word: str | None, kind: str) -> None:
    row = {**WHOLE, "do": word}
    assert change(row).kind == ("upsert" if kind == "default" else kind)
    assert change(row, "delete").kind == ("delete" if kind == "default" else kind)


@pytest.mark.parametrize("word", ["zap", "up sert", 1, True, ["delete"], float("nan")])
def test_an_unknown_operation_is_named_with_those_that_are_known(word: object) -> None:
    found = reason({**WHOLE, "do": word})
    assert f"unknown operation {word!r} (known: upsert, index," in found
    assert found.endswith("delete, remove)")


def test_every_record_is_an_event_in_the_order_of_the_file() -> None:
    found = read(WHOLE, {"id": "1", "do": "delete"}, {"do": "delete"}, WHOLE)
    assert [event.kind if isinstance(event, Change) else event.reason for event in found] == [
        "upsert",
        "delete",
        "no id",
        "upsert",
    ]
    broken = Reject(9, "broken JSON", "{")
    assert list(read_changes([broken], MAP)) == [broken]


def test_where_a_change_came_from() -> None:
    _, second = read(WHOLE, WHOLE)
    assert isinstance(second, Change)
    assert (second.line, second.raw, second.share, second.version) == (2, "raw 2", 1.0, 7)


def test_a_version_that_is_not_given_is_the_callers() -> None:
    assert change({"id": "1", "do": "delete"}).version is None
    assert reason({"id": "1", "do": "delete", "rev": ""}) == "no version"
    assert "wrong type: version 'x'" in reason({"id": "1", "do": "delete", "rev": "x"})
    nothing_named = replace(MAP, version="", operation="")
    (found,) = read_changes([Record(1, {**WHOLE, "": "zap"}, "", 1.0)], nothing_named)
    assert isinstance(found, Change)
    assert (found.kind, found.version) == ("upsert", None)


def test_the_version_and_the_operation_are_no_attributes() -> None:
    field_map = FieldMap("id", title=("name",), attributes=("*",), version="rev", operation="do")
    row = {"id": "1", "name": "a", "rev": 1, "do": "", "colour": "red"}
    assert product(row, field_map).attributes == {"id": "1", "name": "a", "colour": "red"}


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ({}, "nothing to change"),
        ({"rev": 8, "unknown": 1}, "nothing to change"),
        ({"name": "Mug"}, "title is made of name and variant: send both"),
        ({"aisle": "Cups", "cents": 1}, "category is made of area and aisle: send both"),
        ({"cents": "plenty"}, "price 'plenty' is not a number"),
    ],
)
def test_a_part_that_can_not_be_used(row: dict[str, Any], expected: str) -> None:
    assert expected in reason({"id": "1", "do": "update", **row})


def test_a_cell_that_can_not_be_read_leaves_its_field_and_the_others_are_applied() -> None:
    stats = CatalogueStats()
    record = Record(3, {"id": "1", "do": "update", "stock": "ask Bob", "cents": 1550}, "", 1.0)
    (change,) = read_changes([record], MAP, stats=stats)
    assert isinstance(change, Change)
    assert change.part == PartialUpdate({"price": 15.5})
    assert stats.unreadable["available"].examples == {"'ask Bob'": 3}


def test_a_draft_deletes_its_product() -> None:
    field_map = replace(MAP, status=("state",))
    rows = [{"id": "1", "name": "Mug", "state": "draft"}, {"id": "2", "do": "update", "state": "archived"}]
    records = [Record(1, row, "", 1.0) for row in rows]
    changes = [change for change in read_changes(records, field_map) if isinstance(change, Change)]
    assert [(change.kind, change.id) for change in changes] == [("delete", "1"), ("delete", "2")]


def test_a_field_of_three_columns_wants_all() -> None:
    field_map = replace(MAP, title=("a", "b", "c"))
    (found,) = read_changes([Record(1, {"id": "1", "a": "x", "c": "y"}, "", 1.0)], field_map, "update")
    assert isinstance(found, Reject)
    assert found.reason == "title is made of a, b and c: send all"


CHANGED: list[dict[str, Any]] = [
    {"cents": 999},
    {"cents": None, "stock": None, "photo": None, "link": None},
    {"cents": 999, "stock": "sold out", "photo": ["http://a/2.jpg"], "link": " http://a/2 "},
    {"name": "Cup&nbsp;™", "variant": "red"},
    {"name": "Mug", "variant": None},
    {"name": None, "variant": "", "text": "<p>Only text</p>"},
    {"text": "", "maker": None},
    {"maker": "Ｚｅｎ", "area": "Home", "aisle": None},
    {"attr_height": 11},
    {"attr_height": None, "attr_colour": ""},
    {"attr_lid": True},
    {"attr_lid": "cork", "attr_dishwasher_safe": False},
    {"attr_a_new_one": "first by name", "attr_zz": 3.0},
    {"specs": {"glaze": "gloss", "origin": None, "foot": True}},
    {"specs": {"glaze": None, "origin": None}, "attr_glaze": "raku"},
    {
        "name": "Cup",
        "variant": "red",
        "cents": 1,
        "attr_colour": "Red",
        "specs": {"glaze": "x", "origin": "y"},
    },
]


@pytest.mark.parametrize("given", CHANGED)
def test_a_part_leads_to_what_the_whole_changed_record_does(given: dict[str, Any]) -> None:
    specs = {**WHOLE["specs"], **given.get("specs", {})}
    after = stored(product({**WHOLE, **given, "specs": specs}))
    before = stored(product(WHOLE))
    found = part(given)
    assert stored(merge_product(restore_product("1", before), found)) == after
    if not found.needs_encoder:
        assert update_source(before, found) == after
        assert before == stored(product(WHOLE))


@pytest.mark.parametrize("order", [1, -1])
def test_the_order_of_columns_does_not_matter(order: int) -> None:
    assert stored(product(dict(list(WHOLE.items())[::order]))) == stored(product(WHOLE))


def test_several_parts_in_turn_lead_to_the_whole() -> None:
    now, row = stored(product(WHOLE)), WHOLE
    for given in (given for given in CHANGED if "specs" not in given):
        try:
            now = stored(merge_product(restore_product("1", now), part(given)))
        except BadValue:
            assert "text" in given  # after the change that left nothing but the text
        else:
            row = {**row, **given}
    assert now == stored(product(row))


@pytest.mark.parametrize(
    ("given", "read"),
    [
        ({"cents": 1}, False),
        ({"cents": 1, "stock": 0, "photo": "", "link": None}, False),
        ({"name": "a", "variant": "b"}, True),
        ({"text": ""}, True),
        ({"maker": "a"}, True),
        ({"area": "a", "aisle": "b", "cents": 1}, True),
        ({"attr_x": None}, True),
    ],
)
def test_what_the_encoder_reads(given: dict[str, Any], read: bool) -> None:
    found = part(given)
    assert found.needs_encoder is read
    if read:
        with pytest.raises(ValueError, match="merge"):
            update_source({}, found)


def test_a_part_that_leaves_no_text_is_refused() -> None:
    nameless = part({"name": "", "variant": None})
    assert merge_product(product(WHOLE), nameless).title == ""
    with pytest.raises(BadValue, match="no text"):
        merge_product(product({**WHOLE, "text": ""}), nameless)


def electronics(most: int) -> Iterable[tuple[dict[str, Any], dict[str, Any]]]:
    """Pairs of records of the demo catalogue that follow each other."""
    catalogue = open_catalogue(DEMO / "electronics.jsonl.gz")
    rows = [dict(found.values) for found in islice(catalogue.records(), most) if isinstance(found, Record)]
    return pairwise(rows)


def test_real_records_changed_to_their_neighbours_by_parts() -> None:
    field_map = load_field_map(DEMO / "electronics.toml", open_catalogue(DEMO / "electronics.jsonl.gz"))
    count = 0
    for row, other in electronics(300):
        given = {**dict.fromkeys(row), **other, "id": row["id"]}
        (found,) = read_changes([Record(1, given, "", 1.0)], field_map, "update")
        assert isinstance(found, Change)
        assert found.part is not None
        now = merge_product(restore_product(row["id"], stored(product(row, field_map))), found.part)
        assert stored(now) == stored(product({**other, "id": row["id"]}, field_map))
        count += 1
    assert count == 299
