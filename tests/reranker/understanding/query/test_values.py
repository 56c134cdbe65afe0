import pytest

from mappings.types import Product
from reranker.understanding.demands import TypeDemand, ValueDemand
from reranker.understanding.learning import learn_vocabulary
from reranker.understanding.query import understand
from reranker.understanding.vocabulary import CatalogueVocabulary


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
