"""Explain one hit of a search to the caller who sees it.

The product, the keyword scores and the nearest vectors are requested from OpenSearch anew, with the caller's
own credentials: a product or a field that OpenSearch does not show this caller is not explained.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Annotated, Any, Protocol

import msgspec
from msgspec import Meta

from indexer.store.documents import restore_product
from mappings import fields
from mappings.errors import BadRequest
from mappings.settings import SearchSettings
from mappings.types import JsonObject
from plugin_api.opensearch.client import OpenSearchClient, OpenSearchResponse
from plugin_api.opensearch.doc_values import read_binary, read_lowest
from plugin_api.search.query.clauses import MATCH_ALL
from plugin_api.search.query.keyword_query import keyword_query
from plugin_api.search.query.query_text import QueryText
from plugin_api.search.query.text import MAX_TEXT, parse_query
from plugin_api.search.query.types import Options, RerankRequest, SearchCall, TextSearch
from plugin_api.search.retrieval.candidates import nearest
from plugin_api.search.retrieval.named_clauses import count_numbers, number_clauses
from plugin_api.sidecar.preview.explain_demands import explain_demands
from reranker.behaviour.popularity import weigh_priors
from reranker.explanation import ExplainableModel, Explanation, explain
from reranker.keyword_evidence import TYPICAL_SHARE, add_keyword_evidence, weigh_keywords
from reranker.mixed_model import select_reader
from reranker.text.query_type import is_identifier

_LEAST = 1e-13
"""The least probability that is told from 0."""


class ExplainRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which hit to explain, of which search.

    `index` is what was searched, `hit_index` the hit's own where an alias has several. `search` is the
    search's `query`, by default the keyword query that `attune search` asks; `options` its `ext.attune`.
    """

    index: Annotated[str, Meta(min_length=1, max_length=1000)]
    id: Annotated[str, Meta(min_length=1, max_length=512)]
    query: Annotated[str, Meta(max_length=MAX_TEXT)]
    hit_index: str = ""
    search: dict[str, Any] | None = None
    options: Options = Options()

    def as_call(self, headers: Mapping[str, str]) -> SearchCall:
        """Return the search whose hit is explained, as its caller sent it."""
        search = self.search if self.search is not None else keyword_query(self.query)
        options = {"query": self.query, **msgspec.to_builtins(self.options)}
        body = {"query": search, "ext": {fields.ATTUNE: options}}
        return SearchCall.of(self.index, json.dumps(body).encode("utf-8", "surrogatepass"), headers=headers)


class ExplainModel(ExplainableModel, Protocol):
    """What explaining a hit needs of a model. `reranker.model.Model` implements it."""

    @property
    def version(self) -> str:
        """Version of the model: it is stamped on every product that the model encoded."""

    def is_readable(self, stored: bytes) -> bool:
        """Return whether the model can read a stored product."""


class Refusal(Exception):
    """OpenSearch's own error, which the caller gets as it came."""

    def __init__(self, reply: OpenSearchResponse) -> None:
        super().__init__(f"OpenSearch answered {reply.status}")
        self.reply = reply


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
) -> JsonObject:
    """Return the explanation of a hit as JSON, as the page shows it. `read` is what the search was read as,
    with the settings that `attune tune` has chosen for the index; `settings` hold where it was not read.

    Raises Refusal with OpenSearch's own error, BadRequest, ClusterDown, ModelError and TimeoutError.
    """
    chosen = read.settings if read else request.options.over(settings)
    text = read.text if read else request.options.query or request.query
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
    product_answer, keyword, near = _search_all(
        request,
        client,
        headers,
        timeout_seconds,
        numbers,
        {"query": search, **slim},
        {"query": nearest(encoded.vector, chosen.window, conditions), **slim},
    )
    hits = product_answer["hits"]["hits"]
    if not hits:
        raise BadRequest(
            f"there is no product {request.id} in {request.index}, or none that you may see",
            "document_missing_exception",
        )
    hit = hits[0]
    product = restore_product(request.id, hit.get("_source", {}))
    stored, why_not = _read_vectors(hit, model)
    reader = select_reader(model, product.title)
    explanation = explain(reader, text, product, stored, chosen.head_weights)
    if stored is not None and not explanation.as_stored:
        why_not = "other_text"
    near_hits = near.get("hits", {}).get("hits", [])
    weight = weigh_keywords(chosen.keyword_weight, encoded)
    evidence = _evidence(hit, keyword["hits"]["hits"], near_hits, weight, text, explanation.log_odds)
    found = explain_demands(
        read, product, _decode(hit, fields.FACTS), explanation.log_odds + evidence.log_odds
    )
    if found.other_facts:
        why_not = why_not or "other_text"
    if isinstance(read, RerankRequest) and read.keeps_order:
        why_not = "order_kept"
    bound = 0.0 if is_identifier(text) else chosen.popularity
    priors = [_read_prior(each) for each in (hit, *keyword["hits"]["hits"], *near_hits)]
    popularity = float(weigh_priors(priors, bound)[0])
    log_odds = found.log_odds + popularity
    return {
        "index": hit["_index"],
        "id": request.id,
        "query": text,
        "model": model.version,
        "score": 1 / (1 + math.exp(-min(max(log_odds, -30.0), 30.0))),
        "log_odds": log_odds,
        "unknown": encoded.unknown,
        "as_ranked": not why_not,
        "why_not": why_not,
        "evidence": {**asdict(evidence), "typical_share": TYPICAL_SHARE},
        "demands": [asdict(demand) for demand in found.demands],
        "demands_log_odds": found.log_odds - explanation.log_odds - evidence.log_odds,
        "popularity_log_odds": popularity,
        "original": read.understanding.original if read and read.understanding else "",
        **_render_explanation(explanation),
    }


def _search_all(
    request: ExplainRequest,
    client: OpenSearchClient,
    headers: Mapping[str, str],
    timeout_seconds: float,
    numbers: Sequence[JsonObject],
    *others: JsonObject,
) -> list[JsonObject]:
    """Request in one round trip the product as this caller sees it, the keyword hits and the neighbours.

    The product tells which of the clauses for `numbers` it matches.
    """
    filters: list[JsonObject] = [{"ids": {"values": [request.id]}}]
    if request.hit_index:
        filters.append({"term": {"_index": request.hit_index}})
    product_search = {
        "query": {"bool": {"filter": filters, "should": list(numbers)}},
        "size": 1,
        "_source": {"excludes": list(fields.HIDDEN)},
        "docvalue_fields": [fields.TOKENS, fields.MODEL, fields.FACTS, fields.POPULARITY_PRIOR],
    }
    header = json.dumps({"index": request.index})
    lines = "".join(f"{header}\n{json.dumps(body)}\n" for body in (product_search, *others))
    sent = {**headers, "content-type": "application/x-ndjson"}
    answer = client.request(
        "POST", "/_msearch", sent, lines.encode("utf-8", "surrogatepass"), timeout_seconds
    )
    if answer.status != 200:
        raise Refusal(answer)
    responses: list[JsonObject] = msgspec.json.decode(answer.body)["responses"]
    for response in responses[:2]:  # an index without vectors has no neighbours, and can be explained
        if "error" in response:
            status = int(response.get("status", 400))
            body = msgspec.json.encode({"error": response["error"], "status": status})
            raise Refusal(
                OpenSearchResponse(status, (("content-type", "application/json; charset=UTF-8"),), body)
            )
    return responses


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
        same = (i for i, of in enumerate(hits, 1) if (of["_index"], of["_id"]) == (hit["_index"], hit["_id"]))
        return next(same, 0)

    scores = [of["_score"] or 0.0 for of in keyword]
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
