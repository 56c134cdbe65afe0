import pytest

from plugin_api.query_text import MAX_TEXT, QueryText, Unranked, read_query

MOUSE = {"match": {"title": "mouse"}}
HP = {"term": {"brand": "HP"}}


@pytest.mark.parametrize(
    ("query", "text", "conditions"),
    [
        (MOUSE, "mouse", []),
        ({"match": {"title": {"query": "  usb   mouse ", "operator": "and"}}}, "usb mouse", []),
        ({"multi_match": {"query": "usb mouse", "fields": ["title", "brand"]}}, "usb mouse", []),
        ({"bool": {"must": MOUSE, "filter": HP}}, "mouse", [HP]),
        ({"bool": {"must": [MOUSE, HP]}}, "mouse", [HP]),
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
    ],
)
def test_text_and_conditions(query: object, text: str, conditions: list[object]) -> None:
    assert read_query(query) == QueryText(text, tuple(conditions))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "body",
    [{"must": [MOUSE], "should": [HP], "minimum_should_match": 1}, {"should": [MOUSE, HP]}],
)
def test_required_should_clauses_bind_neighbours_too(body: dict[str, object]) -> None:
    reading = read_query({"bool": body})
    assert isinstance(reading, QueryText)
    assert reading.conditions == ({"bool": {"should": body["should"], "minimum_should_match": 1}},)


@pytest.mark.parametrize(
    ("query", "reason"),
    [
        (None, "no text"),
        ({"match_all": {}}, "no text"),
        ({"match": {"title": "   "}}, "no text"),
        ({"multi_match": {"query": "usb mouse", "type": "phrase"}}, "no text"),
        ({"match_phrase": {"title": "usb mouse"}}, "no text"),
        ({"bool": {"filter": [MOUSE]}}, "no text"),
        ({"hybrid": {"queries": [MOUSE]}}, "hybrid"),
        ({"bool": {"must": [MOUSE, {"neural": {}}]}}, "neural"),
        ({"bool": {"must": [MOUSE], "should": [{"knn": {}}]}}, "knn"),
        ({"function_score": {"query": MOUSE}}, "function_score"),
        ({"bool": [MOUSE]}, "malformed"),
        ({"bool": {"must": ["mouse"]}}, "malformed"),
        ([MOUSE], "malformed"),
        ({"match": {}, "term": {}}, "malformed"),
    ],
)
def test_what_is_not_reranked_says_why(query: object, reason: str) -> None:
    reading = read_query(query)
    assert isinstance(reading, Unranked)
    assert reason in reading.reason


def test_long_text_is_cut() -> None:
    reading = read_query({"match": {"title": "x" * 100_000}})
    assert isinstance(reading, QueryText)
    assert len(reading.text) == MAX_TEXT
