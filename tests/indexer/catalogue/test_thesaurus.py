from pathlib import Path

import pytest

from indexer.catalogue.field_map import FieldMap
from indexer.catalogue.product_maker import ProductMaker
from indexer.catalogue.records import Record
from indexer.catalogue.thesaurus import Thesaurus, load_thesaurus
from mappings.domains import Concept, read_concepts
from mappings.types import Product

CONCEPTS = [
    Concept("abdominal_pain", ("abdominal pain", "tummy ache", "腹痛"), ("pain",)),
    Concept("pain", ("pain", "ache", "疼痛"), ("symptom",)),
    Concept("fever", ("fever", "high temperature", "发烧", "发热"), ("symptom",)),
    Concept("symptom", ("symptom",)),
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
    expanded = Thesaurus(CONCEPTS).expand(Product("1", title=title, description="x"))
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
    assert load_thesaurus("shop").concepts == []


def test_a_product_has_what_it_says_and_what_that_is_a_kind_of() -> None:
    expanded = Thesaurus(CONCEPTS).expand(Product("1", title="Tummy ache", description="high temperature"))
    assert expanded.concepts == ("abdominal_pain", "pain", "symptom", "fever")


def test_a_phrase_ends_at_a_comma_and_names_every_concept_of_its_words() -> None:
    concepts = [*CONCEPTS, Concept("HP:1", ("Fever",)), Concept("x", ("ache fever",))]
    named = [[each.id for each in phrase] for phrase in Thesaurus(concepts).find_phrases("an ache, fevers")]
    assert named == [["pain"], ["fever", "HP:1"]]


def test_a_circle_of_broader_concepts_ends() -> None:
    circle = [Concept("a", ("a",), ("b",)), Concept("b", ("b",), ("a",))]
    assert Thesaurus(circle).list_broader(circle[0]) == {"a": 0, "b": 1}


def test_a_file_says_what_words_mean_and_what_they_are_kinds_of(tmp_path: Path) -> None:
    file = tmp_path / "thesaurus.txt"
    file.write_text("Rye bread | 黑麦面包 < Bread | loaf # dark\n\nbread\n", encoding="utf-8")
    assert list(read_concepts(file)) == [
        Concept("rye_bread", ("Rye bread", "黑麦面包"), ("bread", "loaf")),
        Concept("bread", ("bread",)),
    ]
