import pytest

from reranker.understanding.demands import PresenceDemand
from reranker.understanding.query import understand
from reranker.understanding.vocabulary import CatalogueVocabulary


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
