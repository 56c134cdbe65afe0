import pytest

from indexer.catalogue.field_map import FieldMap
from indexer.catalogue.product_maker import ProductMaker
from indexer.catalogue.records import Record
from indexer.catalogue.thesaurus import Thesaurus, load_thesaurus
from mappings.types import Product

GROUPS = [
    ("abdominal pain", "tummy ache", "腹痛"),
    ("pain", "ache", "疼痛"),
    ("fever", "high temperature", "发烧", "发热"),
]


@pytest.mark.parametrize(
    ("title", "added"),
    [
        ("Abdominal pain", "tummy ache, 腹痛"),
        ("Fevers of unknown origin", "high temperature, 发烧, 发热"),
        ("小儿发热", "fever, high temperature, 发烧"),
        ("Chest pain", "ache, 疼痛"),
        ("Feverfew", ""),
    ],
)
def test_a_product_gets_the_other_words_for_what_it_says(title: str, added: str) -> None:
    expanded = Thesaurus(GROUPS).expand(Product("1", title=title, description="x"))
    assert expanded.description == (f"x · {added}" if added else "x")


def test_a_product_is_the_same_where_there_are_no_words() -> None:
    product = Product("1", title="fever")
    assert Thesaurus().expand(product) is product


def test_a_field_map_names_the_domain_whose_words_are_added() -> None:
    record = Record(1, {"id": "1", "t": "Government bond"}, "", 0.0)
    with_words = ProductMaker(FieldMap("id", title=("t",), domain="finance")).product("1", record)
    without = ProductMaker(FieldMap("id", title=("t",))).product("1", record)
    assert "债券" in with_words.description
    assert without.description == ""
    assert load_thesaurus("shop").groups == []
