"""Join the first stage's two lists into the window that is reranked."""

from collections.abc import Iterable, Mapping, Sequence

from mappings.settings import SearchSettings
from plugin_api.search.hit_key import HitKey
from plugin_api.search.retrieval.hit import Hit
from reranker.types import QueryType


def fuse(
    own: Sequence[Hit], neighbours: Sequence[Hit], settings: SearchSettings, query_type: QueryType
) -> list[Hit]:
    """Join the hits of the caller's own query and the nearest by vector into one window, best first.

    `minmax` adds scores scaled to 0..1 within each list; `rrf` adds the reciprocals of `rrf_k` + rank
    (Cormack et al. 2009). The k-NN part counts with `vector_weight` for the type of the query, the other part
    with the rest. A hit that is not in a list gets 0 from it. Without neighbours the window is the best of
    the own query.
    """
    best = own[: settings.window]
    if not neighbours:
        return list(best)
    weight = vector_weight(settings, query_type)
    if settings.fusion == "minmax":
        by_keyword = _minmax({hit.key: hit.keyword_score for hit in best})
        by_vector = _minmax({hit.key: hit.vector_score for hit in neighbours})
    else:
        by_keyword, by_vector = (_reciprocal(hits, settings.rrf_k) for hits in (best, neighbours))
    hits = {hit.key: hit for hit in (*neighbours, *best)}
    share = {key: (1 - weight) * by_keyword.get(key, 0.0) + weight * by_vector.get(key, 0.0) for key in hits}
    return [hits[key] for key in sorted(hits, key=share.__getitem__, reverse=True)][: settings.window]


def vector_weight(settings: SearchSettings, query_type: QueryType) -> float:
    """Return the share of the vector score for a query of this type."""
    weights = {
        QueryType.HEAD: settings.vector_weight_head,
        QueryType.MODEL: settings.vector_weight_model,
        QueryType.SENTENCE: settings.vector_weight_sentence,
    }
    return weights.get(query_type, settings.vector_weight)


def _minmax(scores: Mapping[HitKey, float]) -> dict[HitKey, float]:
    low, high = min(scores.values(), default=0.0), max(scores.values(), default=0.0)
    return {key: (score - low) / (high - low) if high > low else 1.0 for key, score in scores.items()}


def _reciprocal(hits: Iterable[Hit], k: int) -> dict[HitKey, float]:
    return {hit.key: 1.0 / (k + rank) for rank, hit in enumerate(hits, start=1)}
