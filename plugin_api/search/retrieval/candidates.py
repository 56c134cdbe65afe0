"""The first stage: gather the hits that are ranked.

Where vectors may add hits, one `_msearch` sends the caller's own query and a k-NN search, both for slim hits;
the page's hits are fetched complete once their order is known. Where they may not, the caller's own search is
sent for as many hits as the window has, and each hit is complete.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

import msgspec
from msgspec import Raw, Struct

from mappings import fields
from mappings.errors import ClusterDown
from mappings.types import JsonObject
from plugin_api.opensearch.client import NO_ANSWER, Headers
from plugin_api.opensearch.raw_json import RawObject, dumps, raw_object, raw_objects
from plugin_api.search.caller_key import has_identity
from plugin_api.search.query.types import RerankRequest
from plugin_api.search.retrieval.caller_client import (
    CallerClient,
    CallerSearch,
    SearchRefused,
    error_sentence,
)
from plugin_api.search.retrieval.hit import Hit, HitKey
from plugin_api.search.retrieval.index_fingerprint import (
    NO_FINGERPRINT,
    IndexFingerprint,
    fingerprint_searches,
    read_fingerprint,
)
from plugin_api.search.retrieval.slim_hits import SlimHit, id_body, read_slim_answer, slim_body
from plugin_api.search.retrieval.vector_cache import CallerVectors
from reranker.encoders.codec import quantise_vector
from reranker.types import Floats

QUERY_MATCHES = "attune.query_matches"
"""Name in `matched_queries` of those neighbours that the caller's own query matches."""

ADDED_FIELDS = (fields.ID, fields.TOKENS, fields.MODEL)
"""Doc values that complete hits are requested with on Attune's behalf."""

_MATCH_KEYS = ("query", "post_filter", "sort", "timeout")
"""Body keys that decide which hits there are, and in which order."""

_HIT_KEYS = (
    "_source", "fields", "script_fields", "docvalue_fields", "version", "seq_no_primary_term", "highlight",
    "track_scores",
)  # fmt: skip
"""Body keys that shape a hit. The others shape the answer around the hits."""


@dataclass(frozen=True, slots=True)
class Candidates:
    """What the first stage found.

    `own` are the best hits of the caller's own query, as many as the window has, and `below` the next ones
    down to the end of the page; `neighbours` are the nearest by vector. `shell` is OpenSearch's answer to the
    caller's search without its hits: total, aggregations. `complete_hits` are the own hits as they came,
    where they were requested complete. `fingerprint` is that of the index, empty where it is not known.
    """

    own: tuple[Hit, ...]
    below: tuple[Hit, ...] = ()
    neighbours: tuple[Hit, ...] = ()
    neighbours_error: str = ""
    shell: RawObject = field(default_factory=dict)
    headers: Headers = ()
    complete_hits: Mapping[HitKey, RawObject] | None = None
    fingerprint: IndexFingerprint = NO_FINGERPRINT


@dataclass(frozen=True, slots=True)
class FreshPage:
    """Complete hits as OpenSearch shows them to the caller now, and what stands around them."""

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


def gather(
    caller: CallerClient,
    request: RerankRequest,
    vector: Floats,  # (d,) unit length
    window: int,
    shards: int = 0,
    vectors: CallerVectors | None = None,
    with_ids: bool = False,
) -> Candidates:
    """Return the hits of the caller's own query, and the nearest by vector where these may join.

    Where they may, the fingerprint of the index is requested as well, unless `shards` is 0, and vectors that
    are in the cache are not requested. `with_ids` requests `_id`: documents without `attune.id` need it.
    Raises SearchRefused where OpenSearch refuses the caller's search, and as CallerClient does.
    """
    if not request.allows_vector_hits:
        return _own_hits(caller, request, window, vectors)
    trusted = vectors is not None and vectors.is_trusted
    slim = slim_body(with_vectors=not trusted, with_ids=with_ids)
    around = {key: value for key, value in request.body.items() if key not in _HIT_KEYS}
    neighbours_body = {**_near(request, vector, window), **slim, "size": window, "track_total_hits": False}
    searches = [CallerSearch({**around, **slim, "size": window}), CallerSearch(neighbours_body)]
    if request.end > window:
        matching = {key: request.body[key] for key in _MATCH_KEYS if key in request.body}
        below_window = {"from": window, "size": request.end - window, "track_total_hits": False}
        searches.append(CallerSearch({**matching, **id_body(with_ids), **below_window}))
    headers, answers = caller.search_all([*searches, *_fingerprint_searches(caller, shards)])
    own, near, *below = map(read_slim_answer, answers[: len(searches)])
    for answer in (own, *below):
        if answer.error:
            raise SearchRefused(answer.status, error_sentence(answer.error))
    own_hits, near_hits = ({hit.key: hit for hit in answer.hits.hits} for answer in (own, near))
    lower_hits = {hit.key: hit for answer in below for hit in answer.hits.hits}
    hits = near_hits | own_hits
    if not with_ids and not all(id_ for _, id_ in (*hits, *lower_hits)):
        return gather(caller, request, vector, window, shards, vectors, with_ids=True)
    cached = vectors.recall(hits) if vectors else {}
    usable = cached if trusted else {}
    missing = {key: hit for key, hit in hits.items() if key not in usable}
    fetched = _fetch_vectors(caller, missing, with_ids) if trusted and missing else missing
    shown = {key: (hit, _readable_vectors(hit, vectors)) for key, hit in fetched.items()}
    if vectors:
        vectors.remember(len(cached) / max(len(hits), 1), shown.values())
    # A hit that is not in it was deleted meanwhile.
    known = usable | {key: held for key, (_, held) in shown.items()}
    shell, _ = _split_answer(answers[0])
    return Candidates(
        own=tuple(_keyword_hit(key, hit, known[key]) for key, hit in own_hits.items() if key in known),
        below=tuple(_keyword_hit(key, hit, b"") for key, hit in lower_hits.items()),
        neighbours=tuple(_vector_hit(key, hit, known[key]) for key, hit in near_hits.items() if key in known),
        neighbours_error=error_sentence(near.error) if near.error else "",
        shell=shell,
        headers=headers,
        fingerprint=read_fingerprint(answers[len(searches) :], beside=shell),
    )


def fetch_page(
    caller: CallerClient, request: RerankRequest, keys: Sequence[HitKey]
) -> Mapping[HitKey, RawObject]:
    """Fetch complete hits as the caller's own search would show them, highlights included.

    A hit that OpenSearch no longer has, or does not show this caller, is missing. Raises as `gather` does.
    """
    if not keys:
        return {}
    _, answers = caller.search_all([_page_search(request, keys)])
    return _read_page(answers[0], keys)


def fetch_fresh_page(
    caller: CallerClient, request: RerankRequest, keys: Sequence[HitKey], shards: int
) -> FreshPage:
    """Fetch complete hits as `fetch_page` does, the answer around them, and the fingerprint of the index."""
    around = {key: value for key, value in request.body.items() if key not in _HIT_KEYS}
    searches = [CallerSearch({**around, "size": 0}), *([_page_search(request, keys)] if keys else [])]
    headers, answers = caller.search_all([*searches, *_fingerprint_searches(caller, shards)])
    hits = _read_page(answers[1], keys) if keys else {}
    shell, _ = _split_answer(answers[0])
    return FreshPage(hits, shell, headers, read_fingerprint(answers[len(searches) :], beside=shell))


def _fingerprint_searches(caller: CallerClient, shards: int) -> list[CallerSearch]:
    return fingerprint_searches(shards, has_identity(caller.call.headers))


def _page_search(request: RerankRequest, keys: Sequence[HitKey]) -> CallerSearch:
    query: JsonObject = {"filter": [_ids_query(keys)]}
    if "query" in request.body and _shows_in_hits(request.body):
        query["should"] = [request.body["query"]]
    shape = {key: request.body[key] for key in (*_HIT_KEYS, "sort", "timeout") if key in request.body}
    return CallerSearch({**shape, "query": {"bool": query}, "size": len(keys), "track_total_hits": False})


def _ids_query(keys: Sequence[HitKey]) -> JsonObject:
    """Return the query for these hits and no others: indexes may have the same ids."""
    by_index: dict[str, list[str]] = {}
    for index, id_ in keys:
        by_index.setdefault(index, []).append(id_)
    if len(by_index) == 1:
        return {"ids": {"values": [id_ for _, id_ in keys]}}
    of_each = [
        {"bool": {"filter": [{"term": {"_index": index}}, {"ids": {"values": ids}}]}}
        for index, ids in by_index.items()
    ]
    return {"bool": {"should": of_each, "minimum_should_match": 1}}


def _read_page(answer: bytes, keys: Sequence[HitKey]) -> dict[HitKey, RawObject]:
    parsed = _complete_answer.decode(answer)
    if parsed.error:
        raise SearchRefused(parsed.status, error_sentence(parsed.error))
    if parsed.hits is None:
        raise ClusterDown(NO_ANSWER)
    page = set(keys)
    return {key: hit for hit in parsed.hits.hits if (key := _key(hit)) in page}


def nearest(vector: Floats, k: int, conditions: Sequence[JsonObject]) -> JsonObject:
    """Return the query for the `k` products nearest to a vector (d,) among those that meet the conditions."""
    near: JsonObject = {"vector": quantise_vector(vector), "k": k}
    if conditions:
        near["filter"] = {"bool": {"filter": list(conditions)}}
    return {"knn": {fields.VECTOR: near}}


def _own_hits(
    caller: CallerClient, request: RerankRequest, window: int, vectors: CallerVectors | None
) -> Candidates:
    """Send the caller's own search for complete hits."""
    values = [*request.docvalue_fields, *ADDED_FIELDS]
    size = max(window, request.end)
    response = caller.search({**request.body, "from": 0, "size": size, "docvalue_fields": values})
    slim = read_slim_answer(response.body).hits.hits
    shell, complete = _split_answer(response.body)
    own = tuple(_keyword_hit(hit.key, hit, _readable_vectors(hit, vectors)) for hit in slim)
    return Candidates(
        own[:window],
        own[window:],
        shell=shell,
        headers=response.headers,
        complete_hits={hit.key: whole for hit, whole in zip(slim, raw_objects(complete), strict=True)},
    )


def _fetch_vectors(caller: CallerClient, hits: Collection[HitKey], with_ids: bool) -> dict[HitKey, SlimHit]:
    """Fetch hits again, with their vectors; one that was deleted meanwhile is missing."""
    query = {"bool": {"filter": [_ids_query(sorted(hits))]}}
    body = {"query": query, "size": len(hits), "track_total_hits": False, **slim_body(True, with_ids)}
    answer = read_slim_answer(caller.search_all([CallerSearch(body)])[1][0])
    if answer.error:
        raise SearchRefused(answer.status, error_sentence(answer.error))
    return {hit.key: hit for hit in answer.hits.hits if hit.key in hits}


def _near(request: RerankRequest, vector: Floats, window: int) -> JsonObject:
    query: JsonObject = {"must": [nearest(vector, window, request.conditions)]}
    if "query" in request.body:
        # At weight 0 the caller's query only tells which of the neighbours it matches too.
        query["should"] = [{"bool": {"must": [request.body["query"]], "_name": QUERY_MATCHES, "boost": 0}}]
    return {"query": {"bool": query}}


def _shows_in_hits(body: RawObject) -> bool:
    """Return whether a hit shows how the query matches it: highlights, clause names, inner hits."""
    query = bytes(body["query"])  # a backslash may stand for a letter of those words
    return "highlight" in body or any(word in query for word in (b"_name", b"inner_hits", b"\\"))


def _split_answer(answer: bytes) -> tuple[RawObject, Raw]:
    """Return an answer without its hits, and the hits. Raises SearchRefused where it is an error."""
    body = raw_object(answer)
    if "error" in body:
        raise SearchRefused(int(bytes(body.get("status", b"500"))), error_sentence(body["error"]))
    around = raw_object(body["hits"])
    hits = around.pop("hits", Raw(b"[]"))
    shell = {key: value for key, value in body.items() if key != "status"} | {"hits": Raw(dumps(around))}
    return shell, hits


def _readable_vectors(hit: SlimHit, vectors: CallerVectors | None) -> bytes:
    """Return the vectors that OpenSearch shows of a hit; empty where the model can't read them."""
    shown = hit.vectors
    return shown if vectors is None or (shown and vectors.is_readable(shown)) else b""


def _keyword_hit(key: HitKey, hit: SlimHit, vectors: bytes) -> Hit:
    return Hit(*key, hit.score or 0.0, 0.0, vectors, hit.model)


def _vector_hit(key: HitKey, hit: SlimHit, vectors: bytes) -> Hit:
    is_added = QUERY_MATCHES not in hit.matched_queries
    return Hit(*key, 0.0, hit.score or 0.0, vectors, hit.model, is_added)


def _key(hit: RawObject) -> HitKey:
    return msgspec.json.decode(hit["_index"], type=str), msgspec.json.decode(hit["_id"], type=str)
