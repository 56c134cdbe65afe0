import pytest

from mappings.types import Product
from reranker.understanding.demands import TypeDemand
from reranker.understanding.learning import learn_vocabulary
from reranker.understanding.query import understand
from reranker.understanding.vocabulary import CatalogueVocabulary


def _learn_chargers() -> CatalogueVocabulary:
    return learn_vocabulary(
        Product(f"{noun}-{i}", f"{brand} {noun} {brand[0]}{i}", brand, attributes=attributes)
        for noun, attributes in (("charger", {}), ("notebook", {"charger": True}), ("bag", {}))
        for i in range(12)
        for brand in (("Acme", "Bolt", "Cobra")[i % 3],)
    )


@pytest.mark.parametrize(
    ("query", "kinds", "thing"),
    [
        ("charger for notebook", ["type"], "charger"),
        ("charger", ["type"], "charger"),
        ("notebook with charger", ["type", "feature"], "notebook"),
    ],
)
def test_what_is_sought_is_not_taken_for_a_feature(query: str, kinds: list[str], thing: str) -> None:
    demands = understand(query, _learn_chargers()).demands
    assert [demand.kind for demand in demands] == kinds
    assert [demand.stems for demand in demands if isinstance(demand, TypeDemand)] == [(thing,)]
