"""The first stage: one `_msearch` asks the caller's own query and k-NN; fusion makes one window of both."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from opensearchpy import OpenSearch

from mappings import fields
from mappings.errors import BadRequest
from mappings.settings import SearchSettings
from mappings.types import Hit, JsonObject
from plugin_api.request import RerankRequest
from reranker.types import Floats

STORED = (fields.TOKENS, fields.MODEL)

FOUND = "attune.found"
"""Name in `matched_queries` of those k-NN hits that the caller's own query finds too."""

HIT_KEYS = ("_source", "fields", "script_fields", "version", "seq_no_primary_term", "timeout")
"""Body keys that shape a hit: k-NN hits are asked for with the same, so that they look like the others."""

MATCH_KEYS = ("query", "post_filter", "indices_boost", "timeout")
"""Body keys that decide which hits there are, and in which order."""


@dataclass(frozen=True, slots=True)
class FirstStage:
    """What OpenSearch answered.

    `keyword` are the best `window` hits of the caller's own query; `below` those that follow, down to the
    page's end. `response` is the caller's answer less its hits: total, aggregations.
    """

    keyword: tuple[Hit, ...]
    below: tuple[Hit, ...]
    neighbours: tuple[Hit, ...]
    neighbours_error: str
    response: JsonObject


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
) -> FirstStage:
    """Ask for all candidates in one round trip.

    Only the `window` best carry their token vectors. A page that reaches below them needs the keyword hits on
    the way as well, to know which of them k-NN has lifted into the window. At most `window` hits push others
    down, so those on the page have keyword ranks from `start - window` on; the ones before come bare.
    Raises BadRequest when OpenSearch refuses the caller's query, TransportError when the whole request fails.
    """
    docvalues = [*_list(request.body.get("docvalue_fields")), *STORED]
    searches = [
        {**request.body, "size": window, "docvalue_fields": docvalues},
        _knn_body(request, vector, window, docvalues),
        *_below(request, window),
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
    )


def fuse(keyword: Sequence[Hit], neighbours: Sequence[Hit], settings: SearchSettings) -> list[Fused]:
    """Join both lists into one window, best first.

    `minmax` adds scores scaled to 0..1 within each list, k-NN's with `vector_weight`; `rrf` adds the
    reciprocals of `rrf_k` + rank (Cormack et al. 2009), weighted alike. Who is not in a list gets 0 from it.
    """
    weight = settings.vector_weight
    scored = _minmax if settings.fusion == "minmax" else lambda hits: _reciprocal(hits, settings.rrf_k)
    by_keyword, by_vector = scored(keyword), scored(neighbours)
    hits = {hit_key(hit): hit for hit in (*neighbours, *keyword)}
    ranked = sorted(
        hits,
        key=lambda key: (1 - weight) * by_keyword.get(key, 0.0) + weight * by_vector.get(key, 0.0),
        reverse=True,
    )
    return [
        Fused(
            hits[key],
            hits[key].score if key in by_keyword else 0.0,
            key not in by_keyword and FOUND not in hits[key].raw.get("matched_queries", ()),
        )
        for key in ranked[: settings.window]
    ]


def hit_key(hit: Hit) -> tuple[str, str]:
    """What tells a hit from all others, also where an alias spans several indices."""
    return hit.index, hit.id


def _knn_body(request: RerankRequest, vector: Floats, window: int, docvalues: list[object]) -> JsonObject:
    near: JsonObject = {"vector": vector.tolist(), "k": window}
    if request.conditions:
        near["filter"] = {"bool": {"filter": list(request.conditions)}}
    body = {key: request.body[key] for key in HIT_KEYS if key in request.body}
    highlight = request.body.get("highlight")
    if isinstance(highlight, dict):
        # A k-NN query has no words to highlight; the caller's has.
        body["highlight"] = {"highlight_query": request.body["query"], **highlight}
    # The caller's query, at no weight, only tells which of the neighbours it finds as well.
    found = {"bool": {"must": [request.body["query"]], "_name": FOUND, "boost": 0}}
    return {
        **body,
        "query": {"bool": {"must": [{"knn": {fields.VECTOR: near}}], "should": [found]}},
        "size": window,
        "docvalue_fields": docvalues,
        "track_total_hits": False,
    }


def _below(request: RerankRequest, window: int) -> list[JsonObject]:
    """Sub-searches for the keyword hits from rank `window` to the page's end: bare ones, then whole ones."""
    end = request.start + request.size
    if end <= window:
        return []
    whole_from = max(window, request.start - window)
    no_hits = ("aggs", "aggregations", "suggest")
    whole = {key: value for key, value in request.body.items() if key not in no_hits}
    bare = {key: request.body[key] for key in MATCH_KEYS if key in request.body}
    searches = [{**whole, "from": whole_from, "size": end - whole_from, "track_total_hits": False}]
    if whole_from > window:
        size = whole_from - window
        searches.insert(
            0, {**bare, "_source": False, "from": window, "size": size, "track_total_hits": False}
        )
    return searches


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
