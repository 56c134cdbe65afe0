from mappings.settings import SearchSettings
from plugin_api.search.retrieval.fusion import fuse, vector_weight
from plugin_api.search.retrieval.hit import Hit
from reranker.text.query_type import classify_query
from reranker.types import QueryType


def own(**scores: float) -> list[Hit]:
    return [Hit("shop-1", key, keyword_score=score) for key, score in scores.items()]


def near(**scores: float) -> list[Hit]:
    return [Hit("shop-1", key, vector_score=score) for key, score in scores.items()]


def order(keyword: list[Hit], neighbours: list[Hit], weight: float, **settings: object) -> list[str]:
    chosen = SearchSettings(vector_weight=weight, **settings)  # type: ignore[arg-type]
    return [hit.id for hit in fuse(keyword, neighbours, chosen, QueryType.PHRASE)]


def test_minmax_weighs_scores_scaled_within_their_list() -> None:
    keyword, neighbours = own(a=30.0, b=20.0, c=10.0), near(c=0.9, b=0.8, d=0.5)
    # c 0.7; b 0.3 * 0.5 + 0.7 * 0.75 = 0.675; a 0.3; d 0
    assert order(keyword, neighbours, 0.7) == ["c", "b", "a", "d"]
    assert order(keyword, neighbours, 0.0)[:2] == ["a", "b"]


def test_minmax_takes_a_lone_hit_and_equal_scores_for_the_best_there_are() -> None:
    assert order(own(a=7.0), near(b=0.9, c=0.1), 0.4) == ["a", "b", "c"]
    assert order(own(a=2.0, b=2.0), near(c=0.9, d=0.1), 0.4) == ["a", "b", "c", "d"]
    assert order(own(a=0.0), [], 0.7) == ["a"]
    assert order([], near(b=0.9, c=0.1), 0.0) == ["b", "c"]


def test_rrf_adds_weighed_reciprocal_ranks() -> None:
    keyword, neighbours = own(a=3.0, b=2.0, c=1.0), near(b=0.9, d=0.8)
    assert order(keyword, neighbours, 0.5, fusion="rrf") == ["b", "a", "d", "c"]
    # a 0.9 / 11 = 0.082; b 0.9 / 12 + 0.1 / 11 = 0.084; c 0.9 / 13 = 0.069; d 0.1 / 12 = 0.008
    assert order(keyword, neighbours, 0.1, fusion="rrf", rrf_k=10) == ["b", "a", "c", "d"]
    assert order(keyword, neighbours, 0.0, fusion="rrf") == ["a", "b", "c", "d"]


def test_the_querys_type_chooses_the_weight() -> None:
    settings = SearchSettings(
        vector_weight=0.1, vector_weight_head=0.2, vector_weight_model=0.3, vector_weight_sentence=0.4
    )
    texts = ("noise cancelling headphones", "headphones", "sony wh-1000xm4", "headphones for a long flight")
    assert [vector_weight(settings, classify_query(text)) for text in texts] == [0.1, 0.2, 0.3, 0.4]
    two = own(a=2.0, b=1.0), near(b=0.9, a=0.1)
    by_vector = SearchSettings(vector_weight=0.0, vector_weight_head=1.0)
    assert [hit.id for hit in fuse(*two, by_vector, QueryType.HEAD)] == ["b", "a"]
    assert [hit.id for hit in fuse(*two, by_vector, QueryType.PHRASE)] == ["a", "b"]


def test_the_window_is_cut() -> None:
    first = own(a=7.0, b=1.0), near(c=0.9, a=0.8, d=0.1)
    fused = fuse(*first, SearchSettings(window=2, vector_weight_head=0.5), QueryType.HEAD)
    assert [(hit.id, hit.keyword_score) for hit in fused] == [("a", 7.0), ("c", 0.0)]


def test_equal_ids_of_two_indices_are_two_products() -> None:
    first = [Hit("shop-1", "1", 2.0)], [Hit("shop-2", "1", 0.0, 0.9)]
    assert len(fuse(*first, SearchSettings(), QueryType.HEAD)) == 2
