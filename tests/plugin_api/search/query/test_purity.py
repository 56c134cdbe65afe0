import pytest

from plugin_api.search.query.purity import is_pure

MOUSE = {"match": {"title": "mouse"}}


@pytest.mark.parametrize(
    "query",
    [
        None,
        MOUSE,
        {"match": {"title": {"query": "now foods vitamin", "operator": "and"}}},
        {"multi_match": {"query": "usb mouse", "fields": ["title^2"]}},
        {"bool": {"must": [MOUSE], "filter": {"term": {"brand": "HP"}}, "minimum_should_match": 0}},
        {"bool": {"must": MOUSE, "must_not": [{"range": {"price": {"gte": 10, "lt": "2024-01-01||+1d"}}}]}},
        {"dis_max": {"queries": [MOUSE, {"match": {"brand": "hp"}}]}},
        {"terms": {"brand": ["HP", "Acer"], "boost": 2}},
        {"query_string": {"query": "usb mouse"}},
        {"nested": {"path": "offers", "query": {"exists": {"field": "offers.price"}}}},
    ],
)
def test_what_depends_on_the_index_alone_is_pure(query: object) -> None:
    assert is_pure(query)


@pytest.mark.parametrize(
    "query",
    [
        {"terms": {"brand": {"index": "liked", "id": "1", "path": "brands"}}},
        {"range": {"sold": {"gte": "now-1d/d"}}},
        {"range": {"sold": {"gte": " now"}}},
        {"term": {"sold": "now"}},
        {"term": {"sold": {"value": "now||/d"}}},
        {"match": {"sold": "now/d"}},
        {"query_string": {"query": "sold:[* TO now] mouse"}},
        {"query_string": {"query": "mouse now"}},
        {"simple_query_string": {"query": "mouse | now"}},
        {"script": {"script": "true"}},
        {"function_score": {"query": MOUSE, "random_score": {}}},
        {"geo_shape": {"at": {"indexed_shape": {"id": "1"}}}},
        {"more_like_this": {"like": [{"_index": "other", "_id": "1"}]}},
        {"percolate": {"field": "query", "index": "other", "id": "1"}},
        {"wrapper": {"query": "e30="}},
        {"a_plugins": {}},
        {"bool": {"must": [MOUSE], "filter": [{"terms": {"brand": {"index": "liked"}}}]}},
        {"bool": {"should": [{"range": {"sold": {"lt": "now"}}}, MOUSE]}},
        {"match": MOUSE, "term": {}},
        "mouse",
    ],
)
def test_whatever_may_depend_on_something_else_is_not(query: object) -> None:
    assert not is_pure(query)
