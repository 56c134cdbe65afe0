import pytest

from reranker.understanding.demands import ModelDemand
from reranker.understanding.query import understand
from reranker.understanding.vocabulary import CatalogueVocabulary


@pytest.mark.parametrize("query", ["toner for hl-2140", "toner for HL2140", "for hl 2140", "hl-2140 toner"])
def test_model_numbers_however_written(vocabulary: CatalogueVocabulary, query: str) -> None:
    [model] = [d for d in understand(query, vocabulary).demands if isinstance(d, ModelDemand)]
    assert model.models[0] == "hl2140"


def test_a_size_is_no_model_number(vocabulary: CatalogueVocabulary) -> None:
    assert not [
        demand for demand in understand("size 11 rings", vocabulary).demands if demand.kind == "model"
    ]
