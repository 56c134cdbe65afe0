from reranker.understanding.demands import TypeDemand
from reranker.understanding.query import understand
from reranker.understanding.vocabulary import CatalogueVocabulary
from tests.fakes.small_catalogue import learn_titles


def test_a_word_of_an_attribute_may_be_part_of_a_type() -> None:
    vocabulary = learn_titles("power cable 2 m", "hdmi cable 2 m", **{"power cable length": 2.0})
    demands = understand("2m power cable", vocabulary).demands
    assert [d.words for d in demands if isinstance(d, TypeDemand)] == ["power cable"]


def test_what_stands_before_for_names_the_product_or_nothing_does(vocabulary: CatalogueVocabulary) -> None:
    def name(query: str) -> list[tuple[str, ...]]:
        return [d.stems for d in understand(query, vocabulary).demands if isinstance(d, TypeDemand)]

    assert name("case for notebook") == [("case",)]
    assert name("gizmo for notebook") == []
    assert name("notebook gizmo") == [("notebook",)]
