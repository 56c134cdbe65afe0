import json
from collections.abc import Mapping
from typing import Any

import msgspec
import numpy as np
import pytest

from mappings.settings import SearchSettings
from mappings.types import JsonObject
from plugin_api.search.deadline import Deadline
from plugin_api.search.query.field_types import IndexSchema
from plugin_api.search.query.request import parse_call
from plugin_api.search.query.types import RerankRequest, SearchCall
from plugin_api.search.retrieval.caller_client import CallerClient, SearchRefused
from plugin_api.search.retrieval.candidates import (
    ADDED_FIELDS,
    Candidates,
    count_hits,
    gather,
    gather_neighbours,
)
from plugin_api.search.retrieval.named_clauses import HOLDS_NUMBER, MEETS_CONDITIONS
from tests.fakes.shop import VERSION, Shop

VECTOR = np.array([0.5, 0.5, 0.5, 0.5], dtype=np.float32)
MATCH, HP = {"match": {"title": "mouse"}}, {"term": {"brand": "HP"}}
MOUSE = {"query": {"bool": {"must": MATCH, "filter": HP}}}


def request_of(
    body: JsonObject,
    headers: Mapping[str, str] | None = None,
    schema: IndexSchema = IndexSchema(),
    /,
    **params: str,
) -> RerankRequest:
    call = SearchCall("shop", json.dumps(body).encode(), params, headers or {})
    request = parse_call(call, SearchSettings(always="tenant"), schema)
    assert isinstance(request, RerankRequest)
    return request


def as_caller(shop: Shop, request: RerankRequest) -> CallerClient:
    return CallerClient(shop, request.call, request.params, Deadline.after(1.0))


def gather_for(shop: Shop, request: RerankRequest, window: int = 5) -> Candidates:
    return gather(as_caller(shop, request), request, VECTOR, window)


def sent_searches(shop: Shop) -> list[dict[str, Any]]:
    """The bodies of the searches that came, in the last request."""
    path, _, lines, _ = shop.requests[-1]
    return lines[1::2] if path.endswith("_msearch") else lines


def test_one_request_asks_for_slim_hits_of_the_query_and_of_the_vector(shop: Shop) -> None:
    shop.products, shop.near = {"a": 1, "b": 2}, {"c": 3, "b": 2}
    request = request_of(MOUSE, {"authorization": "Basic x"}, preference="me", size="5")
    first = gather_for(shop, request)
    assert [(hit.id, hit.vectors, hit.model) for hit in first.own] == [
        ("a", b"\x01", VERSION),
        ("b", b"\x02", VERSION),
    ]
    assert [hit.id for hit in first.neighbours] == ["c", "b"]
    [(path, _, lines, headers)] = shop.requests
    assert path == "/shop/_msearch"
    assert headers["authorization"] == "Basic x"
    header, own, _, near = lines
    assert header == {"preference": "me"}
    knn = near["query"]["bool"]["must"][0]["knn"]["attune.vector"]
    assert knn["vector"] == [127, 127, 127, 127]  # a field of bytes takes whole numbers only
    assert own["size"] == near["size"] == knn["k"] == 5
    values = ["attune.key", "attune.tokens", "attune.facts", "attune.behaviour.prior"]
    assert own["docvalue_fields"] == near["docvalue_fields"] == values
    assert (
        (own["_source"], own["stored_fields"])
        == (near["_source"], near["stored_fields"])
        == (False, "_none_")
    )


def test_conditions_do_not_decide_which_products_are_near(shop: Shop) -> None:
    shop.near, shop.outside = {"c": 3, "d": 2}, {"d"}
    in_stock = {"term": {"available": True}}
    first = gather_for(shop, request_of({**MOUSE, "post_filter": in_stock}))
    assert [(hit.id, hit.meets) for hit in first.neighbours] == [("c", True), ("d", False)]
    near = sent_searches(shop)[1]["query"]["bool"]
    assert "filter" not in near["must"][0]["knn"]["attune.vector"]
    (named,) = near["should"]
    assert named["bool"] == {
        "filter": [{"bool": {"must": {"match_all": {}}, "filter": HP}}, in_stock],
        "boost": 0,
        "_name": MEETS_CONDITIONS,
    }


def test_without_conditions_all_that_is_near_is_a_hit(shop: Shop) -> None:
    shop.near = {"c": 3}
    first = gather_for(shop, request_of({"query": MATCH}))
    assert [hit.meets for hit in first.neighbours] == [True]
    assert sent_searches(shop)[1]["query"].keys() == {"knn"}


def test_a_tenant_and_an_aliass_filter_hold_before_the_nearest_are_chosen(shop: Shop) -> None:
    tenant, german = {"term": {"tenant": "acme"}}, {"term": {"language": "de"}}
    body = {"query": {"bool": {"must": [MATCH], "filter": [HP, tenant]}}}
    request = request_of(body, None, IndexSchema(alias_filter=(german,)))
    gather_for(shop, request)
    near = sent_searches(shop)[1]["query"]["bool"]["must"][0]["knn"]["attune.vector"]
    assert near["filter"] == {"bool": {"filter": [german, tenant]}}
    gather_neighbours(as_caller(shop, request), request, VECTOR, 5)
    [alone] = sent_searches(shop)
    assert alone["query"]["bool"]["must"][0]["knn"]["attune.vector"]["filter"] == near["filter"]


def test_hits_tell_whether_they_hold_the_texts_number(shop: Shop) -> None:
    shop.products, shop.near, shop.holding = {"a": 1, "b": 2}, {"c": 3, "d": 4}, {"b", "d"}
    first = gather_for(shop, request_of({"query": {"match": {"title": "hp 8492 toner"}}}))
    assert {hit.id: hit.numbers for hit in (*first.own, *first.neighbours)} == {
        "a": 0,
        "b": 1,
        "c": 0,
        "d": 1,
    }
    own, near = sent_searches(shop)
    assert own["query"]["bool"]["must"] == [{"match": {"title": "hp 8492 toner"}}]
    for search in (own, near):
        *_, named = search["query"]["bool"]["should"]
        assert named["bool"]["_name"] == f"{HOLDS_NUMBER}.0"
        assert named["bool"]["boost"] == 0
        assert named["bool"]["should"] == [{"match": {"title": {"query": "8492", "operator": "and"}}}]


def test_hits_come_with_the_value_by_which_they_are_collapsed(shop: Shop) -> None:
    shop.products, shop.near, shop.groups = {"a": 1, "b": 2}, {"c": 3}, {"a": "red", "c": "red"}
    first = gather_for(shop, request_of({"query": MATCH, "collapse": {"field": "group"}}))
    groups = {hit.id: hit.group for hit in (*first.own, *first.neighbours)}
    assert groups == {"a": b'["red"]', "b": b"", "c": b'["red"]'}
    assert all("collapse" not in search for search in sent_searches(shop))


def test_without_a_vector_the_callers_hits_alone_are_gathered(shop: Shop) -> None:
    shop.products, shop.near = {"a": 1}, {"c": 3}
    request = request_of(MOUSE)
    first = gather(as_caller(shop, request), request, None, 5)
    assert ([hit.id for hit in first.own], first.neighbours) == (["a"], ())
    assert len(sent_searches(shop)) == 1


def test_what_shapes_and_surrounds_hits_waits_for_the_page(shop: Shop) -> None:
    shaped = {
        "query": MATCH, "highlight": {"fields": {"title": {}}}, "_source": ["title"], "fields": ["price"],
        "docvalue_fields": ["brand"], "aggs": {"brands": {"terms": {}}}, "timeout": "1s",
        "post_filter": HP, "sort": ["_score", "price"], "rescore": {"query": {}},
    }  # fmt: skip
    gather_for(shop, request_of(shaped))
    own = sent_searches(shop)[0]
    assert not own.keys() & {"highlight", "fields", "aggs"}
    for key in (
        "timeout",
        "post_filter",
        "sort",
        "rescore",
    ):  # these decide which hits come, and in which order
        assert own[key] == shaped[key]


def test_documents_without_attunes_id_are_told_apart_by_their_own(shop: Shop) -> None:
    shop.products, shop.not_attunes = {"a": 1, "x": 0}, {"x"}
    first = gather_for(shop, request_of({"query": MATCH}))
    assert [hit.id for hit in first.own] == ["a", "x"]
    assert len(shop.requests) == 2


def test_a_search_that_parts_can_not_carry_is_sent_whole_and_once(shop: Shop) -> None:
    shop.products, shop.near = {"a": 1, "b": 2}, {"c": 3}
    request = request_of({"query": MATCH, "docvalue_fields": ["price"], "min_score": 0.1})
    first = gather_for(shop, request)
    assert ([hit.id for hit in first.own], first.neighbours) == (["a", "b"], ())
    assert first.complete is not None
    hit = first.complete.hits[("shop-1", "a")]
    assert msgspec.json.decode(hit["_source"]) == {"title": "product a"}
    [(path, _, [search], _)] = shop.requests
    assert (path, search["from"], search["size"], search["min_score"]) == ("/shop/_search", 0, 10, 0.1)
    assert search["docvalue_fields"] == ["price", *ADDED_FIELDS]


def test_a_search_sent_whole_has_the_hits_down_to_the_page(shop: Shop) -> None:
    shop.products = {f"k{n}": 1 for n in range(30)}
    first = gather_for(shop, request_of({"query": MATCH, "min_score": 0, "from": 10, "size": 5}), 8)
    assert first.complete is not None
    assert ([hit.id for hit in first.own][-1], [hit.id for hit in first.complete.below][-1]) == ("k7", "k14")


def test_failing_neighbours_leave_the_keyword_hits(shop: Shop) -> None:
    shop.products = {"a": 1}
    cause = {"type": "query_shard_exception", "reason": "no vectors here"}
    shop.refuse["near"] = (400, {"error": {"root_cause": [cause], **cause}})
    first = gather_for(shop, request_of(MOUSE))
    assert [hit.id for hit in first.own] == ["a"]
    assert first.neighbours_error == "query_shard_exception: no vectors here"


def test_a_refused_keyword_query_is_a_bad_request(shop: Shop) -> None:
    error = {"error": {"type": "index_not_found_exception", "reason": "no such index"}}
    shop.refuse["products"] = (404, error)
    with pytest.raises(SearchRefused, match="no such index"):
        gather_for(shop, request_of(MOUSE))


def test_hits_of_a_text_are_counted_without_the_conditions_around_it(shop: Shop) -> None:
    shop.products, shop.text_hits = {"a": 1}, 3
    request = request_of({**MOUSE, "post_filter": HP})
    assert count_hits(as_caller(shop, request), request, 10) == 3
    assert sent_searches(shop) == [{"query": MATCH, "size": 0, "track_total_hits": 10}]
    shop.refuse["text"] = (503, {"error": {"type": "busy", "reason": "later"}, "status": 503})
    with pytest.raises(SearchRefused, match="later"):
        count_hits(as_caller(shop, request), request, 10)


def test_within_a_point_in_time_searches_go_where_it_is(shop: Shop) -> None:
    shop.near = {"c": 3}
    request = request_of(MOUSE, preference="me")
    caller = CallerClient(shop, request.call, request.params, Deadline.after(1.0), "a point in time")
    first = gather_neighbours(caller, request, VECTOR, 5)
    assert [hit.id for hit in first.neighbours] == ["c"]
    [(path, params, [search], _)] = shop.requests
    assert (path, params, search["pit"]) == ("/_search", {}, {"id": "a point in time"})


def test_attunes_own_searches_are_answered_in_json(shop: Shop) -> None:
    request = request_of(MOUSE, {"accept": "application/json;compatible-with=7"})
    gather_for(shop, request)
    assert shop.requests[0][3]["accept"] == "application/json"
