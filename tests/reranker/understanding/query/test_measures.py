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
