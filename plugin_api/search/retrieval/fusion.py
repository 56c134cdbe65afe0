"""The window: the first stage's two lists joined into the one that is reranked."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from mappings.settings import SearchSettings
from mappings.types import Hit
from plugin_api.search.retrieval.candidates import FirstStage
from plugin_api.search.retrieval.slim_hits import Key
from reranker.text.query_type import QueryType, classify_query


@dataclass(frozen=True, slots=True)
class Fused:
    """One hit of the window.

    `first_score` is 0 where it is not among the own query's best; `added` is true where the caller's own
    query does not find it at all.
    """

    hit: Hit
    first_score: float
    added: bool


def fuse(first: FirstStage, settings: SearchSettings, text: str) -> list[Fused]:
    """Join both lists into one window, best first.

    `minmax` adds scores scaled to 0..1 within each list; `rrf` adds the reciprocals of `rrf_k` + rank
    (Cormack et al. 2009). Both weigh k-NN's part by `vector_weight` of the text and the own query's by the
    rest. Who is not in a list gets 0 from it. Without neighbours the window is the own query's best.
    """
    own = first.own[: settings.window]
    scores = {hit.key: hit.score for hit in own}
    window = _fused(own, first.neighbours, settings, text) if first.neighbours else own
    return [
        Fused(hit, scores.get(hit.key, 0.0), hit.key not in scores and not hit.found)
        for hit in window[: settings.window]
    ]


def vector_weight(settings: SearchSettings, text: str) -> float:
    """The share of the vector's score for a query of this text's type."""
    weights = {
        QueryType.HEAD: settings.vector_weight_head,
        QueryType.MODEL: settings.vector_weight_model,
        QueryType.SENTENCE: settings.vector_weight_sentence,
    }
    return weights.get(classify_query(text), settings.vector_weight)


def _fused(
    own: Sequence[Hit], neighbours: Sequence[Hit], settings: SearchSettings, text: str
) -> Sequence[Hit]:
    weight = vector_weight(settings, text)
    scored = _minmax if settings.fusion == "minmax" else lambda hits: _reciprocal(hits, settings.rrf_k)
    by_own, by_vector = scored(own), scored(neighbours)
    hits = {hit.key: hit for hit in (*neighbours, *own)}
    ranked = sorted(
        hits,
        key=lambda key: (1 - weight) * by_own.get(key, 0.0) + weight * by_vector.get(key, 0.0),
        reverse=True,
    )
    return [hits[key] for key in ranked]


def _minmax(hits: Sequence[Hit]) -> dict[Key, float]:
    if not hits:
        return {}
    low, high = min(hit.score for hit in hits), max(hit.score for hit in hits)
    return {hit.key: (hit.score - low) / (high - low) if high > low else 1.0 for hit in hits}


def _reciprocal(hits: Iterable[Hit], k: int) -> dict[Key, float]:
    return {hit.key: 1.0 / (k + rank) for rank, hit in enumerate(hits, start=1)}
