"""Which words of a query are the shopper's, and where other products may stand beside them."""

from collections.abc import Collection, Mapping
from typing import Any

import pytest

from plugin_api.search.query.clauses import MATCH_ALL
from plugin_api.search.query.query_text import QueryText
from plugin_api.search.query.text import MAX_TEXT, parse_query
from plugin_api.search.reasons import Cause

MOUSE = {"match": {"title": "mouse"}}
WIRED = {"match": {"title": "wired"}}
PHRASE = {"match_phrase": {"title": "usb mouse"}}
ALL_WORDS = {"match": {"title": {"query": "usb mouse", "operator": "and"}}}
HP, ACER = {"term": {"brand": "HP"}}, {"term": {"brand": "Acer"}}
BRAND = {"match": {"brand": "HP"}}
KEYS = [("shop-1", "a"), ("shop-1", "b")]
ADDED = {"bool": {"must": [{"ids": {"values": ["a", "b"]}}], "boost": 0}}

TYPES: Mapping[str, Collection[str]] = {
    "title": ["text"],
    "brand": ["text"],
    "sku": ["keyword"],
    "year": ["integer"],
    "available": ["boolean"],
    "code": ["text", "keyword"],
}


def known_types(_names: Collection[str]) -> Mapping[str, Collection[str]]:
    return TYPES


def read(query: object) -> QueryText:
    found = parse_query(query, known_types)
    assert isinstance(found, QueryText), found
    return found


def beside(clause: object) -> dict[str, Any]:
    """The clause as it is widened."""
    return {"bool": {"should": [clause, ADDED]}}


@pytest.mark.parametrize(
    ("query", "text"),
    [
        (MOUSE, "mouse"),
        ({"match": {"title": {"query": "  usb   mouse ", "fuzziness": 1}}}, "usb mouse"),
        ({"multi_match": {"query": "usb mouse", "fields": ["title", "brand"]}}, "usb mouse"),
        ({"combined_fields": {"query": "usb mouse", "fields": ["title"]}}, "usb mouse"),
        ({"query_string": {"query": "usb mouse"}}, "usb mouse"),
        ({"simple_query_string": {"query": "usb mouse"}}, "usb mouse"),
        ({"function_score": {"query": MOUSE, "functions": []}}, "mouse"),
        ({"script_score": {"query": MOUSE, "script": {"source": "1"}}}, "mouse"),
        ({"boosting": {"positive": MOUSE, "negative": HP, "negative_boost": 0.5}}, "mouse"),
        ({"constant_score": {"filter": MOUSE}}, "mouse"),
        ({"wrapper": {"query": "eyJtYXRjaCI6IHsidGl0bGUiOiAibW91c2UifX0="}}, "mouse"),
    ],
)
def test_products_are_added_beside_the_clause_that_looks_for_the_text(query: Any, text: str) -> None:
    found = read(query)
    assert (found.text, found.optional, found.precise) == (text, False, False)
    ((kind, body),) = query.items()
    widened = found.widen(KEYS)
    if kind in ("function_score", "script_score"):
        assert widened == {kind: {**body, "query": beside(MOUSE)}}
    elif kind == "boosting":
        assert widened == {kind: {**body, "positive": beside(MOUSE)}}
    elif kind == "constant_score":
        assert widened == {kind: {"filter": beside(MOUSE)}}
    else:
        assert widened == beside(MOUSE if kind == "wrapper" else query)


@pytest.mark.parametrize(
    ("bool_", "text", "widened"),
    [
        ({"must": MOUSE, "filter": HP}, "mouse", {"must": beside(MOUSE), "filter": HP}),
        ({"must": [MOUSE, HP]}, "mouse", {"must": [beside(MOUSE), HP]}),
        ({"must": [MOUSE], "must_not": [HP]}, "mouse", {"must": [beside(MOUSE)], "must_not": [HP]}),
        # Further texts in must are conditions, wherever they stand.
        ({"must": [MOUSE, BRAND]}, "mouse", {"must": [beside(MOUSE), BRAND]}),
        ({"must": [BRAND, MOUSE]}, "mouse", {"must": [BRAND, beside(MOUSE)]}),
        ({"must": [MOUSE, WIRED]}, "mouse", {"must": [beside(MOUSE), WIRED]}),
        # Optional clauses beside the words raise scores; they decide neither text nor hits.
        ({"must": [MOUSE], "should": [HP, BRAND]}, "mouse", {"must": [beside(MOUSE)], "should": [HP, BRAND]}),
        # A match in filter context is a condition, not what the shopper typed.
        ({"must": [MOUSE], "filter": [BRAND]}, "mouse", {"must": [beside(MOUSE)], "filter": [BRAND]}),
        # Where one of several clauses is enough, one of them lets products in.
        ({"should": [MOUSE, BRAND]}, "mouse HP", {"should": [beside(MOUSE), BRAND]}),
        ({"should": [PHRASE, MOUSE]}, "usb mouse mouse", {"should": [PHRASE, beside(MOUSE)]}),
        # Where several must match, all of them do.
        (
            {"should": [MOUSE, WIRED], "minimum_should_match": 2},
            "mouse wired",
            {"should": [beside(MOUSE), beside(WIRED)], "minimum_should_match": 2},
        ),
        (
            {"must": [{"bool": {"must": [MOUSE], "filter": [HP]}}]},
            "mouse",
            {"must": [{"bool": {"must": [beside(MOUSE)], "filter": [HP]}}]},
        ),
        # Words in a condition beside those in a match are not what the shopper typed.
        (
            {"must": [{"constant_score": {"filter": WIRED}}, MOUSE]},
            "mouse",
            {"must": [{"constant_score": {"filter": WIRED}}, beside(MOUSE)]},
        ),
    ],
)
def test_all_other_clauses_hold_for_added_products_too(
    bool_: dict[str, Any], text: str, widened: dict[str, Any]
) -> None:
    found = read({"bool": bool_})
    assert (found.text, found.optional) == (text, False)
    assert found.widen(KEYS) == {"bool": widened}
    assert found.query == {"bool": bool_}


@pytest.mark.parametrize(
    "condition",
    [
        {"match": {"sku": "LT-017"}},
        {"match": {"year": 2024}},
        {"match": {"year": "2024"}},
        {"match": {"available": "true"}},
        {"match": {"brand.keyword": "HP"}},
        {"multi_match": {"query": "LT-017", "fields": ["sku^3", "year"]}},
        {"match": {"brand": "HP"}},
        {"match": {"manufacturer": "HP"}},
        {"match": {"category.en": "Mice"}},
        {"match_phrase": {"brand": "HP"}},
    ],
)
@pytest.mark.parametrize("is_first", [True, False])
def test_a_match_on_a_number_a_name_or_an_id_is_a_condition(condition: object, is_first: bool) -> None:
    must = [condition, MOUSE] if is_first else [MOUSE, condition]
    found = read({"bool": {"must": must}})
    assert found.text == "mouse"
    assert found.relax() == {"bool": {"must": [MATCH_ALL if clause is MOUSE else clause for clause in must]}}


def test_a_name_alone_is_a_text() -> None:
    assert read(BRAND).text == "HP"
    assert read({"bool": {"must": [BRAND], "filter": [ACER]}}).text == "HP"


def test_a_field_of_text_in_one_index_is_text() -> None:
    assert read({"match": {"code": "mouse"}}).text == "mouse"


def test_fields_of_exact_values_alone_hold_no_text() -> None:
    reading = parse_query({"match": {"sku": "LT-017"}}, known_types)
    assert isinstance(reading, Cause)
    assert "only match" in reading.sentence


def test_where_types_are_not_known_names_tell_exact_values() -> None:
    found = parse_query({"bool": {"must": [{"match": {"title.keyword": "Mouse"}}, {"match": {"sku": "7"}}]}})
    assert isinstance(found, QueryText)
    assert found.text == "7"


@pytest.mark.parametrize(
    "query",
    [
        PHRASE,
        {"match_phrase_prefix": {"title": "usb mou"}},
        {"match_bool_prefix": {"title": "usb mou"}},
        {"multi_match": {"query": "usb mouse", "type": "phrase"}},
        {"multi_match": {"query": "usb mouse", "operator": "and"}},
        ALL_WORDS,
        {"match": {"title": {"query": "usb mouse", "operator": "AND"}}},
        {"match": {"title": {"query": "usb mouse", "minimum_should_match": "100%"}}},
        {"match": {"title": {"query": "usb mouse", "minimum_should_match": 2}}},
        {"query_string": {"query": "usb mouse", "default_operator": "and"}},
        {"query_string": {"query": "+usb mouse"}},
        {"simple_query_string": {"query": '"usb mouse"'}},
        {"bool": {"should": [PHRASE, ALL_WORDS]}},
        {"bool": {"must": [ALL_WORDS], "filter": [HP]}},
    ],
)
def test_what_asks_for_all_words_is_precise(query: object) -> None:
    found = read(query)
    assert found.precise
    assert found.clauses


@pytest.mark.parametrize(
    "query",
    [
        {"match": {"title": {"query": "usb mouse", "minimum_should_match": "2<67%"}}},
        {"match": {"title": {"query": "usb mouse", "minimum_should_match": 1}}},
        {"match": {"title": {"query": "mouse", "minimum_should_match": 1}}},
        {"bool": {"should": [PHRASE, MOUSE]}},  # the phrase only puts some hits first
        {"dis_max": {"queries": [ALL_WORDS, MOUSE]}},
    ],
)
def test_what_is_content_with_fewer_words_is_not_precise(query: object) -> None:
    assert not read(query).precise


def test_a_precise_search_can_be_widened_for_a_rescue() -> None:
    assert read({"bool": {"must": [PHRASE], "filter": [HP]}}).widen(KEYS) == {
        "bool": {"must": [beside(PHRASE)], "filter": [HP]}
    }


@pytest.mark.parametrize(
    "query",
    [
        {"bool": {"filter": [HP], "should": [MOUSE]}},
        {"bool": {"must": [HP], "should": [MOUSE, WIRED]}},
        {"bool": {"must": [MATCH_ALL], "should": [MOUSE]}},
    ],
)
def test_where_words_are_optional_every_hit_is_there_already(query: dict[str, Any]) -> None:
    found = read(query)
    assert found.optional
    assert found.widen(KEYS) == query


@pytest.mark.parametrize(
    "bool_",
    [
        {"filter": [HP], "should": [MOUSE], "minimum_should_match": 1},
        {"should": [MOUSE]},
        {"should": [MOUSE], "must_not": [HP]},
    ],
)
def test_a_should_that_must_match_is_the_text(bool_: dict[str, Any]) -> None:
    found = read({"bool": bool_})
    assert not found.optional
    assert found.widen(KEYS) == {"bool": {**bool_, "should": [beside(MOUSE)]}}


@pytest.mark.parametrize(
    ("query", "text"),
    [
        ({"nested": {"path": "offers", "query": MOUSE}}, "mouse"),
        ({"has_child": {"type": "offer", "query": MOUSE}}, "mouse"),
        ({"hybrid": {"queries": [MOUSE, {"knn": {}}]}}, "mouse"),
        ({"neural": {"embedding": {"query_text": "mouse", "k": 10}}}, "mouse"),
    ],
)
def test_where_nothing_can_be_added_the_text_still_orders(query: dict[str, Any], text: str) -> None:
    found = read(query)
    assert (found.text, found.clauses) == (text, ())
    assert found.widen(KEYS) == found.relax() == query


def test_products_of_several_indexes_are_told_apart() -> None:
    widened = read(MOUSE).widen([("shop-1", "a"), ("shop-2", "a")])
    added = widened["bool"]["should"][1]["bool"]
    assert added["boost"] == 0
    assert [one["bool"]["filter"] for one in added["must"][0]["bool"]["should"]] == [
        [{"term": {"_index": index}}, {"ids": {"values": ["a"]}}] for index in ("shop-1", "shop-2")
    ]


def test_without_products_to_add_the_query_stays() -> None:
    query = {"bool": {"must": [MOUSE], "filter": [HP]}}
    assert read(query).widen([]) == query


def test_without_its_text_a_query_is_its_conditions() -> None:
    query = {"bool": {"must": [MOUSE, BRAND], "filter": [HP], "must_not": [ACER]}}
    assert read(query).relax() == {"bool": {"must": [MATCH_ALL, BRAND], "filter": [HP], "must_not": [ACER]}}
    assert read(MOUSE).relax() == MATCH_ALL
    either = {"bool": {"should": [MOUSE, HP]}}  # the words alone are enough: nothing else is a condition
    assert read(either).relax() == MATCH_ALL


def test_the_clause_of_the_text_has_no_conditions() -> None:
    assert read({"bool": {"must": [MOUSE, BRAND], "filter": [HP]}}).text_query == MOUSE
    both = {"bool": {"should": [MOUSE, WIRED], "minimum_should_match": 2}}
    assert read(both).text_query == {"bool": {"should": [MOUSE, WIRED]}}


@pytest.mark.parametrize(
    "query",
    [
        {"bool": {"should": [MOUSE, PHRASE]}},
        {"dis_max": {"queries": [MOUSE, PHRASE]}},
        {
            "bool": {
                "must": [{"dis_max": {"queries": [MOUSE, {"bool": {"should": [PHRASE]}}]}}],
                "filter": [HP],
            }
        },
    ],
)
def test_all_alternatives_are_the_text_but_one_is_widened(query: dict[str, Any]) -> None:
    found = read(query)
    assert found.text_query == {"bool": {"should": [MOUSE, PHRASE]}}
    assert len(found.look_for("8492")) == 2
    assert str(found.widen(KEYS)).count("'boost': 0") == 1
    assert not found.precise


@pytest.mark.parametrize(
    ("query", "clause"),
    [
        (MOUSE, {"match": {"title": {"query": "8492", "operator": "and"}}}),
        (PHRASE, {"match": {"title": {"query": "8492", "operator": "and"}}}),
        (
            {"multi_match": {"query": "mouse", "fields": ["title^3"], "fuzziness": 1, "boost": 2}},
            {"multi_match": {"query": "8492", "fields": ["title^3"], "operator": "and"}},
        ),
        (
            {"query_string": {"query": "mouse", "fields": ["title", "brand"]}},
            {
                "multi_match": {
                    "query": "8492", "fields": ["title", "brand"], "operator": "and", "lenient": True,
                }
            },
        ),
        (
            {"simple_query_string": {"query": "mouse"}},
            {"multi_match": {"query": "8492", "operator": "and", "lenient": True}},
        ),
    ],
)  # fmt: skip
def test_a_number_is_looked_for_where_the_text_is(query: object, clause: dict[str, Any]) -> None:
    assert read({"bool": {"must": [query], "filter": [HP]}}).look_for("8492") == [clause]


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
        ({"bool": {"most": [MOUSE]}}, "bool has no most"),
        ({"wrapper": {"query": "?"}}, "wrapper"),
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
