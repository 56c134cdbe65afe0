import base64
import json
from typing import Any

import pytest

from mappings.errors import BadRequest
from mappings.settings import SearchSettings, Settings
from plugin_api.search.reasons import NotReranked
from plugin_api.sidecar.pipeline.cluster_search import ClusterSearch
from tests.fakes.shop import VERSION, StandInModel

MATCH = {"match": {"title": "mouse"}}
SEARCHING = ClusterSearch(StandInModel(), Settings(search=SearchSettings(window=50)))
UNFUSED = ClusterSearch(StandInModel(), Settings(search=SearchSettings(keyword_weight=0)))


def rewritten(search: dict[str, Any], window: int = 100, hybrid: bool = True) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(SEARCHING.rewrite(json.dumps(search).encode(), window, hybrid))
    return found


def scores(
    *stored: int, window: int = 0, searching: ClusterSearch = UNFUSED, models: Any = None, **more: Any
) -> list[float]:
    """Scores of hits whose first stored byte is given: StandInModel's probability times 255."""
    tokens = [base64.b64encode(bytes([byte])).decode().rstrip("=") for byte in stored]
    search = json.dumps({"query": MATCH, **more}).encode()
    return searching.score(search, tokens, models or [VERSION] * len(stored), window)


def test_a_search_becomes_hybrid_and_as_deep_as_the_window() -> None:
    found = rewritten({"query": MATCH, "size": 5, "from": 10, "aggs": {"brands": {}}})
    keyword, near = found["query"]["hybrid"]["queries"]
    assert keyword == MATCH
    assert near == {"knn": {"attune.vector": {"vector": [127] * 4, "k": 100}}}
    assert found["query"]["hybrid"]["pagination_depth"] == 1000
    assert (found["from"], found["size"]) == (0, 100)
    assert found["aggs"] == {"brands": {}}


@pytest.mark.parametrize(
    ("start", "size", "window", "expected"),
    [
        (0, 10, 0, (0, 10)),
        (20, 10, 0, (20, 10)),
        (90, 20, 100, (0, 110)),
        (100, 20, 100, (100, 20)),
        (0, 300, 100, (0, 300)),
        (990, 10, 100, (990, 10)),
    ],
)
def test_the_window_is_there_wherever_the_page_lies_in_it(
    start: int, size: int, window: int, expected: tuple[int, int]
) -> None:
    found = rewritten({"query": MATCH, "from": start, "size": size}, window)
    assert (found["from"], found["size"]) == expected


@pytest.mark.parametrize(
    "search",
    [
        {"query": {"match_all": {}}},
        {"query": MATCH, "sort": ["price"]},
        {"query": MATCH, "size": 0},
        {"query": MATCH, "from": 995, "size": 10},
        {"query": {"match": {"title": "苹果手机"}}},
        {"query": MATCH, "ext": {"attune": {"rerank": False}}},
        {},
    ],
)
def test_what_is_not_reranked_comes_back_as_it_came(search: dict[str, Any]) -> None:
    assert rewritten(search) == search
    with pytest.raises(NotReranked):
        SEARCHING.score(json.dumps(search).encode(), ["/w"], ["0" * 12], 100)


def test_kinds_of_queries_that_keep_their_order_come_back_as_they_came() -> None:
    keeping = ClusterSearch(StandInModel(), Settings(search=SearchSettings(keep_order="head")))
    search = json.dumps({"query": MATCH}).encode()
    assert keeping.rewrite(search, 100) == search
    with pytest.raises(NotReranked, match="keep OpenSearch's order"):
        keeping.score(search, ["/w"], [VERSION], 100)
    longer = json.dumps({"query": {"match": {"title": "quiet mouse for work"}}}).encode()
    assert b"hybrid" in keeping.rewrite(longer, 100)


def test_conditions_bind_neighbours_as_well() -> None:
    brand = {"term": {"brand.keyword": "HP"}}
    in_stock = {"term": {"available": True}}
    found = rewritten({"query": {"bool": {"must": [MATCH], "filter": [brand]}}, "post_filter": in_stock})
    near = found["query"]["hybrid"]["queries"][1]["knn"]["attune.vector"]
    wanted = json.dumps(near["filter"])
    assert json.dumps(brand) in wanted
    assert json.dumps(in_stock) in wanted


@pytest.mark.parametrize("hybrid", [True, False])
def test_a_query_that_must_stay_what_it_is_stays(hybrid: bool) -> None:
    phrase = {"match_phrase": {"title": "gaming mouse"}}
    query = phrase if hybrid else MATCH  # vectors may not add to a phrase's hits
    found = rewritten({"query": query}, hybrid=hybrid)
    assert found["query"] == query
    assert (found["from"], found["size"]) == (0, 100)


@pytest.mark.parametrize(
    ("source", "includes"),
    [
        (None, []),
        (True, []),
        (False, ["attune.tokens", "attune.model"]),
        ("title", ["title", "attune.tokens", "attune.model"]),
        (["title", "price"], ["title", "price", "attune.tokens", "attune.model"]),
        ({"excludes": ["price"]}, []),
    ],
)
def test_a_source_brings_what_scoring_needs_and_no_more(source: object, includes: list[str]) -> None:
    search = {"query": MATCH} if source is None else {"query": MATCH, "_source": source}
    found = rewritten(search)["_source"]
    assert found["includes"] == includes
    assert {"attune.vector", "attune.tokens"} & set(found.get("excludes", [])) <= {"attune.vector"}
    assert not isinstance(source, dict) or "price" in found["excludes"]


def test_what_the_pipelines_processors_can_not_do_without_is_there() -> None:
    found = rewritten({"query": MATCH, "sort": ["_score"], "track_total_hits": False})
    assert "sort" not in found
    assert "track_total_hits" not in found
    found = rewritten({"query": MATCH, "highlight": {"fields": {"title": {}}}})
    assert found["highlight"] == {"highlight_query": MATCH, "fields": {"title": {}}}


def test_numbers_stay_the_very_digits_that_came() -> None:
    search = b'{"query": {"match": {"title": "mouse"}}, "min_score": 0.10000000000000000001}'
    assert b'"min_score":0.10000000000000000001' in SEARCHING.rewrite(search, 10)


def test_hits_are_scored_by_their_stored_vectors() -> None:
    assert scores(51, 255, 102) == pytest.approx([0.2, 1.0, 0.4])
    assert scores() == []


def test_an_equal_hit_further_down_scores_less() -> None:
    best, *rest = scores(102, 102, 102, searching=SEARCHING)
    assert best > rest[0] > rest[1]
    second_page = scores(102, 102, searching=SEARCHING, size=2, **{"from": 2})
    assert second_page[0] == pytest.approx(rest[1])


def test_a_page_of_the_window_scores_higher_than_all_that_is_cut_off() -> None:
    """Five hits were asked for so as to show the best two, or the next two: the pipeline cuts off the end."""
    stored = (10, 250, 50, 200, 100)
    first = scores(*stored, window=5, size=2)
    second = scores(*stored, window=5, size=2, **{"from": 2})
    last = scores(*stored, window=5, size=2, **{"from": 4})
    assert ranked(first)[:2] == [1, 3]
    assert ranked(second)[:2] == [4, 2]
    assert ranked(last)[:1] == [0]
    assert second[4] == pytest.approx(100 / 255)
    assert all(score >= 0 for score in (*first, *second, *last))


def test_below_the_window_hits_keep_their_order() -> None:
    found = scores(10, 250, 5, 255, 3, window=2, size=5)
    assert ranked(found) == [1, 0, 2, 3, 4]
    deep = scores(10, 250, 5, window=2, size=3, **{"from": 2})
    assert ranked(deep) == [0, 1, 2]
    assert deep[0] < 1


def test_pages_within_the_window_join() -> None:
    stored = [(at * 97) % 251 for at in range(20)]
    whole = ranked(scores(*stored, window=20, size=20, searching=SEARCHING))
    pages = [
        ranked(scores(*stored, window=20, size=5, searching=SEARCHING, **{"from": start}))[
            : min(5, 20 - start)
        ]
        for start in range(0, 20, 5)
    ]
    assert [hit for page in pages for hit in page] == whole


def test_vectors_of_another_model_are_not_mixed_in() -> None:
    with pytest.raises(NotReranked, match="ffffffffffff"):
        scores(1, 2, models=[VERSION, "f" * 12])


@pytest.mark.parametrize(("tokens", "models"), [(["/w", "/w"], [VERSION]), (["A"], [VERSION])])
def test_what_is_not_of_hits_is_refused(tokens: list[str], models: list[str]) -> None:
    search = json.dumps({"query": MATCH}).encode()
    with pytest.raises(BadRequest):
        UNFUSED.score(search, tokens, models, 0)


def ranked(of: list[float]) -> list[int]:
    return sorted(range(len(of)), key=lambda hit: -of[hit])
