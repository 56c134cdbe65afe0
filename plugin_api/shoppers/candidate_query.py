"""The search that gathers candidates for recommendations, under the caller's filter."""

from collections.abc import Mapping

import msgspec
import numpy as np
from msgspec import UNSET

from mappings import fields
from mappings.types import JsonObject
from plugin_api.shoppers.product_counts import BY_ORDERS, BY_SHOPPERS, POPULARITY, RECENT, make_product_key
from plugin_api.shoppers.recommend_call import RecommendCall
from reranker.behaviour.recommendation import (
    SESSION_DECAY,
    Candidate,
    RecommendationKind,
    RecommendationRequest,
)
from reranker.types import Floats

CANDIDATES_FETCHED = 150
_WITH_VECTORS = 100
"""Candidates where each comes with its vector, of 1.5 kB."""

_SOURCES = 100
"""Products of the history that may speak for others."""

_NEAREST = 50
_HISTORY_BOOST, _VECTOR_BOOST, _POPULARITY_BOOST = 1000.0, 10.0, 0.01
"""Candidates are the history, then what is near it, then what it speaks for, then what is popular."""


def build_candidate_query(
    call: RecommendCall,
    request: RecommendationRequest,
    strengths: Mapping[str, float],
    known: Mapping[str, Candidate],
) -> JsonObject:
    """Return the search for candidates, without `_source`."""
    kind = request.kind
    should: list[JsonObject] = []
    for product, strength in list(strengths.items())[:_SOURCES]:
        key = make_product_key(product)
        both = kind is RecommendationKind.SESSION or not request.profile.bought
        for name in (BY_SHOPPERS, BY_ORDERS):
            wanted = BY_SHOPPERS if kind is RecommendationKind.NEXT_PURCHASE else BY_ORDERS
            if (both or name == wanted) and kind not in (
                RecommendationKind.SIMILAR,
                RecommendationKind.TRENDING,
            ):
                should.append({"rank_feature": {"field": f"{name}.{key}", "linear": {}, "boost": strength}})
    if request.profile.bought and kind not in (RecommendationKind.SIMILAR, RecommendationKind.TRENDING):
        counts = request.profile.counts(request.day)
        ids = sorted(counts, key=lambda product: -counts[product])[:_SOURCES]
        should.append({"constant_score": {"filter": {"ids": {"values": ids}}, "boost": _HISTORY_BOOST}})
    filters = [] if call.filter is UNSET else msgspec.json.decode(call.filter)
    filters = filters if isinstance(filters, list) else [filters]
    vector = _average_vector(strengths, known)
    if vector is not None and kind is not RecommendationKind.TRENDING:
        near: JsonObject = {
            "vector": vector,
            "k": _WITH_VECTORS if kind is RecommendationKind.SIMILAR else _NEAREST,
        }
        if filters:
            near["filter"] = {"bool": {"filter": filters}}
        should.append({"knn": {fields.VECTOR: {**near, "boost": _VECTOR_BOOST}}})
    popular = RECENT if kind is RecommendationKind.TRENDING else POPULARITY
    should.append(
        {"rank_feature": {"field": popular, "saturation": {"pivot": 10}, "boost": _POPULARITY_BOOST}}
    )
    should += [
        {"constant_score": {"filter": msgspec.Raw(boost.filter), "boost": 0.001, "_name": str(at)}}
        for at, boost in enumerate(call.boosts)
    ]
    return {
        "query": {
            "bool": {
                "filter": filters,
                "must_not": [{"ids": {"values": [*call.exclude, *request.context]}}],
                "should": should,
                "minimum_should_match": 1,
            }
        },
        "size": _WITH_VECTORS if needs_vectors(request) else CANDIDATES_FETCHED,
        "track_total_hits": False,
    }


def _choose_counts(request: RecommendationRequest) -> tuple[str, ...]:
    """Return the fields by which the sources speak for candidates."""
    kind = request.kind
    if kind in (RecommendationKind.SIMILAR, RecommendationKind.TRENDING):
        return ()
    if kind in (RecommendationKind.BOUGHT_TOGETHER, RecommendationKind.BASKET):
        return (BY_ORDERS,)
    if kind is RecommendationKind.NEXT_PURCHASE and request.profile.bought:
        return (BY_SHOPPERS,)
    return BY_SHOPPERS, BY_ORDERS


def needs_vectors(request: RecommendationRequest) -> bool:
    """Return whether candidates are scored by their vectors."""
    return request.kind in (RecommendationKind.SIMILAR, RecommendationKind.SESSION) or (
        request.kind is RecommendationKind.NEXT_PURCHASE and not request.profile.bought
    )


def weigh_sources(request: RecommendationRequest) -> dict[str, float]:
    """Return the products that speak for others, strongest first."""
    if request.kind is RecommendationKind.TRENDING:
        return {}
    if request.kind is RecommendationKind.NEXT_PURCHASE and request.profile.bought:
        counts = request.profile.counts(request.day)
        best = sorted(counts, key=lambda product: -counts[product])
        return {product: max(counts[product], 1e-6) ** 0.5 for product in best}
    viewed = request.context or tuple(request.profile.viewed)
    session = request.kind in (RecommendationKind.SESSION, RecommendationKind.NEXT_PURCHASE)
    return {
        product: max(SESSION_DECAY**age, 1e-3) if session else 1.0
        for age, product in enumerate(reversed(viewed))
    }


def _average_vector(strengths: Mapping[str, float], known: Mapping[str, Candidate]) -> list[float] | None:
    """Return the weighted mean of the sources' vectors, None where none has one."""
    rows = [
        (strength, vector)
        for product, strength in strengths.items()
        if (vector := _find_vector(known, product)) is not None
    ]
    if not rows:
        return None
    mean = np.sum([strength * vector for strength, vector in rows], axis=0)
    return [float(value) for value in np.rint(mean / max(float(np.abs(mean).max()), 1e-9) * 127)]


def _find_vector(known: Mapping[str, Candidate], product: str) -> Floats | None:
    return known[product].vector if product in known else None
