"""The last stage: fetch the page's hits complete, and what stands around them, over the whole result set."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import repeat
from typing import Any

import msgspec
from msgspec import Raw, Struct

from mappings import fields
from mappings.errors import ClusterDown
from mappings.types import JsonObject
from plugin_api.opensearch.client import NO_ANSWER, Headers
from plugin_api.opensearch.raw_json import RawObject, decoded, dumps, raw_object
from plugin_api.search.hit_key import HitKey
from plugin_api.search.query.clauses import match_hits
from plugin_api.search.query.types import RerankRequest
from plugin_api.search.retrieval.caller_client import (
    CallerClient,
    CallerSearch,
    SearchRefused,
    error_sentence,
)
from plugin_api.search.retrieval.candidates import MATCH_KEYS, read_around, read_groups, read_total
from plugin_api.search.retrieval.hit import Hit
from plugin_api.search.retrieval.index_fingerprint import (
    IndexFingerprint,
    fingerprint_searches,
    read_fingerprint,
)
from plugin_api.search.retrieval.named_clauses import strip_inner_hits
from plugin_api.search.retrieval.slim_hits import read_product_id, read_slim_answer, slim_body

HEAD_BOOST = 1e6
"""Score by which the hits of a page come before all others of their groups."""

_HIT_KEYS = (
    "_source", "fields", "script_fields", "docvalue_fields", "stored_fields", "version",
    "seq_no_primary_term", "highlight", "track_scores", "explain",
)  # fmt: skip
"""Body keys that shape a hit."""

_SHAPE_KEYS = (*_HIT_KEYS, "sort", "collapse", "indices_boost")
"""Body keys that say nothing of what stands around the hits."""


@dataclass(frozen=True, slots=True)
class FetchedPage:
    """Complete hits as OpenSearch shows them to the caller now; one that it no longer has is missing.

    `shell` is the answer without its hits: total, aggregations. `fingerprint` is that of the index.
    """

    hits: Mapping[HitKey, RawObject]
    shell: RawObject
    headers: Headers
    fingerprint: IndexFingerprint


class _CompleteHits(Struct, frozen=True):
    hits: list[RawObject] = []


class _CompleteAnswer(Struct, frozen=True):
    hits: _CompleteHits | None = None
    error: Raw = Raw()
    status: int = 200


_complete_answer = msgspec.json.Decoder(_CompleteAnswer)


def fetch_page(
    caller: CallerClient,
    request: RerankRequest,
    added: Sequence[HitKey],
    keys: Sequence[HitKey],
    shards: int = 0,
    shell: RawObject | None = None,
) -> FetchedPage:
    """Fetch the hits of these keys, and the answer around them for the query widened by the `added` hits.

    That is not requested where it is known, as `shell`. The fingerprint of the index is requested as well, in
    so many `shards`' searches. Raises as `gather` does.
    """
    query = request.query.widen(added)
    searches = []
    if shell is None:
        around = {key: value for key, value in request.body.items() if key not in _SHAPE_KEYS}
        # `from` has OpenSearch refuse a page that lies too deep.
        searches.append(CallerSearch({**around, "query": query, "from": request.end, "size": 0}))
    if keys:
        searches.append(CallerSearch(_page_body(request, query, keys)))
    headers, answers = caller.search_all([*searches, *fingerprint_searches(shards, caller.has_identity)])
    if shell is None:
        shell, _ = read_around(answers[0])
        shell.pop("terminated_early", None)  # it is said of a search that wants neither hits nor a total
    hits = _read_hits(answers[len(searches) - 1], keys) if keys else {}
    return FetchedPage(hits, shell, headers, read_fingerprint(answers[len(searches) :], beside=shell))


def copy_shell(shell: RawObject) -> RawObject | None:
    """Return an answer without its hits apart from the bytes it came in; None where it is not complete."""
    shards: Any = decoded(shell.get("_shards"), {})
    if decoded(shell.get("timed_out")) or shards.get("failed"):
        return None
    return {key: value.copy() for key, value in shell.items()}


def fetch_hits(
    caller: CallerClient,
    request: RerankRequest,
    added: Sequence[HitKey],
    keys: Sequence[HitKey],
    doubtful: Sequence[HitKey] = (),
) -> tuple[Mapping[HitKey, RawObject], int]:
    """Fetch the hits of these keys alone, and count the `doubtful` ones that the caller's own query finds.

    Raises as `gather` does.
    """
    searches = [CallerSearch(_page_body(request, request.query.widen(added), keys))] if keys else []
    if doubtful:
        searches.append(CallerSearch(_count_body(request, doubtful)))
    answers = caller.search_all(searches)[1] if searches else []
    hits = _read_hits(answers[0], keys) if keys else {}
    return hits, read_total(answers[-1]) if doubtful else 0


def has_exact_total(shell: RawObject) -> bool:
    """Return whether an answer without its hits tells how many there are, and not only at least how many."""
    total = decoded(raw_object(shell["hits"]).get("total"))
    return isinstance(total, int) or (isinstance(total, dict) and total.get("relation") == "eq")


def grow_total(shell: RawObject, added: int) -> RawObject:
    """Return an answer without its hits, its exact total grown by hits that were added."""
    around = raw_object(shell["hits"])
    total: Any = decoded(around["total"])
    grown = {**total, "value": total["value"] + added} if isinstance(total, dict) else total + added
    return {**shell, "hits": Raw(dumps({**around, "total": grown}))}


def fetch_order(
    caller: CallerClient, request: RerankRequest, added: Sequence[HitKey], end: int
) -> tuple[Hit, ...]:
    """Return the first `end` hits of the widened query in OpenSearch's own order, by their keys alone."""
    keys = (*MATCH_KEYS, "collapse")
    body = {key: request.body[key] for key in keys if key in request.body}
    collapse = decoded(body.get("collapse"))
    if isinstance(collapse, dict):
        body["collapse"] = {"field": collapse.get("field")}  # type: ignore[assignment]
    slim = slim_body(False, with_ids=True)
    search = {**body, **slim, "query": request.query.widen(added), "size": end, "track_total_hits": False}
    answer = caller.search_all([CallerSearch(search)])[1][0]
    parsed = read_slim_answer(answer)
    if parsed.error:
        raise SearchRefused(parsed.status, error_sentence(parsed.error))
    groups = read_groups(request, answer) or repeat(b"")
    return tuple(
        Hit(*hit.key, hit.score, model=hit.model, group=group)
        for hit, group in zip(parsed.hits, groups, strict=False)
    )


def _count_body(request: RerankRequest, keys: Sequence[HitKey]) -> JsonObject:
    """Return the search that counts those of the hits of these keys that the caller's own query finds."""
    post_filter: Any = decoded(request.body.get("post_filter"))
    own = [strip_inner_hits(query) for query in (request.query.query, post_filter) if query]
    body = {"query": {"bool": {"filter": [match_hits(keys), *own]}}, "size": 0, "track_total_hits": len(keys)}
    return body | {key: request.body[key] for key in ("timeout", "derived") if key in request.body}


def _page_body(request: RerankRequest, query: JsonObject, keys: Sequence[HitKey]) -> JsonObject:
    """Return the search for the hits of a page, each as the caller's own search shows it."""
    body = request.body
    shape: JsonObject = {key: body[key] for key in (*_SHAPE_KEYS, "timeout", "derived") if key in body}
    if "stored_fields" in body:  # without `_id`, perhaps: then this tells which hit is which
        shape["docvalue_fields"] = [*request.docvalue_fields, fields.KEY]
    page = {**shape, "size": len(keys), "track_total_hits": False}
    if b"inner_hits" in bytes(body.get("collapse", b"")):
        # Inner hits are those of the whole query: the page's hits must come first by score alone.
        heads = {"constant_score": {"filter": match_hits(keys), "boost": HEAD_BOOST}}
        rest = {"post_filter": body["post_filter"]} if "post_filter" in body else {}
        return {**page, **rest, "query": {"bool": {"must": [query], "should": [heads]}}}
    if decoded(body.get("explain")):
        return {**page, "query": query, "post_filter": match_hits(keys)}
    ids: JsonObject = {"filter": [match_hits(keys)]}
    if _shows_in_hits(body):
        ids["should"] = [body["query"]]
    return {**page, "query": {"bool": ids}}


def _shows_in_hits(body: RawObject) -> bool:
    """Return whether a hit shows how the query matches it: highlights, clause names, inner hits."""
    query = bytes(body["query"])  # a backslash may stand for a letter of those words
    return "highlight" in body or any(word in query for word in (b"_name", b"inner_hits", b"\\"))


def _read_hits(answer: bytes, keys: Sequence[HitKey]) -> dict[HitKey, RawObject]:
    parsed = _complete_answer.decode(answer)
    if parsed.error:
        raise SearchRefused(parsed.status, error_sentence(parsed.error))
    if parsed.hits is None:
        raise ClusterDown(NO_ANSWER)
    page = set(keys)
    return {key: hit for hit in parsed.hits.hits if (key := _key(hit)) in page}


def _key(hit: RawObject) -> HitKey:
    index = msgspec.json.decode(hit["_index"], type=str)
    if "_id" in hit:
        return index, msgspec.json.decode(hit["_id"], type=str)
    values = msgspec.json.decode(hit.get("fields", b"{}"), type=dict[str, Raw])
    return index, read_product_id(msgspec.json.decode(values.get(fields.KEY, b"[]"), type=list[str]))
