"""The window: the candidates that are scored, and their scores by all that is known of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from plugin_api.search.hit_key import HitKey
from plugin_api.search.query.types import RerankRequest
from plugin_api.search.result_set import choose_additions
from plugin_api.search.retrieval.candidates import Candidates
from plugin_api.search.retrieval.fusion import fuse
from plugin_api.search.retrieval.hit import Hit
from reranker.keyword_evidence import add_keyword_evidence, compute_spread, weigh_keywords
from reranker.length_scaling import calibrate
from reranker.log_odds import compute_log_odds
from reranker.text.query_type import is_identifier
from reranker.types import EncodedQuery
from reranker.understanding.matching import MATCH

_NUMBER_RANK = 100
_MET = 0.5
"""How surely a demand must be matched to be met."""


@dataclass(frozen=True, slots=True)
class ScoredWindow:
    """The hits of a window with their scores (n,), and the neighbours that are likely enough to be added.

    `ranks` (n,) count the model numbers of the query that each holds, then the demands that it meets.
    `is_all` is true where the window has every hit that there is.
    """

    hits: list[Hit]
    scores: list[float]
    ranks: list[int]
    added: tuple[HitKey, ...]
    is_all: bool


def list_candidates(candidates: Candidates) -> list[Hit]:
    """Return the candidates that the model can score, each once."""
    return list(
        {
            hit.key: hit
            for hit in (*candidates.neighbours, *candidates.satisfying, *candidates.own)
            if hit.vectors
        }.values()
    )


def order_window(
    request: RerankRequest, query: EncodedQuery, candidates: Candidates, probability: Mapping[HitKey, float]
) -> ScoredWindow:
    """Choose the window by the request's settings, and score it.

    `probability` is the model's, by the key of each candidate.
    """
    settings = request.settings
    own = {hit.key: hit for hit in candidates.own if hit.vectors}
    neighbours = [hit for hit in candidates.neighbours if hit.vectors]
    further = {hit.key: hit for hit in candidates.satisfying if hit.vectors and hit.key not in own}
    added = choose_additions(query, neighbours, probability, settings)
    likely = set(added)
    near = [hit for hit in neighbours if hit.key in own or (hit.meets and hit.key in likely)]
    window = fuse(list(own.values()), near, settings, query.query_type)
    inside = {hit.key for hit in window}
    demanded = further | {hit.key: hit for hit in near if hit.key in candidates.near_satisfying}
    window += [hit for hit in demanded.values() if hit.key not in inside]
    is_all = len(candidates.own) < settings.window and len(window) == len(
        own.keys() | further.keys() | {hit.key for hit in near}
    )
    return ScoredWindow(window, *score_hits(request, query, window, probability), added, is_all)


def score_hits(
    request: RerankRequest, query: EncodedQuery, hits: list[Hit], probability: Mapping[HitKey, float]
) -> tuple[list[float], list[int]]:
    """Return the scores (n,) and ranks (n,) of hits, as ScoredWindow has them.

    `probability` is the model's, by the key of each hit.
    """
    likely = [probability[hit.key] for hit in hits]
    scores, met = _adjust(request, hits, likely, _weigh(hits, likely, request, query))
    ranks = [_NUMBER_RANK * hit.numbers + count for hit, count in zip(hits, met, strict=True)]
    return scores, ranks


def calibrate_scores(request: RerankRequest, query: EncodedQuery, scores: Sequence[float]) -> list[float]:
    """Return the scores (n,) of hits as they are shown: the probability that each answers the text.

    Their order stays. The scores of an identifier are the keyword search's.
    """
    if is_identifier(request.text):
        return list(scores)
    weight = weigh_keywords(request.settings.keyword_weight, query, request.is_checked)
    return calibrate(query, scores, compute_spread(weight))


def _weigh(
    window: list[Hit], likely: list[float], request: RerankRequest, query: EncodedQuery
) -> list[float]:
    """Return each hit's probability with what the keyword search says of it."""
    return add_keyword_evidence(
        likely,
        [hit.keyword_score for hit in window],
        weigh_keywords(request.settings.keyword_weight, query, request.is_checked),
        [hit.numbers for hit in window],
        is_identifier(request.text),
    )


def _adjust(
    request: RerankRequest, window: list[Hit], likely: list[float], scores: list[float]
) -> tuple[list[float], list[int]]:
    """Return the scores in the light of what the text demands and the hits' facts say, and how many demands
    each hit meets. `likely` are the model's own probabilities.
    """
    understanding, interpreter = request.understanding, request.interpreter
    if understanding is None or interpreter is None or not understanding.demands:
        return scores, [0] * len(scores)
    facts, prices = [hit.facts for hit in window], [hit.price for hit in window]
    missed = np.maximum(compute_log_odds(likely) - compute_log_odds(scores), 0.0)
    adjusted = interpreter.adjust(understanding, facts, prices, scores, missed.tolist())
    met = np.stack([outcome[:, MATCH] > _MET for outcome in adjusted.outcomes])  # (demands, n)
    return adjusted.scores, met.sum(0).tolist()
