"""The first stage: which hits are ranked, and what each was found by.

Where vectors may add hits, one `_msearch` asks the caller's own query and k-NN for bare hits, token vectors
and nothing else: leaving `_id` and `_source` on disk makes it three times as fast. The page's hits are
fetched whole once their order is known. Where they may not, the caller's own search is asked for as many hits
as the window holds, and each already is whole.
"""

import binascii
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec
from msgspec import Raw, Struct

from mappings import fields
from mappings.errors import BadRequest, ClusterDown, ModelError
from mappings.types import Hit, JsonObject
from plugin_api.index_state import STATE_SEARCH, read_state
from plugin_api.json_bytes import RawObject, as_list, decoded, dumps, raw_object, raw_objects
from plugin_api.request import HEADER_PARAMETERS, SHARED_PARAMETERS, RerankRequest
from plugin_api.upstream import NO_ANSWER, Headers, Reply, Upstream, with_query
from reranker.stored import whole_numbers
from reranker.types import Floats

STORED = (fields.TOKENS, fields.MODEL)

FOUND = "attune.found"
"""Name in `matched_queries` of those neighbours that the caller's own query finds."""

MATCH_KEYS = ("query", "post_filter", "timeout")
"""Body keys that decide which hits there are, and in which order."""

HIT_KEYS = (
    "_source", "fields", "script_fields", "docvalue_fields", "version", "seq_no_primary_term", "highlight",
    "track_scores",
)  # fmt: skip
"""Body keys that shape a hit; the others shape the answer around the hits."""

BARE: JsonObject = {"stored_fields": "_none_", "_source": False}

Key = tuple[str, str]
"""What tells a hit from all others, also where an alias spans several indexes: index and id."""


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


class _BareFields(Struct, rename={"id": fields.ID, "tokens": fields.TOKENS, "model": fields.MODEL}):
    id: list[str] = []
    tokens: list[str] = []
    model: list[str] = []


class _BareHit(Struct, rename={"index": "_index", "score": "_score"}):
    index: str
    score: float | None = None
    fields: _BareFields | None = None
    matched_queries: list[str] | dict[str, float] = []


class _BareHits(Struct, frozen=True):
    hits: list[_BareHit] = []


class _BareAnswer(Struct, frozen=True):
    hits: _BareHits = _BareHits()
    error: Raw = Raw()
    status: int = 200


class _FoundHits(Struct, frozen=True):
    hits: list[RawObject] = []


class _Found(Struct, frozen=True):
    hits: _FoundHits | None = None
    error: Raw = Raw()
    status: int = 200


class _Responses(Struct):
    responses: list[Raw]


_bare = msgspec.json.Decoder(_BareAnswer)
_found = msgspec.json.Decoder(_Found)
_responses = msgspec.json.Decoder(_Responses)


def gather(
    upstream: Upstream,
    request: RerankRequest,
    vector: Floats,  # (d,) unit length
    window: int,
    timeout_seconds: float,
    watched: bool = False,
) -> FirstStage:
    """Ask for the hits of the caller's own query, and for the nearest by vector where these may join.

    And, if `watched`, for the state of the index, where vectors may join. Raises BadRequest when OpenSearch
    refuses the caller's query, ModelError where the hits are not Attune's, TimeoutError and ClusterDown.
    """
    if not request.widens:
        return _own_hits(upstream, request, window, timeout_seconds)
    end = request.start + request.size
    bare = {key: request.body[key] for key in MATCH_KEYS if key in request.body} | BARE
    around = {key: value for key, value in request.body.items() if key not in HIT_KEYS}
    stored = {**BARE, "docvalue_fields": [fields.ID, *STORED]}
    searches: list[JsonObject] = [
        {**around, **stored, "size": window},
        {**_near(request, vector, window), **stored, "size": window, "track_total_hits": False},
    ]
    if end > window:
        below = {"from": window, "size": end - window, "docvalue_fields": [fields.ID]}
        searches.append({**bare, **below, "track_total_hits": False})
    if watched:
        searches.append(STATE_SEARCH)
    headers, answers = _ask_all(upstream, request, searches, timeout_seconds)
    state = read_state(answers.pop()) if watched else b""
    own, neighbours, *below_window = (_bare.decode(answer) for answer in answers)
    for answer in (own, *below_window):
        if answer.error:
            raise _refused(answer.status, reason(answer.error))
    shell = raw_object(answers[0])
    shell["hits"] = Raw(dumps({k: v for k, v in raw_object(shell["hits"]).items() if k != "hits"}))
    shell.pop("status", None)
    everything = (*own.hits.hits, *(hit for answer in below_window for hit in answer.hits.hits))
    return FirstStage(
        own=tuple(_candidate(hit, found=True) for hit in everything),
        neighbours=tuple(_candidate(hit, FOUND in hit.matched_queries) for hit in neighbours.hits.hits),
        neighbours_error=reason(neighbours.error) if neighbours.error else "",
        shell=shell,
        headers=headers,
        state=state,
    )


def fetch(
    upstream: Upstream,
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
    _, answers = _ask_all(upstream, request, searches, timeout_seconds)
    state = read_state(answers[0]) if watched else b""
    if not keys:
        return Page({}, state)
    found = _found.decode(answers[-1])
    if found.error:
        raise _refused(found.status, reason(found.error))
    if found.hits is None:
        raise ClusterDown(NO_ANSWER)
    wanted = set(keys)
    return Page({key: hit for hit in found.hits.hits if (key := _key(hit)) in wanted}, state)


def _shows_in_hits(body: RawObject) -> bool:
    """Whether a hit shows how the query found it: in highlights, names of clauses, inner hits."""
    query = bytes(body["query"])  # a backslash may stand for a letter of those words
    return "highlight" in body or any(word in query for word in (b"_name", b"inner_hits", b"\\"))


def nearest(vector: Floats, k: int, conditions: Sequence[JsonObject]) -> JsonObject:
    """The query for the `k` products nearest to a vector (d,) among those that meet the conditions."""
    near: JsonObject = {"vector": whole_numbers(vector), "k": k}
    if conditions:
        near["filter"] = {"bool": {"filter": list(conditions)}}
    return {"knn": {fields.VECTOR: near}}


def reason(error: Raw | bytes) -> str:
    """The sentence of an OpenSearch error."""
    found = msgspec.json.decode(error)
    if not isinstance(found, dict):
        return str(found)
    causes = found.get("root_cause") or [found]
    return f"{causes[0].get('type')}: {causes[0].get('reason')}"


def _own_hits(upstream: Upstream, request: RerankRequest, window: int, timeout_seconds: float) -> FirstStage:
    size = max(window, request.start + request.size)
    docvalues = [*as_list(decoded(request.body.get("docvalue_fields"))), *STORED]
    body = dumps({**request.body, "from": 0, "size": size, "docvalue_fields": docvalues})
    reply = _post(
        upstream, request, request.call.path, request.params, body, "application/json", timeout_seconds
    )
    if reply.status != 200:
        raise _refused(reply.status, _refusal(reply))
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


def _ask_all(
    upstream: Upstream, request: RerankRequest, searches: Sequence[JsonObject], timeout_seconds: float
) -> tuple[Headers, list[bytes]]:
    """Send searches in one round trip; several one by one for a caller who may `_search` only."""
    header = {name: value for name, value in request.params.items() if name in HEADER_PARAMETERS}
    if len(searches) == 1:
        return _ask_each(upstream, request, header, searches, timeout_seconds)
    index = f"/{request.call.index}" if request.call.index else ""
    shared = {name: value for name, value in request.params.items() if name in SHARED_PARAMETERS}
    head = dumps(header)
    lines = b"".join(b"%b\n%b\n" % (head, dumps(search).replace(b"\n", b" ")) for search in searches)
    ndjson = "application/x-ndjson"
    reply = _post(upstream, request, f"{index}/_msearch", shared, lines, ndjson, timeout_seconds)
    if reply.status == 403:
        return _ask_each(upstream, request, header | shared, searches, timeout_seconds)
    if reply.status != 200:
        raise _refused(reply.status, _refusal(reply))
    return reply.headers, [bytes(answer) for answer in _responses.decode(reply.body).responses]


def _ask_each(
    upstream: Upstream,
    request: RerankRequest,
    params: Mapping[str, str],
    searches: Sequence[JsonObject],
    timeout_seconds: float,
) -> tuple[Headers, list[bytes]]:
    path, json_type = request.call.path, "application/json"
    replies = [
        _post(upstream, request, path, params, dumps(search), json_type, timeout_seconds)
        for search in searches
    ]
    if replies[0].status == 403:
        raise BadRequest(_refusal(replies[0]))
    return replies[0].headers, [answer.body for answer in replies]


def _post(
    upstream: Upstream,
    request: RerankRequest,
    path: str,
    params: Mapping[str, str],
    body: bytes,
    content_type: str,
    timeout_seconds: float,
) -> Reply:
    headers = {**request.call.headers, "content-type": content_type}
    return upstream.ask("POST", with_query(path, params), headers, body, timeout_seconds)


def _refused(status: int, why: str) -> BadRequest | ClusterDown:
    """The error for a search that OpenSearch refuses: the caller's own, or that of a cluster in trouble."""
    if status != 429 and status < 500:
        return BadRequest(why)
    said = f"OpenSearch answered {status}"
    return ClusterDown(why if why == said else f"{said}: {why}")


def _refusal(reply: Reply) -> str:
    try:
        return reason(raw_object(reply.body)["error"])
    except (ValueError, KeyError):
        return f"OpenSearch answered {reply.status}"


def _candidate(hit: _BareHit, found: bool) -> Hit:
    values = hit.fields or _BareFields()
    if not values.id:
        raise ModelError(
            f"a hit of {hit.index} has no {fields.ID}: index the catalogue with `attune index` for its "
            "searches to be reranked"
        )
    return _made(hit.index, values.id[0], hit.score, values.tokens, values.model, found)


def _whole_candidate(key: Key, hit: RawObject) -> Hit:
    values = raw_object(hit["fields"]) if "fields" in hit else {}
    tokens, model = (as_list(decoded(values.get(name))) for name in STORED)
    score = decoded(hit.get("_score"))
    return _made(*key, score if isinstance(score, int | float) else None, tokens, model, found=True)


def _made(
    index: str, id_: str, score: float | None, tokens: Sequence[object], model: Sequence[object], found: bool
) -> Hit:
    stored = b""
    if tokens:
        try:
            stored = binascii.a2b_base64(f"{tokens[0]}==")  # OpenSearch leaves the padding out
        except binascii.Error as error:
            raise ModelError(f"product {id_} in {index}: {fields.TOKENS} is no base64") from error
    return Hit(index, id_, score or 0.0, stored, str(model[0]) if model else "", found)


def _key(hit: RawObject) -> Key:
    return msgspec.json.decode(hit["_index"], type=str), msgspec.json.decode(hit["_id"], type=str)
