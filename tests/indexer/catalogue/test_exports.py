"""Exports of real shop systems, a few rows each, read with nothing said about their columns."""

import json
from dataclasses import fields
from pathlib import Path

import pytest

from indexer.catalogue.field_map import FieldMap, field_map_from
from indexer.catalogue.guessing import guess_field_map
from indexer.catalogue.presets import PRESETS
from indexer.catalogue.products import read_products
from indexer.catalogue.records import Item, Reject
from indexer.catalogue.stats import CatalogueStats
from indexer.sources.files import open_catalogue
from mappings.errors import SettingsError
from mappings.types import JsonObject, Product

EXPORTS = Path(__file__).parent / "exports"


def read(name: str, preset: str = "") -> tuple[dict[str, Product], CatalogueStats, str]:
    """Return the products by id, the stats and the preset's name of an export."""
    catalogue, stats = open_catalogue(EXPORTS / name), CatalogueStats()
    field_map = guess_field_map(catalogue, preset=preset)
    outcomes = list(read_products(catalogue.records(), field_map, stats=stats))
    assert [outcome for outcome in outcomes if isinstance(outcome, Reject)] == []
    assert stats.unreadable == {}
    products = {item.product.id: item.product for item in outcomes if isinstance(item, Item)}
    assert field_map_from(field_map.as_json(), "as recorded") == field_map
    return products, stats, field_map.preset


def expected(name: str) -> JsonObject:
    """Return what an export holds: preset, products, and what is left out, from `exports/expected.json`."""
    answers: dict[str, JsonObject] = json.loads((EXPORTS / "expected.json").read_text())
    return answers[name]


NAMES = sorted(json.loads((EXPORTS / "expected.json").read_text()))


@pytest.mark.parametrize("name", NAMES)
def test_an_export_is_read_right(name: str) -> None:
    products, _, preset = read(name)
    answer = expected(name)
    assert preset == answer["preset"]
    assert products.keys() == answer["products"].keys()
    for product_id, product in products.items():
        fields = ("title", "price", "currency", "available", "image", "category")
        read_fields = {field: getattr(product, field) for field in fields}
        wanted = answer["products"][product_id]
        assert read_fields == {**dict.fromkeys(fields, ""), "price": None, "available": None} | {
            field: wanted[field] for field in fields if field in wanted
        }


@pytest.mark.parametrize("name", NAMES)
def test_options_properties_and_numbers_of_all_variants(name: str) -> None:
    products = read(name)[0]
    for product_id, wanted in expected(name)["products"].items():
        if "attributes" in wanted:
            assert json.loads(json.dumps(products[product_id].attributes)) == wanted["attributes"]
        if "identifiers" in wanted:
            assert list(products[product_id].identifiers) == wanted["identifiers"]


@pytest.mark.parametrize("name", NAMES)
def test_what_is_left_out_is_counted(name: str) -> None:
    left_out = read(name)[1].left_out
    assert {reason: count.count for reason, count in left_out.items()} == expected(name).get("left_out", {})


def test_google_items_stay_and_have_their_group() -> None:
    products = read("google_merchant.tsv")[0]
    assert [product.group for product in products.values()] == ["G1", "G1", ""]


@pytest.mark.parametrize(
    ("name", "family"),
    [
        ("shopify.csv", "shopify"),
        ("shopify.json", "shopify"),
        ("magento.csv", "magento"),
        ("shopware5.csv", "shopware"),
    ],
)
def test_a_preset_can_be_forced_by_its_family(name: str, family: str) -> None:
    assert read(name, preset=family)[2] == expected(name)["preset"]


def test_an_unknown_preset_is_refused_with_those_there_are() -> None:
    with pytest.raises(SettingsError, match=r"there is no preset 'shoppify' .*shopify-csv"):
        read("shopify.csv", preset="shoppify")


def test_presets_have_names_of_their_own() -> None:
    assert len({preset.name for preset in PRESETS}) == len(PRESETS)


def test_the_readme_names_every_preset_and_every_key_of_the_field_map() -> None:
    readme = (Path(__file__).parents[3] / "indexer/README.md").read_text()
    for name in [preset.name for preset in PRESETS] + [field.name for field in fields(FieldMap)]:
        assert f"`{name}`" in readme, name
