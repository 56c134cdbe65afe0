"""What an index is like is known from OpenSearch, for a minute."""

import json
from collections.abc import Mapping
from typing import Any

from plugin_api.opensearch.client import OpenSearchResponse
from plugin_api.search.deadline import Deadline
from plugin_api.search.query.field_types import NO_SCHEMA, FieldRank, IndexSchema, rank_fields
from plugin_api.search.query.types import SearchCall
from plugin_api.search.retrieval.index_schemas import SCHEMA_SECONDS, IndexSchemas
from tests.fakes.shop import Shop

GERMAN = {"term": {"language": "de"}}


class Clock:
    """A clock that is set by hand."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def find(schemas: IndexSchemas, index: str = "shop", caller: str = "ann") -> IndexSchema:
    return schemas.find(SearchCall(index, headers={"authorization": f"Basic {caller}"}), Deadline.after(1.0))


def test_types_of_fields_are_requested_once_a_minute_as_the_caller(shop: Shop) -> None:
    shop.field_types, clock = {"title": "text", "year": "integer"}, Clock()
    schemas = IndexSchemas(shop, clock=clock)
    for _ in range(3):
        types = find(schemas).field_types(["title", "year", "no such field"])
    assert {name: set(types[name]) for name in ("title", "year")} == {"title": {"text"}, "year": {"integer"}}
    assert not types["no such field"]
    requested = [(target, headers) for target, headers in shop.schema_requests if "_field_caps" in target]
    [(target, headers)] = requested
    assert target == "/shop/_field_caps?ignore_unavailable=true&fields=title,year,no%20such%20field"
    assert headers["authorization"] == "Basic ann"
    clock.now = SCHEMA_SECONDS + 1
    shop.field_types["year"] = "text"
    assert set(find(schemas).field_types(["year"])["year"]) == {"text"}


def test_only_new_fields_are_requested(shop: Shop) -> None:
    schemas = IndexSchemas(shop)
    find(schemas).field_types(["title"])
    find(schemas).field_types(["title", "brand"])
    fields = [target.rpartition("=")[2] for target, _ in shop.schema_requests if "_field_caps" in target]
    assert fields == ["title", "brand"]


def test_callers_are_told_apart(shop: Shop) -> None:
    schemas = IndexSchemas(shop)
    shop.field_types = {"title": "text"}
    find(schemas).field_types(["title"])
    shop.field_types = {}
    assert not find(schemas, caller="bob").field_types(["title"])["title"]


def test_an_aliass_filter_is_known(shop: Shop) -> None:
    assert find(IndexSchemas(shop)).alias_filter == ()
    shop.alias_filter = GERMAN
    schemas = IndexSchemas(shop)
    assert find(schemas).alias_filter == find(schemas).alias_filter == (GERMAN,)
    assert [target for target, _ in shop.schema_requests] == ["/_alias/shop"] * 2


def test_several_indexes_have_no_alias_filter(shop: Shop) -> None:
    shop.alias_filter = GERMAN
    for index in ("", "shop,other", "shop*", "_all"):
        assert find(IndexSchemas(shop), index).alias_filter == ()
    assert shop.schema_requests == []


class Aliases(Shop):
    """Answers with the filters of an alias over two indexes."""

    def __init__(self, *filters: Any) -> None:
        super().__init__()
        self.filters = filters

    def request(self, *args: Any, **kwargs: Any) -> OpenSearchResponse:
        body = {
            f"shop-{n}": {"aliases": {"shop": {"filter": one} if one else {}}}
            for n, one in enumerate(self.filters)
        }
        return OpenSearchResponse(200, (), json.dumps(body).encode())


def test_an_alias_over_several_indexes_filters_each_in_its_own_way() -> None:
    french = {"term": {"language": "fr"}}
    assert find(IndexSchemas(Aliases(GERMAN, GERMAN))).alias_filter == (GERMAN,)
    assert find(IndexSchemas(Aliases(GERMAN, None))).alias_filter == ()
    [either] = find(IndexSchemas(Aliases(GERMAN, french))).alias_filter
    assert either["bool"]["minimum_should_match"] == 1
    assert [one["bool"]["filter"] for one in either["bool"]["should"]] == [
        [{"term": {"_index": "shop-0"}}, GERMAN],
        [{"term": {"_index": "shop-1"}}, french],
    ]


class Silent(Shop):
    """Tells nothing of its indexes."""

    def __init__(self, answer: OpenSearchResponse | Exception) -> None:
        super().__init__()
        self.answer = answer

    def request(self, *args: Any, **kwargs: Any) -> OpenSearchResponse:
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def test_what_opensearch_does_not_tell_is_not_known() -> None:
    for answer in (
        TimeoutError("late"),
        OpenSearchResponse(403, (), b'{"error": "no permissions"}'),
        OpenSearchResponse(200, (), b"<html>"),
        OpenSearchResponse(200, (), b'{"fields": 7}'),
    ):
        schema = find(IndexSchemas(Silent(answer)))
        assert schema.alias_filter == ()
        assert not schema.field_types(["title"]).get("title")


def types_of(**types: str) -> Any:
    known: Mapping[str, list[str]] = {name: [type_] for name, type_ in types.items()}
    return lambda _: known


def test_the_most_textual_of_several_fields_ranks_them() -> None:
    types = types_of(title="text", brand="text", sku="keyword", year="integer")
    assert rank_fields(["sku", "brand", "title"], types) is FieldRank.TEXT
    assert rank_fields(["sku", "brand"], types) is FieldRank.NAME
    assert rank_fields(["sku", "year"], types) is FieldRank.EXACT
    assert rank_fields([], types) is rank_fields(["year", "t*"], types) is FieldRank.TEXT
    assert rank_fields(["title.raw"], NO_SCHEMA.field_types) is FieldRank.EXACT
