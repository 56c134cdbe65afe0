"""The field map that a shop's documents suggest."""

from pathlib import Path

import pytest

from indexer.attach.documents import ShopProducts
from indexer.attach.sample import ShopSample, guess_shop_map, list_filled, load_shop_map
from indexer.catalogue.field_map import FieldMap
from mappings.errors import CatalogueError, SettingsError
from mappings.types import JsonObject
from tests.fakes.foreign_shops import HEADLESS, MAGENTO, THINGS, WOOCOMMERCE, ForeignShop


def sample_of(*documents: JsonObject) -> ShopSample:
    return ShopSample("shop", documents, list_filled(documents))


def sample_shop(shop: ForeignShop) -> ShopSample:
    return sample_of(*(shop.document(thing) for thing in THINGS))


def guess(*documents: JsonObject, language: str = "") -> FieldMap:
    return guess_shop_map(sample_of(*documents), language)


@pytest.mark.parametrize("shop", [MAGENTO, WOOCOMMERCE, HEADLESS], ids=lambda shop: shop.name)
def test_the_products_of_a_shop_are_read_by_a_guess(shop: ForeignShop) -> None:
    products = ShopProducts(guess_shop_map(sample_shop(shop)))
    for thing in THINGS:
        product = products.read(thing.sku, shop.document(thing))
        assert product
        assert (product.title, product.brand, product.category) == (thing.name, thing.brand, thing.category)
        assert product.description == thing.text
        assert thing.color in product.attributes.values()
        assert product.price in (thing.price, thing.price + 1)
        assert product.available


def test_a_language_is_chosen_by_its_name() -> None:
    products = ShopProducts(guess_shop_map(sample_shop(HEADLESS), "de"))
    product = products.read("x", HEADLESS.document(THINGS[0]))
    assert product
    assert product.title == "Falcon G15 notebook (deutsch)"
    suffixes = {"name_de": "Becher", "name_fr": "Tasse", "name_en": "Mug"}
    assert guess(suffixes, language="fr").title == ("name_fr",)
    assert guess(suffixes).title == ("name_en",)
    assert guess({"name_de_AT": "Häferl", "name_de_DE": "Becher"}, language="de-DE").title == ("name_de_DE",)


def test_a_label_beside_a_number_is_the_text() -> None:
    field_map = guess({"name": "Mug", "manufacturer": 17, "manufacturer_value": "Potter"})
    assert field_map.brand == ("manufacturer_value",)


def test_the_id_is_the_documents_own() -> None:
    field_map = guess({"id": 7, "sku": "A-1", "title": "Mug"})
    assert field_map.id == "_id"
    assert field_map.identifiers == ("sku",)


def test_attributes_are_not_taken_for_titles() -> None:
    field_map = guess({"specs": {"product_name": "x", "depth": 3}, "name": "Mug"})
    assert field_map.title == ("name",)
    assert field_map.attributes == ("specs",)


def test_without_a_text_the_fields_are_named() -> None:
    with pytest.raises(
        CatalogueError, match=r"no field looks like a title or description; it has foo, bar\.baz"
    ):
        guess({"foo": "Mug", "bar": {"baz": 1}})


def test_a_field_map_file_may_lead_into_objects_and_needs_no_id(tmp_path: Path) -> None:
    file = tmp_path / "map.toml"
    file.write_text('title = ["make.name", "kind"]\nbrand = "make"\n')
    sample = sample_of({"make": {"name": "Potter"}, "kind": ["mug", "cup"]})
    product = ShopProducts(load_shop_map(file, sample)).read("1", sample.documents[0])
    assert product
    assert (product.title, product.brand) == ("Potter mug cup", "Potter")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('title = "nmae"', "has no column nmae"),
        ('id = "sku"\ntitle = "name"', "leave id and preset out"),
        ('title = "name"\nfoo = "bar"', "unknown key 'foo'"),
        (
            'title = "title.fr"',
            r"has a text in title\.fr; the fields are name, sku, title\.de",
        ),
    ],
)
def test_a_wrong_field_map_file_is_refused(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "map.toml"
    file.write_text(text)
    with pytest.raises(SettingsError, match=message):
        load_shop_map(file, sample_of({"name": "Mug", "sku": "A-1", "title": {"de": "Becher"}}))


def test_an_empty_index_is_to_be_attached_later() -> None:
    with pytest.raises(CatalogueError, match="shop has neither documents nor fields"):
        guess()


def test_a_document_without_a_text_is_no_product() -> None:
    assert ShopProducts(FieldMap("_id", title=("name",))).read("1", {"name": " ", "price": 3}) is None
