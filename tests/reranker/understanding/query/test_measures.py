import pytest

from reranker.understanding.demands import MeasureDemand
from reranker.understanding.query import understand
from reranker.understanding.vocabulary import CatalogueVocabulary
from tests.fakes.small_catalogue import learn_titles


def test_a_measure_belongs_to_the_attribute_that_the_query_names(vocabulary: CatalogueVocabulary) -> None:
    demands = understand("notebook 16gb ram", vocabulary).demands
    [measure] = [demand for demand in demands if isinstance(demand, MeasureDemand)]
    assert measure.named
    assert measure.attributes[0][0] == "internal memory"


def test_the_product_alone_does_not_say_what_is_measured() -> None:
    vocabulary = learn_titles('laptop bag for 15.6" laptops', "laptop 16 GB", **{"maximum size": 15.6})
    [measure] = [
        d for d in understand("10.1 inch laptop", vocabulary).demands if isinstance(d, MeasureDemand)
    ]
    assert not measure.named


@pytest.mark.parametrize("query", ["64gb memory card", "memory card 64 GB"])
def test_a_types_own_words_do_not_say_what_is_measured(query: str) -> None:
    vocabulary = learn_titles(
        "memory card 64 GB", "notebook 16 GB", **{"internal memory": 64.0, "capacity": 64.0}
    )
    [measure] = [d for d in understand(query, vocabulary).demands if isinstance(d, MeasureDemand)]
    assert not measure.named


def test_each_measure_has_its_own_company() -> None:
    memory = {"internal memory": 16.0, "ssd capacity": 512.0}
    vocabulary = learn_titles(*(f"notebook N{number} 16 GB RAM 512 GB SSD" for number in range(3)), **memory)
    demands = understand("notebook 16gb ram 512gb ssd", vocabulary).demands
    assert [d.attributes[0][0] for d in demands if isinstance(d, MeasureDemand)] == list(memory)
    assert vocabulary.numbers["ssd capacity"].beside == ("ssd",)


@pytest.mark.parametrize(
    ("query", "other", "dimension"),
    [
        ("27 inch monitor", "monitor 68.6 cm", "length"),
        ("notebook 1 TB", "1,000 GB notebook", "data"),
        ("cable 1.8 m", "6 ft cable", "length"),
        ("2 lb bag", "bag 907 g", "mass"),
    ],
)
def test_measures_are_converted(
    vocabulary: CatalogueVocabulary, query: str, other: str, dimension: str
) -> None:
    [one], [two] = (
        [d for d in understand(text, vocabulary).demands if isinstance(d, MeasureDemand)]
        for text in (query, other)
    )
    assert one.dimension == two.dimension == dimension
    assert one.low == pytest.approx(two.low, rel=0.02)
