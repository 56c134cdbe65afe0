"""The first stage: one `_msearch` asks the caller's own query and k-NN; fusion makes one window of both.

Where the cluster has OpenSearch's own `hybrid` query, it can fuse (`plugin_api.hybrid` decides): then only
the window's hits travel whole, not both lists.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from opensearchpy import OpenSearch

from mappings import fields
from mappings.errors import BadRequest
from mappings.settings import SearchSettings
from mappings.types import Hit, JsonObject
from plugin_api.query_type import QueryType, query_type
from plugin_api.request import RerankRequest
from reranker.stored import whole_numbers
from reranker.types import Floats

STORED = (fields.TOKENS, fields.MODEL)

FOUND = "attune.found"
"""Name in `matched_queries` of those hits that the caller's own query finds."""

HIT_KEYS = ("_source", "fields", "script_fields", "version", "seq_no_primary_term", "timeout")
"""Body keys that shape a hit: k-NN hits are asked for with the same, so that they look like the others."""

MATCH_KEYS = ("query", "post_filter", "indices_boost", "timeout")
"""Body keys that decide which hits there are, and in which order."""


@dataclass(frozen=True, slots=True)
class FirstStage:
    """What OpenSearch answered.

    `keyword` are the best hits of the caller's own query, `below` those that follow, together down to the
    end of the window or of the page; those off the page may be bare. `neighbours` are the nearest by vector,
    or, where the cluster `fused`, the window in its order. `response` is the caller's answer less its hits:
    total, aggregations.
    """

    keyword: tuple[Hit, ...]
    below: tuple[Hit, ...]
    neighbours: tuple[Hit, ...]
    neighbours_error: str
    response: JsonObject
    fused: bool = False


@dataclass(frozen=True, slots=True)
class Fused:
    """One hit of the window.

    `bm25` is 0 where it is not among the keyword search's best; `added` is true where the caller's own query
    does not find it at all.
    """

    hit: Hit
    bm25: float
    added: bool


def gather(
    client: OpenSearch,
    request: RerankRequest,
    vector: Floats,  # (d,) unit length
    window: int,
    headers: Mapping[str, str],
    timeout_seconds: float,
    pipeline: JsonObject | None = None,
) -> FirstStage:
    """Ask for all candidates in one round trip; with a search `pipeline`, the cluster fuses them by it.

    Only the `window` best carry their token vectors. A page that reaches below them needs the keyword hits on
    the way as well, to know which of them k-NN has lifted into the window. At most `window` hits push others
    down, so those on the page have keyword ranks from `start - window` on; the ones before come bare.
    Raises BadRequest when OpenSearch refuses the caller's query, TransportError when the whole request fails.
    """
    docvalues = [*_list(request.body.get("docvalue_fields")), *STORED]
    if pipeline is None:
        searches = [
            {**request.body, "size": window, "docvalue_fields": docvalues},
            _knn_body(request, vector, window, docvalues),
            *_below(request, window, window),
        ]
    else:
        whole = min(request.start + request.size, window)
        searches = [
            {**request.body, "size": whole},
            {**_hybrid_body(request, vector, window, docvalues), "search_pipeline": pipeline},
            *_below(request, window, whole),
        ]
    header = json.dumps(request.header)
    lines = (f"{header}\n{json.dumps(body, separators=(',', ':'))}\n" for body in searches)
    answer = client.transport.perform_request(
        "POST",
        "/_msearch",
        params=dict(request.params),
        body="".join(lines),
        headers={"content-type": "application/x-ndjson", **headers},
        timeout=timeout_seconds,
    )
    keyword, neighbours, *rest = answer["responses"]
    for response in (keyword, *rest):
        if "error" in response:
            raise BadRequest(_reason(response))
    shell = {key: value for key, value in keyword.items() if key != "status"}
    shell["hits"] = {key: value for key, value in keyword["hits"].items() if key != "hits"}
    return FirstStage(
        keyword=_hits(keyword),
        below=tuple(hit for response in rest for hit in _hits(response)),
        neighbours=() if "error" in neighbours else _hits(neighbours),
        neighbours_error=_reason(neighbours) if "error" in neighbours else "",
        response=shell,
        fused=pipeline is not None,
    )


def fuse(first: FirstStage, settings: SearchSettings, text: str) -> list[Fused]:
    """Join both lists into one window, best first; where the cluster has, say what each hit is.

    `minmax` adds scores scaled to 0..1 within each list; `rrf` adds the reciprocals of `rrf_k` + rank
    (Cormack et al. 2009). Both weigh k-NN's part by `vector_weight` of the text and the keywords' by the
    rest. Who is not in a list gets 0 from it.
    """
    bm25 = {hit_key(hit): hit.score for hit in (*first.keyword, *first.below)[: settings.window]}
    window = first.neighbours if first.fused else _fused(first, settings, vector_weight(settings, text))
    return [
        Fused(
            hit,
            bm25.get(hit_key(hit), 0.0),
            hit_key(hit) not in bm25 and FOUND not in hit.raw.get("matched_queries", ()),
        )
        for hit in window[: settings.window]
    ]


def vector_weight(settings: SearchSettings, text: str) -> float:
    """The share of the vector's score for a query of this text's type."""
    weights = {
        QueryType.HEAD: settings.vector_weight_head,
        QueryType.MODEL: settings.vector_weight_model,
        QueryType.SENTENCE: settings.vector_weight_sentence,
    }
    return weights.get(query_type(text), settings.vector_weight)


def hit_key(hit: Hit) -> tuple[str, str]:
    """What tells a hit from all others, also where an alias spans several indices."""
    return hit.index, hit.id


def _fused(first: FirstStage, settings: SearchSettings, weight: float) -> Sequence[Hit]:
    scored = _minmax if settings.fusion == "minmax" else lambda hits: _reciprocal(hits, settings.rrf_k)
    by_keyword, by_vector = scored(first.keyword), scored(first.neighbours)
    hits = {hit_key(hit): hit for hit in (*first.neighbours, *first.keyword)}
    ranked = sorted(
        hits,
        key=lambda key: (1 - weight) * by_keyword.get(key, 0.0) + weight * by_vector.get(key, 0.0),
        reverse=True,
    )
    return [hits[key] for key in ranked]


def _knn_body(request: RerankRequest, vector: Floats, window: int, docvalues: list[object]) -> JsonObject:
    # The caller's query, at no weight, only tells which of the neighbours it finds as well.
    found = {"bool": {"must": [request.body["query"]], "_name": FOUND, "boost": 0}}
    query = {"bool": {"must": [_near(request, vector, window)], "should": [found]}}
    return {"query": query, **_shape(request, window, docvalues)}


def _hybrid_body(request: RerankRequest, vector: Floats, window: int, docvalues: list[object]) -> JsonObject:
    # The words' filters are in the query, the post_filter is not: normalised scores must be of what remains.
    kept = [request.body["post_filter"]] if request.body.get("post_filter") else []
    found = {"bool": {"must": [request.body["query"]], "filter": kept, "_name": FOUND}}
    query = {"hybrid": {"queries": [found, _near(request, vector, window)]}}
    return {"query": query, **_shape(request, window, docvalues)}


def _near(request: RerankRequest, vector: Floats, window: int) -> JsonObject:
    near: JsonObject = {"vector": whole_numbers(vector), "k": window}
    if request.conditions:
        near["filter"] = {"bool": {"filter": list(request.conditions)}}
    return {"knn": {fields.VECTOR: near}}


def _shape(request: RerankRequest, window: int, docvalues: list[object]) -> JsonObject:
    """Body keys that make hits look like those of the caller's own query."""
    body = {key: request.body[key] for key in HIT_KEYS if key in request.body}
    highlight = request.body.get("highlight")
    if isinstance(highlight, dict):
        # A k-NN query has no words to highlight; the caller's has.
        body["highlight"] = {"highlight_query": request.body["query"], **highlight}
    return {**body, "size": window, "docvalue_fields": docvalues, "track_total_hits": False}


def _below(request: RerankRequest, window: int, asked: int) -> list[JsonObject]:
    """Sub-searches for the keyword hits after the `asked` best: bare ones, then whole ones for the page.

    They go down to the end of the window or of the page, whichever is lower.
    """
    end = request.start + request.size
    whole_from = max(window, request.start - window)
    bare_to = whole_from if end > window else window
    no_hits = ("aggs", "aggregations", "suggest")
    whole = {key: value for key, value in request.body.items() if key not in no_hits}
    bare = {key: request.body[key] for key in MATCH_KEYS if key in request.body} | {"_source": False}
    return [
        {**body, "from": first, "size": last - first, "track_total_hits": False}
        for body, first, last in ((bare, asked, bare_to), (whole, whole_from, end))
        if last > first
    ]


def _hits(response: JsonObject) -> tuple[Hit, ...]:
    return tuple(
        Hit(raw["_id"], raw["_index"], raw["_score"] or 0.0, raw) for raw in response["hits"]["hits"]
    )


def _reason(response: JsonObject) -> str:
    error = response["error"]
    causes = error.get("root_cause") or [error]
    return f"{causes[0].get('type')}: {causes[0].get('reason')}"


def _minmax(hits: Sequence[Hit]) -> dict[tuple[str, str], float]:
    if not hits:
        return {}
    low, high = min(hit.score for hit in hits), max(hit.score for hit in hits)
    return {hit_key(hit): (hit.score - low) / (high - low) if high > low else 1.0 for hit in hits}


def _reciprocal(hits: Sequence[Hit], k: int) -> dict[tuple[str, str], float]:
    return {hit_key(hit): 1.0 / (k + rank) for rank, hit in enumerate(hits, start=1)}


def _list(value: object) -> list[object]:
    if value is None:
        return []
    return value if isinstance(value, list) else [value]
