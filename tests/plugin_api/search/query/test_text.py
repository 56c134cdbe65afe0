import pytest

from plugin_api.search.query.text import MAX_TEXT, QueryText, parse_query
from plugin_api.search.reasons import Cause

MOUSE = {"match": {"title": "mouse"}}
WIRED = {"match": {"title": "wired"}}
HP, ACER = {"term": {"brand": "HP"}}, {"term": {"brand": "Acer"}}
CONSTANT = {"constant_score": {"filter": WIRED}}


@pytest.mark.parametrize(
    ("query", "text", "conditions"),
    [
        (MOUSE, "mouse", []),
        ({"match": {"title": {"query": "  usb   mouse ", "fuzziness": 1}}}, "usb mouse", []),
        ({"multi_match": {"query": "usb mouse", "fields": ["title", "brand"]}}, "usb mouse", []),
        ({"bool": {"must": MOUSE, "filter": HP}}, "mouse", [HP]),
        ({"bool": {"must": [MOUSE, HP]}}, "mouse", [HP]),
        # What a further text in must looks for is a condition.
        ({"bool": {"must": [MOUSE, {"match": {"brand": "HP"}}]}}, "mouse HP", [{"match": {"brand": "HP"}}]),
        ({"bool": {"must": [MOUSE, MOUSE]}}, "mouse", [MOUSE]),
        ({"bool": {"must": [MOUSE], "must_not": [HP]}}, "mouse", [{"bool": {"must_not": [HP]}}]),
        ({"bool": {"should": [MOUSE, {"match": {"brand": "mouse"}}]}}, "mouse", []),
        ({"bool": {"filter": [HP], "should": [MOUSE, {"match": {"brand": "hp"}}]}}, "mouse hp", [HP]),
        ({"bool": {"must": [{"bool": {"must": [MOUSE], "filter": [HP]}}]}}, "mouse", [HP]),
        # Optional clauses beside the words raise scores; they decide neither text nor hits.
        ({"bool": {"must": [MOUSE], "should": [HP, {"match": {"brand": "hp"}}]}}, "mouse", []),
        # A match in filter context is a condition, not what the shopper typed.
        (
            {"bool": {"must": [MOUSE], "filter": [{"match": {"brand": "hp"}}]}},
            "mouse",
            [{"match": {"brand": "hp"}}],
        ),
        ({"bool": {"must": [MOUSE, {"match": {"year": 2024}}]}}, "mouse", [{"match": {"year": 2024}}]),
        ({"dis_max": {"queries": [MOUSE, {"match": {"brand": "mouse"}}]}}, "mouse", []),
        # Words in a condition beside those in a match are not what the shopper typed.
        ({"bool": {"must": [{"constant_score": {"filter": WIRED}}, MOUSE]}}, "mouse", [CONSTANT]),
    ],
)
def test_text_and_conditions(query: object, text: str, conditions: list[object]) -> None:
    assert parse_query(query) == QueryText(text, tuple(conditions), allows_vector_hits=True)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("body", "should"),
    [
        ({"must": [MOUSE], "should": [HP], "minimum_should_match": 1}, [HP]),
        ({"should": [{"bool": {"must": [MOUSE], "filter": [HP]}}, ACER]}, [HP, ACER]),
    ],
)
def test_required_should_clauses_bind_neighbours_too(body: dict[str, object], should: list[object]) -> None:
    reading = parse_query({"bool": body})
    assert isinstance(reading, QueryText)
    assert reading.conditions == ({"bool": {"should": should, "minimum_should_match": 1}},)


def test_where_words_alone_are_enough_nothing_else_binds_neighbours() -> None:
    assert parse_query({"bool": {"should": [MOUSE, HP]}}) == QueryText("mouse", (), allows_vector_hits=True)


@pytest.mark.parametrize(
    ("query", "text"),
    [
        ({"multi_match": {"query": "usb mouse", "type": "phrase"}}, "usb mouse"),
        ({"match_phrase": {"title": "usb mouse"}}, "usb mouse"),
        # All words must be there.
        ({"match": {"title": {"query": "usb mouse", "operator": "AND"}}}, "usb mouse"),
        ({"match": {"title": {"query": "usb mouse", "minimum_should_match": "100%"}}}, "usb mouse"),
        ({"multi_match": {"query": "usb mouse", "operator": "and"}}, "usb mouse"),
        ({"query_string": {"query": "usb mouse", "default_operator": "and"}}, "usb mouse"),
        ({"query_string": {"query": "+usb mouse"}}, "usb mouse"),
        ({"constant_score": {"filter": MOUSE}}, "mouse"),
        ({"nested": {"path": "offers", "query": MOUSE}}, "mouse"),
        ({"hybrid": {"queries": [MOUSE]}}, "mouse"),
        ({"bool": {"must": [MOUSE, {"neural": {}}]}}, "mouse"),
        ({"bool": {"must": [MOUSE], "should": [{"knn": {}}]}}, "mouse"),
        ({"function_score": {"query": MOUSE}}, "mouse"),
        ({"script_score": {"query": MOUSE}}, "mouse"),
        ({"boosting": {"positive": MOUSE, "negative": HP}}, "mouse"),
    ],
)
def test_what_vectors_could_break_leaves_the_querys_own_hits(query: object, text: str) -> None:
    assert parse_query(query) == QueryText(text, (), allows_vector_hits=False)


@pytest.mark.parametrize(
    ("query", "reason"),
    [
        (None, "no text"),
        ({"match_all": {}}, "no text"),
        ({"match": {"title": "   "}}, "no text"),
        ({"bool": {"filter": [MOUSE]}}, "no text"),
        ({"knn": {"vector": {}}}, "only knn"),
        ({"bool": {"must": [HP, {"range": {"price": {}}}]}}, "only term, range"),
        ({"bool": {"must": [MOUSE, {"template": {}}]}}, "type template"),
        ({"bool": [MOUSE]}, "malformed"),
        ({"bool": {"must": ["mouse"]}}, "malformed"),
        ([MOUSE], "malformed"),
        ({"match": {}, "term": {}}, "malformed"),
    ],
)
def test_what_is_not_reranked_says_why(query: object, reason: str) -> None:
    reading = parse_query(query)
    assert isinstance(reading, Cause)
    assert reason in reading.sentence


def test_long_text_is_cut() -> None:
    reading = parse_query({"match": {"title": "x" * 100_000}})
    assert isinstance(reading, QueryText)
    assert len(reading.text) == MAX_TEXT
