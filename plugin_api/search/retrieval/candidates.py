"""The first stage: which hits are ranked, and what each was found by.

Where vectors may add hits, one `_msearch` asks the caller's own query and k-NN for bare hits. The page's
hits are fetched whole once their order is known. Where they may not, the caller's own search is asked for as
many hits as the window holds, and each already is whole.
"""

import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import msgspec
from msgspec import Raw, Struct

from mappings import fields
from mappings.errors import ClusterDown
from mappings.types import Hit, JsonObject
from plugin_api.opensearch.client import NO_ANSWER, OpenSearchClient
from plugin_api.opensearch.connection import Headers
from plugin_api.opensearch.raw_json import RawObject, as_list, decoded, dumps, raw_object, raw_objects
from plugin_api.search.query.request import RerankRequest
from plugin_api.search.retrieval.as_caller import JSON, ask_all, post, reason, refusal, refused
from plugin_api.search.retrieval.index_fingerprint import STATE_SEARCH, read_state
from plugin_api.search.retrieval.slim_hits import (
    BARE,
    STORED,
    BareHit,
    Key,
    bare,
    bare_answer,
    candidate,
    read_vectors,
    recall,
    vector_bytes,
)
from plugin_api.search.retrieval.vector_cache import CallersVectors
from reranker.encoders.codec import quantise_vector
from reranker.types import Floats

FOUND = "attune.found"
"""Name in `matched_queries` of those neighbours that the caller's own query finds."""

MATCH_KEYS = ("query", "post_filter", "timeout")
"""Body keys that decide which hits there are, and in which order."""

HIT_KEYS = (
    "_source", "fields", "script_fields", "docvalue_fields", "version", "seq_no_primary_term", "highlight",
    "track_scores",
)  # fmt: skip
"""Body keys that shape a hit; the others shape the answer around the hits."""


@dataclass(frozen=True, slots=True)
class FirstStage:
    """What OpenSearch answered.

    `own` are the hits of the caller's own query down to the end of the window or of the page, `neighbours`
    the nearest by vector. `shell` is the caller's answer, its `hits` without hits: total, aggregations.
    `whole` are the own hits as they came, where they were asked for whole. `state` is that of the index at
    about the time (`index_state`), b"" where it was not asked for or is not known.
    """

    own: tuple[Hit, ...]
    neighbours: tuple[Hit, ...]
    neighbours_error: str
    shell: RawObject
    headers: Headers
    whole: Mapping[Key, RawObject] | None = None
    state: bytes = b""


@dataclass(frozen=True, slots=True)
class Page:
    """Hits as the caller's own search would show them, and the state of the index as in FirstStage."""

    hits: Mapping[Key, RawObject]
    state: bytes = b""


class _FoundHits(Struct, frozen=True):
    hits: list[RawObject] = []


class _Found(Struct, frozen=True):
    hits: _FoundHits | None = None
    error: Raw = Raw()
    status: int = 200


_found = msgspec.json.Decoder(_Found)


def gather(
    client: OpenSearchClient,
    request: RerankRequest,
    vector: Floats,  # (d,) unit length
    window: int,
    timeout_seconds: float,
    watched: bool = False,
    known: CallersVectors | None = None,
) -> FirstStage:
    """Ask for the hits of the caller's own query, and for the nearest by vector where these may join.

    Where they may, `watched` asks for the state of the index as well, and token vectors that are `known` are
    not asked for. Raises BadRequest when OpenSearch refuses the caller's query, ModelError where the hits
    are not Attune's, TimeoutError and ClusterDown.
    """
    if not request.widens:
        return _own_hits(client, request, window, timeout_seconds)
    end = request.start + request.size
    matching = {key: request.body[key] for key in MATCH_KEYS if key in request.body}
    around = {key: value for key, value in request.body.items() if key not in HIT_KEYS}
    ends = time.monotonic() + timeout_seconds
    trusted = known is not None and known.trusted
    searches: list[JsonObject] = [
        {**around, **bare(trusted), "size": window},
        {**_near(request, vector, window), **bare(trusted), "size": window, "track_total_hits": False},
    ]
    if end > window:
        below = {"from": window, "size": end - window, "docvalue_fields": [fields.ID]}
        searches.append({**matching, **BARE, **below, "track_total_hits": False})
    if watched:
        searches.append(STATE_SEARCH)
    headers, answers = ask_all(client, request, searches, timeout_seconds)
    state = read_state(answers.pop()) if watched else b""
    own, neighbours, *below_window = (bare_answer(answer) for answer in answers)
    for answer in (own, *below_window):
        if answer.error:
            raise refused(answer.status, reason(answer.error))
    shell = raw_object(answers[0])
    shell["hits"] = Raw(dumps({k: v for k, v in raw_object(shell["hits"]).items() if k != "hits"}))
    shell.pop("status", None)
    ranked = [*own.hits.hits, *neighbours.hits.hits]
    gone: Collection[Key] = ()
    if known and trusted:
        gone = recall(client, request, known, ranked, ends - time.monotonic())
    else:
        read_vectors(ranked, known)
    everything = [*own.hits.hits, *(hit for answer in below_window for hit in answer.hits.hits)]
    return FirstStage(
        own=tuple(candidate(hit, found=True) for hit in _less(everything, gone)),
        neighbours=tuple(
            candidate(hit, FOUND in hit.matched_queries) for hit in _less(neighbours.hits.hits, gone)
        ),
        neighbours_error=reason(neighbours.error) if neighbours.error else "",
        shell=shell,
        headers=headers,
        state=state,
    )


def fetch(
    client: OpenSearchClient,
    request: RerankRequest,
    keys: Sequence[Key],
    timeout_seconds: float,
    watched: bool = False,
) -> Page:
    """Fetch hits whole, as the caller's own search would show them, highlights and all.

    One that OpenSearch no longer has, or does not show this caller, is missing. With the state of the index
    if `watched`. Raises as `gather` does.
    """
    searches: list[JsonObject] = [STATE_SEARCH] if watched else []
    if keys:
        query: JsonObject = {"filter": [{"ids": {"values": [id_ for _, id_ in keys]}}]}
        if "query" in request.body and _shows_in_hits(request.body):
            query["should"] = [request.body["query"]]
        indexes = len({index for index, _ in keys})  # others may have the same ids
        shape = {key: request.body[key] for key in (*HIT_KEYS, "timeout") if key in request.body}
        size = len(keys) * indexes
        searches.append({**shape, "query": {"bool": query}, "size": size, "track_total_hits": False})
    if not searches:
        return Page({})
    _, answers = ask_all(client, request, searches, timeout_seconds)
    state = read_state(answers[0]) if watched else b""
    if not keys:
        return Page({}, state)
    found = _found.decode(answers[-1])
    if found.error:
        raise refused(found.status, reason(found.error))
    if found.hits is None:
        raise ClusterDown(NO_ANSWER)
    wanted = set(keys)
    return Page({key: hit for hit in found.hits.hits if (key := _key(hit)) in wanted}, state)


def _less(hits: list[BareHit], gone: Collection[Key]) -> list[BareHit]:
    return [hit for hit in hits if hit.key not in gone] if gone else hits


def _shows_in_hits(body: RawObject) -> bool:
    """Whether a hit shows how the query found it: in highlights, names of clauses, inner hits."""
    query = bytes(body["query"])  # a backslash may stand for a letter of those words
    return "highlight" in body or any(word in query for word in (b"_name", b"inner_hits", b"\\"))


def nearest(vector: Floats, k: int, conditions: Sequence[JsonObject]) -> JsonObject:
    """The query for the `k` products nearest to a vector (d,) among those that meet the conditions."""
    near: JsonObject = {"vector": quantise_vector(vector), "k": k}
    if conditions:
        near["filter"] = {"bool": {"filter": list(conditions)}}
    return {"knn": {fields.VECTOR: near}}


def _own_hits(
    client: OpenSearchClient, request: RerankRequest, window: int, timeout_seconds: float
) -> FirstStage:
    size = max(window, request.start + request.size)
    docvalues = [*as_list(decoded(request.body.get("docvalue_fields"))), *STORED]
    body = dumps({**request.body, "from": 0, "size": size, "docvalue_fields": docvalues})
    reply = post(client, request, request.call.path, request.params, body, JSON, timeout_seconds)
    if reply.status != 200:
        raise refused(reply.status, refusal(reply))
    shell = raw_object(reply.body)
    around = raw_object(shell["hits"])
    hits = raw_objects(around.pop("hits"))
    shell["hits"] = Raw(dumps(around))
    whole = {_key(hit): hit for hit in hits}
    own = tuple(_whole_candidate(key, hit) for key, hit in whole.items())
    return FirstStage(own, (), "", shell, reply.headers, whole)


def _near(request: RerankRequest, vector: Floats, window: int) -> JsonObject:
    query: JsonObject = {"must": [nearest(vector, window, request.conditions)]}
    if "query" in request.body:
        # The caller's query, at no weight, only tells which of the neighbours it finds as well.
        query["should"] = [{"bool": {"must": [request.body["query"]], "_name": FOUND, "boost": 0}}]
    return {"query": {"bool": query}}


def _whole_candidate(key: Key, hit: RawObject) -> Hit:
    values = raw_object(hit["fields"]) if "fields" in hit else {}
    tokens, model = (as_list(decoded(values.get(name))) for name in STORED)
    score = decoded(hit.get("_score"))
    stored = vector_bytes(*key, str(tokens[0])) if tokens else b""
    return Hit(*key, score if isinstance(score, float | int) else 0.0, stored, str(model[0]) if model else "")


def _key(hit: RawObject) -> Key:
    return msgspec.json.decode(hit["_index"], type=str), msgspec.json.decode(hit["_id"], type=str)
