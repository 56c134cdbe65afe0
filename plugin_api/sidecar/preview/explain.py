"""Explain one hit of a search to the caller who sees it.

The product, the keyword scores and the nearest vectors are requested from OpenSearch anew, with the caller's
own credentials: a product or a field that OpenSearch does not show this caller is not explained.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Protocol

from indexer.store.documents import restore_product
from mappings import fields
from mappings.settings import SearchSettings
from mappings.types import JsonObject
from plugin_api.opensearch.client import OpenSearchClient
from plugin_api.opensearch.doc_values import read_binary, read_lowest
from plugin_api.search.pictures.tower import SearchedPicture
from plugin_api.search.query.clauses import MATCH_ALL
from plugin_api.search.query.keyword_query import keyword_query
from plugin_api.search.query.query_text import QueryText
from plugin_api.search.query.text import parse_query
from plugin_api.search.query.types import RerankRequest, TextSearch
from plugin_api.search.retrieval.candidates import nearest
from plugin_api.search.retrieval.named_clauses import count_numbers, number_clauses
from plugin_api.sidecar.preview.explain_demands import explain_demands
from plugin_api.sidecar.preview.explain_picture import explain_picture
from plugin_api.sidecar.preview.explain_sources import (
    ExplainRequest,
    gather_evidence,
    list_hits,
    read_product_hit,
)
from reranker.behaviour.popularity import weigh_priors
from reranker.explanation import Contribution, ExplainableModel, Explanation, explain
from reranker.keyword_evidence import TYPICAL_SHARE, add_keyword_evidence, compute_spread, weigh_keywords
from reranker.length_scaling import calibrate, widen_scale
from reranker.mixed_model import select_reader
from reranker.text.query_type import is_identifier
from reranker.types import EncodedQuery

_LEAST = 1e-13
"""The least probability that is told from 0."""


class ExplainModel(ExplainableModel, Protocol):
    """What explaining a hit needs of a model. `reranker.model.Model` implements it."""

    @property
    def version(self) -> str:
        """Version of the model: it is stamped on every product that the model encoded."""

    def is_readable(self, stored: bytes) -> bool:
        """Return whether the model can read a stored product."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """What the first stage says about a hit. Ranks count from 1; 0 is not among the window's best.

    `numbers` counts the model numbers of the query that the product holds. `log_odds` is by how much they and
    the keyword score, compared to a typical one, move the model's log-odds.
    """

    bm25: float
    best_bm25: float
    keyword_rank: int
    vector_rank: int
    numbers: int
    log_odds: float


def explain_hit(
    request: ExplainRequest,
    read: TextSearch | None,
    client: OpenSearchClient,
    headers: Mapping[str, str],
    model: ExplainModel,
    settings: SearchSettings,
    timeout_seconds: float,
    picture: SearchedPicture | None = None,
) -> JsonObject:
    """Return the explanation of a hit as JSON, as the page shows it. `read` is what the search was read as,
    with the settings that `attune tune` has chosen for the index; `settings` hold where it was not read.
    `picture` is that of the search, whose text may be empty then.

    Raises Refusal with OpenSearch's own error, BadRequest, ClusterDown, ModelError and TimeoutError.
    """
    chosen = read.settings if read else request.options.over(settings)
    text = read.text if read else request.options.query or request.query
    if not text and picture:
        return _explain_picture_alone(request, client, headers, model, timeout_seconds, picture)
    encoded = model.encode_query(text)
    search = request.search if request.search is not None else keyword_query(request.query)
    query = parse_query(search)
    conditions, numbers = [], []
    if isinstance(query, QueryText):
        conditions = [clause for clause in (query.relax(),) if clause != MATCH_ALL]
        numbers = number_clauses(query, text)
    slim = {
        "size": chosen.window,
        "_source": False,
        "track_total_hits": False,
        "docvalue_fields": [fields.POPULARITY_PRIOR],
    }
    product_answer, keyword, near, alike = gather_evidence(
        request,
        client,
        headers,
        timeout_seconds,
        numbers,
        {"query": search, **slim},
        {"query": nearest(encoded.vector, chosen.window, conditions), **slim},
        picture,
    )
    hit = read_product_hit(request, product_answer)
    product = restore_product(request.id, hit.get("_source", {}))
    stored, why_not = _read_vectors(hit, model)
    reader = select_reader(model, product.title)
    explanation = explain(reader, text, product, stored, chosen.head_weights)
    if stored is not None and not explanation.as_stored:
        why_not = "other_text"
    near_hits = list_hits(near)
    weight = weigh_keywords(chosen.keyword_weight, encoded, read is not None and read.is_checked)
    evidence = _evidence(hit, keyword["hits"]["hits"], near_hits, weight, text, explanation.log_odds)
    demands = explain_demands(
        read,
        product,
        _decode(hit, fields.FACTS),
        explanation.log_odds + evidence.log_odds,
        max(-evidence.log_odds, 0.0),
    )
    if demands.other_facts:
        why_not = why_not or "other_text"
    if isinstance(read, RerankRequest) and read.keeps_order:
        why_not = "order_kept"
    bound = 0.0 if is_identifier(text) else chosen.popularity
    priors = [_read_prior(each) for each in (hit, *keyword["hits"]["hits"], *near_hits)]
    popularity = float(weigh_priors(priors, bound)[0]) if picture is None else 0.0
    parts = explain_picture(picture, list_hits(alike), stored) if picture else []
    log_odds = demands.log_odds + popularity + sum(part.log_odds for part in parts)
    return {
        **_render_score(request, hit, text, model, log_odds, parts, encoded, compute_spread(weight)),
        "unknown": encoded.unknown,
        "as_ranked": not why_not,
        "why_not": why_not,
        "evidence": {**asdict(evidence), "typical_share": TYPICAL_SHARE},
        "demands": [asdict(demand) for demand in demands.demands],
        "demands_log_odds": demands.log_odds - explanation.log_odds - evidence.log_odds,
        "popularity_log_odds": popularity,
        "original": read.understanding.original if read and read.understanding else "",
        **_render_explanation(explanation),
    }


def _explain_picture_alone(
    request: ExplainRequest,
    client: OpenSearchClient,
    headers: Mapping[str, str],
    model: ExplainModel,
    timeout_seconds: float,
    picture: SearchedPicture,
) -> JsonObject:
    """Return the explanation of a hit of a search without words: the picture alone decides there."""
    nothing: JsonObject = {"query": {"match_none": {}}, "size": 0}
    product_answer, *_, alike = gather_evidence(
        request, client, headers, timeout_seconds, (), nothing, nothing, picture
    )
    hit = read_product_hit(request, product_answer)
    stored, why_not = _read_vectors(hit, model)
    parts = explain_picture(picture, list_hits(alike), stored)
    return {
        **_render_score(request, hit, "", model, sum(part.log_odds for part in parts), parts),
        "unknown": 0.0,
        "as_ranked": not why_not,
        "why_not": why_not,
        "evidence": {**asdict(Evidence(0.0, 0.0, 0, 0, 0, 0.0)), "typical_share": TYPICAL_SHARE},
        "demands": [],
        "demands_log_odds": 0.0,
        "popularity_log_odds": 0.0,
        "original": "",
        "model_log_odds": 0.0,
        "heads": {},
        "features": [],
        "words": [],
        "attention": {"query": [], "product": [], "weights": [], "cosines": [], "log_odds": []},
    }


def _render_score(
    request: ExplainRequest,
    hit: JsonObject,
    text: str,
    model: ExplainModel,
    log_odds: float,
    picture: Sequence[Contribution],
    query: EncodedQuery | None = None,
    spread: float = 1.0,
) -> JsonObject:
    score = 1 / (1 + math.exp(-min(max(log_odds, -30.0), 30.0)))
    if query is None or is_identifier(text):
        slope, shift = 1.0, 0.0
    else:
        slope, shift = widen_scale(query, spread)
        [score] = calibrate(query, [score], spread)
    return {
        "index": hit["_index"],
        "id": request.id,
        "query": text,
        "model": model.version,
        "score": score,
        "log_odds": log_odds,
        "scale": {"slope": slope, "shift": shift},
        "picture": [asdict(part) for part in picture],
        "picture_log_odds": sum(part.log_odds for part in picture),
    }


def _evidence(
    hit: JsonObject,
    keyword: Sequence[JsonObject],
    near: Sequence[JsonObject],
    weight: float,
    text: str,
    log_odds: float,
) -> Evidence:
    """Return what the first stage says of a hit that has these log-odds by the model alone.

    `weight` is that of keyword scores.
    """

    def rank(hits: Sequence[JsonObject]) -> int:
        keys = [(other["_index"], other["_id"]) for other in hits]
        key = (hit["_index"], hit["_id"])
        return keys.index(key) + 1 if key in keys else 0

    scores = [other["_score"] or 0.0 for other in keyword]
    best, at = max(scores, default=0.0), rank(keyword)
    bm25 = scores[at - 1] if at else 0.0
    numbers = count_numbers(hit.get("matched_queries", ()))
    likely = 1 / (1 + math.exp(-log_odds))
    weighed = add_keyword_evidence((likely, likely), (bm25, best), weight, (numbers, 0), is_identifier(text))
    score = min(max(weighed[0], _LEAST), 1 - _LEAST)
    moved = 0.0 if weighed[0] == likely else math.log(score / (1 - score)) - log_odds
    return Evidence(bm25, best, at, rank(near), numbers, moved)


def _read_vectors(hit: JsonObject, model: ExplainModel) -> tuple[bytes | None, str]:
    """Return the vectors that OpenSearch shows this caller; or None, and why a search can't use them."""
    stored, made_with = _decode(hit, fields.TOKENS), hit.get("fields", {}).get(fields.MODEL)
    if not stored:
        return None, "no_vectors"
    if made_with and made_with[0] != model.version:
        return None, "other_model"
    return (stored, "") if model.is_readable(stored) else (None, "no_vectors")


def _read_prior(hit: JsonObject) -> float:
    return read_lowest(hit.get("fields", {}).get(fields.POPULARITY_PRIOR, [])) or 0.0


def _decode(hit: JsonObject, name: str) -> bytes:
    """Return a hit's binary doc value; empty where OpenSearch shows this caller none."""
    return read_binary(hit.get("fields", {}).get(name))


def _render_explanation(explanation: Explanation) -> JsonObject:
    attention = explanation.attention
    return {
        "model_log_odds": explanation.log_odds,
        "heads": explanation.heads,
        "features": [asdict(feature) for feature in explanation.features],
        "words": [asdict(word) for word in explanation.words],
        "attention": {
            "query": [token.text for token in attention.query],
            "product": [asdict(token) for token in attention.product],
            "weights": [[round(x, 4) for x in row] for row in attention.weights.tolist()],
            "cosines": [[round(x, 4) for x in row] for row in attention.cosines.tolist()],
            "log_odds": [None if math.isnan(x) else x for x in attention.log_odds.tolist()],
        },
    }
