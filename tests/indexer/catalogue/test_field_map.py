import json
from dataclasses import asdict
from pathlib import Path

import pytest

from indexer.catalogue.attributes import AttributeNames
from indexer.catalogue.field_map import (
    FieldMap,
    add_operation,
    field_map_from,
    load_field_map,
)
from indexer.sources.files import CatalogueFile, open_catalogue
from mappings.errors import SettingsError

DEMO = Path(__file__).parents[3] / "plugin_api/commands/demo/data"


@pytest.fixture
def catalogue(tmp_path: Path) -> CatalogueFile:
    (tmp_path / "a.csv").write_text("sku,name,variant,cents,colour,attr_size\n")
    return open_catalogue(tmp_path / "a.csv")


def load(text: str, tmp_path: Path, catalogue: CatalogueFile) -> FieldMap:
    (tmp_path / "map.toml").write_text(text)
    return load_field_map(tmp_path / "map.toml", catalogue)


def test_a_map_is_read_and_printed_as_it_would_be_written(tmp_path: Path, catalogue: CatalogueFile) -> None:
    text = """id = "sku"
title = ["name", "variant"]
price = "cents"
price_scale = 0.01
attributes = ["colour", "attr_*"]"""
    field_map = load(text, tmp_path, catalogue)
    assert field_map == FieldMap(
        id="sku",
        title=("name", "variant"),
        price=("cents",),
        price_scale=0.01,
        attributes=("colour", "attr_*"),
    )
    assert field_map.as_toml() == text


def test_every_problem_is_named_at_once(tmp_path: Path, catalogue: CatalogueFile) -> None:
    with pytest.raises(SettingsError) as error:
        load('titel = "name"\nprice = 3\nprice_scale = true\nbrand = 3', tmp_path, catalogue)
    for part in (
        "'titel'",
        "price = ",
        "price_scale = True",
        "brand = 3",
        "no id",
        "no title",
        "known: id, preset, title",
    ):
        assert part in str(error.value)


def test_missing_columns_are_named_with_those_there_are(tmp_path: Path, catalogue: CatalogueFile) -> None:
    with pytest.raises(SettingsError, match=r"no column brand, titel; it has sku, name, variant"):
        load('id = "sku"\ntitle = "titel"\nbrand = "brand"\nattributes = "no_*"', tmp_path, catalogue)


@pytest.mark.parametrize("text", ["id = ", "id = 'sku'\nid = 'sku'"])
def test_a_file_that_is_no_toml(tmp_path: Path, catalogue: CatalogueFile, text: str) -> None:
    with pytest.raises(SettingsError, match="can't be read"):
        load(text, tmp_path, catalogue)


def test_a_missing_file(tmp_path: Path, catalogue: CatalogueFile) -> None:
    with pytest.raises(SettingsError, match="does not exist"):
        load_field_map(tmp_path / "none.toml", catalogue)


def test_the_demo_map_fits_the_demo_catalogue() -> None:
    field_map = load_field_map(DEMO / "electronics.toml", open_catalogue(DEMO / "electronics.jsonl.gz"))
    assert field_map.brand == ("supplier",)
    assert field_map.price_scale == 0.01


def test_attribute_names_are_tidy() -> None:
    names = AttributeNames(("colour", "attr_t_*", "attr_*", "*_spec"))
    assert names.name_of("attr_t_product_colour") == "product colour"
    assert names.name_of("attr_t_intel__vt_x_") == "intel vt x"
    assert names.name_of("attr_weight.net=g") == "weight net g"
    assert names.name_of("colour") == "colour"
    assert names.name_of("size_spec") == "size spec"
    assert names.name_of("title") is None
    assert names.name_of("attr_t_") == "attr t"


def test_brackets_in_column_names_are_no_pattern() -> None:
    assert AttributeNames(("size[*",)).name_of("size[cm]") == "cm]"
    assert AttributeNames(("size[cm]",)).name_of("size[cm]") == "size[cm]"


def test_a_version_and_an_operation(tmp_path: Path, catalogue: CatalogueFile) -> None:
    text = 'id = "sku"\ntitle = "name"\nversion = "cents"\noperation = "what"'
    field_map = load(text, tmp_path, catalogue)  # a whole catalogue may lack the operation's column
    assert (field_map.version, field_map.operation) == ("cents", "what")
    assert field_map.columns() == ("name", "sku", "cents", "what")
    assert field_map.as_toml() == text
    with pytest.raises(SettingsError, match="no column rev; it has"):
        load('id = "sku"\ntitle = "name"\nversion = "rev"', tmp_path, catalogue)


def test_changes_need_only_the_id(tmp_path: Path, catalogue: CatalogueFile) -> None:
    (tmp_path / "map.toml").write_text('id = "sku"\ntitle = "titel"\nprice = "preis"\nversion = "rev"')
    field_map = load_field_map(tmp_path / "map.toml", catalogue, partial=True)
    assert field_map == FieldMap("sku", title=("titel",), price=("preis",), version="rev", operation="_op")
    (tmp_path / "map.toml").write_text('id = "sku"\nprice = "cents"')
    assert load_field_map(tmp_path / "map.toml", catalogue, partial=True).price == ("cents",)
    (tmp_path / "map.toml").write_text('id = "ean"\ntitle = "name"')
    with pytest.raises(SettingsError, match="no column ean"):
        load_field_map(tmp_path / "map.toml", catalogue, partial=True)


@pytest.mark.parametrize("name", ["none.jsonl", "none.csv"])
def test_no_changes_at_all_are_no_mistake(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("")
    (tmp_path / "map.toml").write_text('id = "sku"\ntitle = "name"')
    empty = open_catalogue(tmp_path / name)
    assert load_field_map(tmp_path / "map.toml", empty, partial=True).id == "sku"
    with pytest.raises(SettingsError, match="it has no columns at all"):
        load_field_map(tmp_path / "map.toml", empty)


@pytest.mark.parametrize(
    ("named", "columns", "operation"),
    [
        ("what", ("_op",), "what"),
        ("", ("id", "_operation"), "_operation"),
        ("", ("id", "_operation", "_op"), "_op"),
        ("", ("id", "op", "operation"), "_op"),
    ],
)
def test_the_operation_of_changes(named: str, columns: tuple[str, ...], operation: str) -> None:
    assert add_operation(FieldMap("id", operation=named), columns).operation == operation


def test_a_map_comes_back_from_the_note_of_an_index() -> None:
    field_map = FieldMap(
        "sku", title=("name", "variant"), price=("cents",), price_scale=0.01, attributes=("a_*",)
    )
    note = json.loads(json.dumps({name: value for name, value in asdict(field_map).items() if value}))
    assert field_map_from(note, "index shop-1") == field_map
    with pytest.raises(SettingsError, match="index shop-1: unknown key 'new'"):
        field_map_from({**note, "new": 1}, "index shop-1")


def test_columns_that_are_never_attributes() -> None:
    names = AttributeNames(("*",), ("_op", ""))
    assert [names.name_of("_op"), names.name_of(""), names.name_of("_ops")] == [None, None, "ops"]


@pytest.mark.parametrize(
    ("name", "columns"),
    [("title", ("name", "variant")), ("price", ("cents",)), ("image", ()), ("brand", ())],
)
def test_the_columns_of_a_field(name: str, columns: tuple[str, ...]) -> None:
    assert FieldMap("id", title=("name", "variant"), price=("cents",)).columns_for(name) == columns
