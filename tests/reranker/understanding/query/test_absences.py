import pytest

from mappings.types import Product
from reranker.understanding.demands import PresenceDemand
from reranker.understanding.interpreter import QueryInterpreter
from reranker.understanding.learning import learn_vocabulary
from reranker.understanding.query import understand
from reranker.understanding.vocabulary import CatalogueVocabulary
from tests.fakes.small_catalogue import learn_titles
from tests.reranker.understanding.test_adjustment import encode_by_words, rank


@pytest.mark.parametrize(
    "query", ["mouse without cable", "mouse no wire", "maus ohne kabel", "mouse with no cord", "鼠标 不要线"]
)
def test_exclusions(vocabulary: CatalogueVocabulary, query: str) -> None:
    [absence] = [d for d in understand(query, vocabulary).demands if isinstance(d, PresenceDemand)]
    assert absence.kind == "absence"
    assert "wireless" in absence.instead


def test_an_excluded_attribute_is_found_by_its_name(vocabulary: CatalogueVocabulary) -> None:
    [absence] = [
        d
        for d in understand("notebook without touch screen", vocabulary).demands
        if isinstance(d, PresenceDemand)
    ]
    assert absence.attributes == ("touchscreen",)


def test_an_exclusion_ends_with_what_is_excluded(vocabulary: CatalogueVocabulary) -> None:
    demands = understand("mouse without cable pink", vocabulary).demands
    assert [d.stems for d in demands if isinstance(d, PresenceDemand)] == [("cabl",)]


@pytest.mark.parametrize(
    ("query", "stems", "core"),
    [
        ("sugar-free gum", ("sugar",), "gum"),
        ("sugar free gum", ("sugar",), "gum"),
        ("sugarless gum", ("sugar",), "gum"),
        ("zuckerfreie gum", ("zucker",), "gum"),
        ("gum except mint", ("mint",), "gum"),
        ("cordless gum", ("cord",), "gum"),
    ],
)
def test_what_a_thing_is_free_of(query: str, stems: tuple[str, ...], core: str) -> None:
    understanding = understand(query, learn_titles("mint gum", "seamless gum"))
    assert [d.stems for d in understanding.demands if isinstance(d, PresenceDemand)] == [stems]
    assert understanding.core == core


@pytest.mark.parametrize(
    "query", ["seamless gum", "hands free gum", "stainless gum", "sugar less than 5 g gum"]
)
def test_other_words_that_end_so_exclude_nothing(query: str) -> None:
    understanding = understand(query, learn_titles("mint gum", "seamless gum"))
    assert not any(isinstance(demand, PresenceDemand) for demand in understanding.demands)


@pytest.mark.parametrize(
    "query", ["gluten-free bar", "gluten free bar", "bar without gluten", "bar no gluten"]
)
def test_an_attribute_may_say_itself_that_a_thing_is_absent(query: str) -> None:
    bars = [
        Product(f"{i}", f"Acme bar B{i}", "Acme", attributes={"gluten free": i % 2 == 0}) for i in range(12)
    ]
    interpreter = QueryInterpreter(learn_vocabulary(bars), encode_by_words)
    assert all(product.attributes["gluten free"] for product in rank(interpreter, bars, query)[:6])
