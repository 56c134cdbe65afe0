import pytest

from mappings.types import Product
from reranker.understanding.learning import learn_vocabulary
from reranker.understanding.query import understand
from reranker.understanding.vocabulary import CatalogueVocabulary
from tests.fakes.small_catalogue import make_small_catalogue


def test_nothing_is_understood_of_prose(vocabulary: CatalogueVocabulary) -> None:
    assert understand("word " * 100, vocabulary).demands == ()
    assert understand("", vocabulary).demands == ()


@pytest.mark.parametrize(("query", "is_checked"), [("notebook i7", True), ("wireless mouse", False)])
def test_what_products_are_named_by_is_no_property(query: str, is_checked: bool) -> None:
    vocabulary = learn_vocabulary([
        *make_small_catalogue(),
        *(Product(f"m{i}", f"Acme wireless mouse {i}", "Acme") for i in range(20)),
    ])  # fmt: skip
    assert understand(query, vocabulary).is_checked == is_checked


@pytest.mark.parametrize(
    ("query", "kinds"),
    [
        ("wireless mouse under 20", {"price"}),
        ("wireless mouse", {"value", "type"}),
        ("notebook i7", {"value"}),
    ],
)
def test_products_are_sought_by_precise_demands(query: str, kinds: set[str]) -> None:
    vocabulary = learn_vocabulary([
        *make_small_catalogue(),
        *(Product(f"m{i}", f"Acme wireless mouse {i}", "Acme") for i in range(20)),
    ])  # fmt: skip
    assert {demand.kind for demand in understand(query, vocabulary).sought} == kinds
