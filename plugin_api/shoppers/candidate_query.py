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
from reranker.encoders.codec import quantise_vector

CANDIDATES_FETCHED = 150
_WITH_VECTORS = 100
"""Candidates that are scored by their vectors."""

_SOURCES = 100
"""Products of the history that may speak for others."""

_WITHOUT_HISTORY = (RecommendationKind.SIMILAR, RecommendationKind.TRENDING)
"""Kinds for which neither the history nor what others bought with a product counts."""

_ENOUGH_HISTORY = 10
"""Products of a history that give enough candidates."""

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
    should: list[JsonObject] = [
        {"rank_feature": {"field": f"{name}.{make_product_key(product)}", "linear": {}, "boost": strength}}
        for product, strength in list(strengths.items())[:_SOURCES]
        for name in _choose_counts(request)
    ]
    if request.profile.bought and kind not in _WITHOUT_HISTORY:
        ids = list(_rank_purchases(request))[:_SOURCES]
        should.append({"constant_score": {"filter": {"ids": {"values": ids}}, "boost": _HISTORY_BOOST}})
    filters = [] if call.filter is UNSET else msgspec.json.decode(call.filter)
    filters = filters if isinstance(filters, list) else [filters]
    vector = _average_vector(strengths, known)
    if vector is not None:
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
    if request.kind in _WITHOUT_HISTORY:
        return ()
    if request.kind is RecommendationKind.SESSION or not request.profile.bought:
        return BY_SHOPPERS, BY_ORDERS
    return (BY_SHOPPERS,) if request.kind is RecommendationKind.NEXT_PURCHASE else (BY_ORDERS,)


def _rank_purchases(request: RecommendationRequest) -> dict[str, float]:
    """Return the shopper's products with their decayed counts, the largest first."""
    counts = request.profile.counts(request.day)
    return dict(sorted(counts.items(), key=lambda item: -item[1]))


def needs_source_vectors(request: RecommendationRequest) -> bool:
    """Return whether candidates are looked for near the sources too.

    They are not where a history gives enough of them: products that nobody bought would come last.
    """
    if request.kind is RecommendationKind.NEXT_PURCHASE:
        return len(request.profile.bought) < _ENOUGH_HISTORY
    return request.kind is not RecommendationKind.TRENDING


def list_distant_purchases(call: RecommendCall, request: RecommendationRequest) -> list[str]:
    """Return the shopper's products of which the candidates may not tell the type and maker."""
    bought = list(_rank_purchases(request))
    return bought if call.filter is not UNSET or call.exclude else bought[_SOURCES:]


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
        return {product: max(count, 1e-6) ** 0.5 for product, count in _rank_purchases(request).items()}
    viewed = request.context or tuple(request.profile.viewed)
    session = request.kind in (RecommendationKind.SESSION, RecommendationKind.NEXT_PURCHASE)
    return {
        product: max(SESSION_DECAY**age, 1e-3) if session else 1.0
        for age, product in enumerate(reversed(viewed))
    }


def _average_vector(strengths: Mapping[str, float], known: Mapping[str, Candidate]) -> list[int] | None:
    """Return the weighted mean of the sources' vectors, None where none has one."""
    rows = [
        strength * candidate.vector
        for product, strength in strengths.items()
        if (candidate := known.get(product)) is not None and candidate.vector is not None
    ]
    return quantise_vector(np.sum(rows, axis=0)) if rows else None
