import json

import msgspec
import pytest

from plugin_api.opensearch.raw_json import dumps
from plugin_api.shoppers.candidate_query import build_candidate_query, weigh_sources
from plugin_api.shoppers.product_counts import make_product_key
from plugin_api.shoppers.recommend_call import RecommendCall
from reranker.behaviour.counts import Profile, add_purchases, add_views
from reranker.behaviour.recommendation import RecommendationKind, RecommendationRequest

DAY = 20_000.0


def _query(call: RecommendCall, profile: Profile | None = None) -> str:
    request = RecommendationRequest(call.kind, call.size, DAY, profile or Profile(), tuple(call.products))
    query = build_candidate_query(call, request, weigh_sources(request), {})
    return json.dumps(json.loads(dumps(query)))


def test_the_callers_filter_and_exclusions_hold() -> None:
    call = RecommendCall(filter=msgspec.Raw(b'{"term": {"available": true}}'), exclude=["x"], products=["y"])
    query = json.loads(_query(call))["query"]["bool"]
    assert query["filter"] == [{"term": {"available": True}}]
    assert query["must_not"] == [{"ids": {"values": ["x", "y"]}}]


def test_every_product_of_the_history_speaks_for_others() -> None:
    query = _query(RecommendCall(), add_purchases(Profile(), ["tea", "a.b/c"], DAY))
    assert make_product_key("tea") in query
    assert make_product_key("a.b/c") in query
    assert "." not in make_product_key("a.b/c")


@pytest.mark.parametrize("kind", list(RecommendationKind))
def test_every_kind_makes_a_query(kind: RecommendationKind) -> None:
    query = _query(RecommendCall(kind=kind, products=["tea"]), add_purchases(Profile(), ["milk"], DAY))
    assert "popularity" in query or kind is RecommendationKind.TRENDING


def test_the_last_viewed_weighs_most() -> None:
    profile = add_views(add_views(Profile(), ["old"], 1), ["new"], 2)
    weights = weigh_sources(RecommendationRequest(RecommendationKind.SESSION, 5, DAY, profile))
    assert weights["new"] > weights["old"]
