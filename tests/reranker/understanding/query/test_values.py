import pytest

from mappings.types import Product
from reranker.understanding.demands import TypeDemand, ValueDemand
from reranker.understanding.learning import learn_vocabulary
from reranker.understanding.query import understand
from reranker.understanding.vocabulary import CatalogueVocabulary
from tests.fakes.small_catalogue import learn_titles


def test_values_and_types(vocabulary: CatalogueVocabulary) -> None:
    demands = understand("grey notebook i7", vocabulary).demands
    [colour, processor] = [demand for demand in demands if isinstance(demand, ValueDemand)]
    assert (colour.kind, processor.kind) == ("colour", "value")
    assert "gray" in colour.stems[0]
    assert processor.attributes == ("processor family",)
    [named] = [demand for demand in demands if isinstance(demand, TypeDemand)]
    assert named.stems == ("notebook",)


@pytest.mark.parametrize("query", ["notebook i7 processor", "i7 processor notebook"])
def test_a_value_may_stand_beside_its_attributes_name(vocabulary: CatalogueVocabulary, query: str) -> None:
    demands = understand(query, vocabulary).demands
    assert [d.attributes for d in demands if isinstance(d, ValueDemand)] == [("processor family",)]
    assert [d.words for d in demands if isinstance(d, TypeDemand)] == ["notebook"]


def test_a_number_may_be_part_of_a_value() -> None:
    families = ("Duplex 2 Max", "Duplex 4 Max", "Solo")
    vocabulary = learn_vocabulary([
        Product(f"{i}", f"Acme notebook {family} {i % 9} GB", "Acme", attributes={"family": family})
        for i, family in enumerate(families * 8)
    ])  # fmt: skip
    demands = understand("duplex 2 max notebook", vocabulary).demands
    [value] = [d for d in demands if isinstance(d, ValueDemand)]
    assert [sorted(stems) for stems in value.stems] == [["duplex"], ["2"], ["max"]]


def test_women_are_no_fact_where_no_attribute_names_them(vocabulary: CatalogueVocabulary) -> None:
    assert not understand("notebook for women", vocabulary).is_checked


@pytest.mark.parametrize("query", ["grey mouse", "gray mouse", "graue maus", "ratón gris", "灰色鼠标"])
def test_a_colour_in_other_words(vocabulary: CatalogueVocabulary, query: str) -> None:
    [colour] = [d for d in understand(query, vocabulary).demands if isinstance(d, ValueDemand)]
    assert (colour.kind, set(colour.attributes)) == ("colour", {"product colour", "cable colour"})
    assert {"grey", "gray"} <= colour.stems[0]


@pytest.mark.parametrize(
    ("query", "kind"),
    [("silk scarf", "material"), ("scarf for women", "gender"), ("kids scarf", "age"), ("scarf xl", "size")],
)
def test_values_of_each_kind(vocabulary: CatalogueVocabulary, query: str, kind: str) -> None:
    assert [d.kind for d in understand(query, vocabulary).demands if isinstance(d, ValueDemand)] == [kind]


@pytest.mark.parametrize("query", ["chocolate bar", "bar chocolate", "chocolate"])
def test_what_is_called_as_a_colour_is_a_thing_unless_products_have_that_colour(query: str) -> None:
    bars = [f"chocolate bar {number}" for number in range(4)]
    shoes = [f"brown shoe {number}" for number in range(4)]
    things = learn_titles(*bars, *shoes)
    assert not any(isinstance(demand, ValueDemand) for demand in understand(query, things).demands)
    colours = learn_titles(*(f"chocolate boot {number}" for number in range(4)), colour="Chocolate")
    assert [d.kind for d in understand(query, colours).demands if isinstance(d, ValueDemand)] == ["colour"]


@pytest.mark.parametrize(
    ("query", "kinds"),
    [
        ("toilet paper", ["type"]),
        ("paper", ["type"]),
        ("paper bag", ["material", "type"]),
        ("paper kite", ["material", "type"]),
    ],
)
def test_a_material_may_be_what_the_product_is_called(query: str, kinds: list[str]) -> None:
    vocabulary = learn_titles("toilet paper", "bag", "printing paper")
    assert [demand.kind for demand in understand(query, vocabulary).demands] == kinds


def test_a_value_with_a_number_is_a_property() -> None:
    vocabulary = learn_titles(
        *(f"Corex 2 Duo processor C{number}" for number in range(4)),
        *(f"tower computer T{number} Corex 2 Duo" for number in range(4)),
        family="Corex 2 Duo",
    )
    assert "duo" in vocabulary.modifiers
    assert understand("corex 2 duo computer", vocabulary).is_checked
