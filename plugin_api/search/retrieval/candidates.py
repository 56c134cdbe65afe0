"""The first stage: gather the hits that are ranked, and the products near the text that may join them.

One `_msearch` sends the caller's own query and a k-NN search, both for slim hits; the page's hits are fetched
complete once their order is known. A search with something that Attune's own searches can't carry is sent
whole instead, for as many hits as the window has: each is complete, and none is added.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import msgspec
from msgspec import Raw, Struct

from mappings import fields
from mappings.types import JsonObject
from plugin_api.opensearch.client import Headers
from plugin_api.opensearch.raw_json import RawObject, decoded, dumps, raw_object, raw_objects
from plugin_api.search.query.clauses import MATCH_ALL, match_hits
from plugin_api.search.query.text import QueryText
from plugin_api.search.query.types import RerankRequest, TextSearch
from plugin_api.search.retrieval.caller_client import (
    CallerClient,
    CallerSearch,
    SearchRefused,
    error_sentence,
)
from plugin_api.search.retrieval.demand_clauses import build_demand_clauses
from plugin_api.search.retrieval.hit import Hit, HitKey
from plugin_api.search.retrieval.index_fingerprint import (
    NO_FINGERPRINT,
    IndexFingerprint,
    fingerprint_searches,
    read_fingerprint,
)
from plugin_api.search.retrieval.slim_hits import SlimAnswer, SlimHit, read_slim_answer, slim_body
from plugin_api.search.retrieval.vector_cache import CallerVectors
from reranker.encoders.codec import quantise_vector
from reranker.text.query_type import find_model_numbers
from reranker.types import Floats

MEETS_CONDITIONS = "attune.meets_conditions"
"""Name in `matched_queries` of those neighbours that meet the conditions of the caller's query."""

IS_OWN = "attune.is_own"
"""Name in `matched_queries` of those neighbours that the caller's own query finds."""

HOLDS_NUMBER = "attune.holds_number"
"""Beginning of the names in `matched_queries` of the text's model numbers that a hit holds."""

ADDED_FIELDS = (fields.ID, fields.TOKENS, fields.MODEL)
"""Doc values that complete hits are requested with on Attune's behalf."""

_TOTAL_KEYS = frozenset({"track_total_hits"})
"""Body keys that say how far hits are counted."""

_MAX_NUMBERS = 3
"""Model numbers of a text that hits are asked for."""

MATCH_KEYS = ("post_filter", "sort", "timeout", "rescore", "indices_boost", "derived")
"""Body keys beside the query that decide which hits there are, and in which order."""


@dataclass(frozen=True, slots=True)
class CompleteAnswer:
    """The answer to a search that was sent whole: the hits as they came, and what stands around them."""

    shell: RawObject
    hits: Mapping[HitKey, RawObject]
    below: tuple[Hit, ...]


@dataclass(frozen=True, slots=True)
class Candidates:
    """What the first stage found.

    `own` are the best hits of the caller's own query, as many as the window has; `neighbours` are the nearest
    to the text by vector, whatever the caller's conditions; `satisfying` are further hits of the caller's
    query, those that meet what its text demands. `complete` is the answer where the caller's
    search was sent whole. `fingerprint` is that of the index, empty where it is not known.
    """

    own: tuple[Hit, ...] = ()
    neighbours: tuple[Hit, ...] = ()
    satisfying: tuple[Hit, ...] = ()
    neighbours_error: str = ""
    shell: RawObject | None = None
    headers: Headers = ()
    complete: CompleteAnswer | None = None
    fingerprint: IndexFingerprint = NO_FINGERPRINT


class _Total(Struct, frozen=True):
    value: int = 0


class _CountedHits(Struct, frozen=True):
    total: _Total = _Total()


class _Counted(Struct, frozen=True):
    hits: _CountedHits = _CountedHits()
    error: Raw = Raw()
    status: int = 200


class _Group(Struct, frozen=True):
    fields: dict[str, Raw] = {}


class _GroupHits(Struct, frozen=True):
    hits: list[_Group] = []


class _Groups(Struct, frozen=True):
    hits: _GroupHits = _GroupHits()


_counted = msgspec.json.Decoder(_Counted)
_groups = msgspec.json.Decoder(_Groups)


@dataclass(frozen=True, slots=True)
class Gathering:
    """How the first stage is gathered.

    The fingerprint of the index is requested in so many `shards`' searches, in none for 0. Where it `trusts`
    the `vectors` of a cache, those are not requested. `with_ids` requests `_id`, for documents without
    `attune.id`.
    """

    shards: int = 0
    vectors: CallerVectors | None = None
    trusts: bool = False
    with_ids: bool = False

    @classmethod
    def by(cls, vectors: CallerVectors, shards: int = 0) -> "Gathering":
        """Return how to gather with a cache that is trusted as far as it is now."""
        return cls(shards, vectors, vectors.is_trusted)


def gather(
    caller: CallerClient,
    request: RerankRequest,
    vector: Floats | None,  # (d,) unit length
    window: int,
    how: Gathering = Gathering(),
) -> Candidates:
    """Return the hits of the caller's own query, and the products nearest to `vector`, if one is given.

    Raises SearchRefused where OpenSearch refuses the caller's search, and as CallerClient does.
    """
    if request.fixed:
        return _gather_whole(caller, request, window, how.vectors)
    body = {
        **{key: request.body[key] for key in MATCH_KEYS if key in request.body},
        "query": _with_named(request.body["query"], number_clauses(request.query, request.text)),
    }
    own_search = _slim_search(body, request, window, how)
    if request.wants_hits_alone:
        del own_search.body["track_total_hits"]
        own_search.body.update({key: request.body[key] for key in _TOTAL_KEYS & request.body.keys()})
    searches = [own_search]
    if vector is not None:
        searches.append(_near_search(request, vector, window, how))
    clauses = _demand_clauses(request)
    if clauses:
        demanding = {**body, "query": {"bool": {"must": [body["query"]], "filter": clauses}}}
        searches.append(_slim_search(demanding, request, window, how))
    headers, answers = caller.search_all([*searches, *fingerprint_searches(how.shards, caller.has_identity)])
    own, *near = map(read_slim_answer, answers[: len(searches)])
    if own.error:
        raise SearchRefused(own.status, error_sentence(own.error))
    satisfying = near.pop().hits.hits if clauses else []
    hits = [hit for found in (own.hits.hits, *(one.hits.hits for one in near), satisfying) for hit in found]
    if not (how.with_ids or request.hides_ids) and not all(hit.id for hit in hits):
        return gather(caller, request, vector, window, replace(how, with_ids=True))
    known = _find_vectors(caller, hits, how)
    neighbours = _near_candidates(request, near[0], answers[1], known) if near else Candidates()
    return replace(
        neighbours,
        own=tuple(_own_hits(own.hits.hits, known, _read_groups(request, answers[0]))),
        satisfying=tuple(_own_hits(satisfying, known, _read_groups(request, answers[len(searches) - 1]))),
        shell=read_around(answers[0])[0] if request.wants_hits_alone else None,
        headers=headers,
        fingerprint=read_fingerprint(answers[len(searches) :], beside=raw_object(answers[0])),
    )


def gather_neighbours(
    caller: CallerClient,
    search: TextSearch,
    vector: Floats,  # (d,) unit length
    window: int,
    how: Gathering = Gathering(),
) -> Candidates:
    """Return the products nearest to a vector. Raises as `gather` does."""
    fingerprint = fingerprint_searches(how.shards, caller.has_identity)
    searches = [_near_search(search, vector, window, how), *fingerprint]
    headers, answers = caller.search_all(searches)
    near = read_slim_answer(answers[0])
    if not how.with_ids and not all(hit.id for hit in near.hits.hits):
        return gather_neighbours(caller, search, vector, window, replace(how, with_ids=True))
    known = _find_vectors(caller, near.hits.hits, how)
    return replace(
        _near_candidates(search, near, answers[0], known),
        headers=headers,
        fingerprint=read_fingerprint(answers[1:], beside=raw_object(answers[0])),
    )


def count_hits(caller: CallerClient, search: TextSearch, most: int) -> int:
    """Return how many hits the text has without the conditions around it, counted up to `most`."""
    body: JsonObject = {"query": search.query.clause, "size": 0, "track_total_hits": most}
    answer = caller.search_all([CallerSearch(body)])[1][0]
    counted = _counted.decode(answer)
    if counted.error:
        raise SearchRefused(counted.status, error_sentence(counted.error))
    return counted.hits.total.value


def nearest(vector: Floats, k: int, conditions: Sequence[JsonObject]) -> JsonObject:
    """Return the query for the `k` products nearest to a vector (d,) among those that meet the conditions."""
    near: JsonObject = {"vector": quantise_vector(vector), "k": k}
    if conditions:
        near["filter"] = {"bool": {"filter": list(conditions)}}
    return {"knn": {fields.VECTOR: near}}


def number_clauses(query: QueryText, text: str) -> list[JsonObject]:
    """Return a named clause for each model number of the text, in the fields that the query looks in."""
    clauses = []
    for place, number in enumerate(find_model_numbers(text)[:_MAX_NUMBERS]):
        if found := query.look_for(number):
            clauses.append({"bool": {"should": found, "boost": 0, "_name": f"{HOLDS_NUMBER}.{place}"}})
    return clauses


def count_numbers(matched_queries: Iterable[str]) -> int:
    """Return how many of the text's model numbers a hit holds, by the named clauses that it matches."""
    return sum(name.startswith(HOLDS_NUMBER) for name in matched_queries)


def read_around(answer: bytes) -> tuple[RawObject, Raw]:
    """Return an answer without its hits, and the hits. Raises SearchRefused where it is an error."""
    body = raw_object(answer)
    if "error" in body:
        raise SearchRefused(int(bytes(body.get("status", b"500"))), error_sentence(body["error"]))
    around = raw_object(body["hits"])
    hits = around.pop("hits", Raw(b"[]"))
    shell = {key: value for key, value in body.items() if key != "status"} | {"hits": Raw(dumps(around))}
    return shell, hits


def _gather_whole(
    caller: CallerClient, request: RerankRequest, window: int, vectors: CallerVectors | None
) -> Candidates:
    """Send the caller's own search for complete hits."""
    values = [*request.docvalue_fields, *ADDED_FIELDS]
    size = max(window, request.end)
    response = caller.search({**request.body, "from": 0, "size": size, "docvalue_fields": values})
    slim = read_slim_answer(response.body).hits.hits
    shell, complete = read_around(response.body)
    known = {hit.key: _readable_vectors(hit, vectors) for hit in slim}
    hits = tuple(_own_hits(slim, known, []))
    by_key = {hit.key: whole for hit, whole in zip(slim, raw_objects(complete), strict=True)}
    answer = CompleteAnswer(shell, by_key, hits[window:])
    return Candidates(hits[:window], headers=response.headers, complete=answer)


def find_conditions(request: RerankRequest) -> list[JsonObject]:
    """Return the conditions of the caller's query: what a product must meet, whatever its text."""
    post_filter: Any = decoded(request.body.get("post_filter"))
    return [_bare(query) for query in (request.query.relax(), post_filter) if query and query != MATCH_ALL]


def _meets_clause(request: RerankRequest) -> list[JsonObject]:
    """Return the named clause for the conditions of the caller's query; none where it has none."""
    conditions = find_conditions(request)
    return [{"bool": {"filter": conditions, "boost": 0, "_name": MEETS_CONDITIONS}}] if conditions else []


def _own_clause(request: RerankRequest) -> list[JsonObject]:
    """Return the named clause for the caller's query itself, where its total is counted on from there."""
    if not request.wants_hits_alone or request.query.optional:
        return []
    post_filter: Any = decoded(request.body.get("post_filter"))
    queries = [_bare(query) for query in (request.query.query, post_filter) if query]
    return [{"bool": {"filter": queries, "boost": 0, "_name": IS_OWN}}]


def _bare(value: Any) -> Any:
    """Return a query without inner hits: they are of no use in a condition."""
    if isinstance(value, dict):
        return {key: _bare(inner) for key, inner in value.items() if key != "inner_hits"}
    return [_bare(inner) for inner in value] if isinstance(value, list) else value


def _with_named(query: Raw, named: Sequence[JsonObject]) -> object:
    return {"bool": {"must": [query], "should": list(named)}} if named else query


def _near_search(search: TextSearch, vector: Floats, window: int, how: Gathering) -> CallerSearch:
    """Return the search for the products nearest to a vector, which tells what they have of the caller's
    query.
    """
    body: JsonObject = {"query": nearest(vector, window, search.required)}
    if not isinstance(search, RerankRequest):
        return _slim_search(body, search, window, how)
    if named := [
        *_meets_clause(search), *_own_clause(search), *number_clauses(search.query, search.text),
    ]:  # fmt: skip
        body["query"] = {"bool": {"must": [body["query"]], "should": named}}
    body |= {key: search.body[key] for key in ("timeout", "derived") if key in search.body}
    return _slim_search(body, search, window, how)


def _slim_search(body: JsonObject, search: TextSearch, window: int, how: Gathering) -> CallerSearch:
    slim = slim_body(not how.trusts, how.with_ids, with_facts=_has_demands(search))
    if group := _collapse_field(search):
        slim["docvalue_fields"] = [*slim["docvalue_fields"], group]
    return CallerSearch({**body, **slim, "size": window, "track_total_hits": False})


def _near_candidates(
    search: TextSearch, near: SlimAnswer, answer: bytes, known: Mapping[HitKey, bytes]
) -> Candidates:
    meets_all = not (isinstance(search, RerankRequest) and _meets_clause(search))
    hits = _near_hits(near.hits.hits, known, _read_groups(search, answer), meets_all)
    return Candidates(
        neighbours=tuple(hits), neighbours_error=error_sentence(near.error) if near.error else ""
    )


def _has_demands(search: TextSearch) -> bool:
    return search.understanding is not None and bool(search.understanding.demands)


def _demand_clauses(request: RerankRequest) -> list[JsonObject]:
    """Return what further hits of the caller's query are asked for: all that its text demands."""
    understanding = request.understanding
    if understanding is None or request.collapse_field:
        return []
    return build_demand_clauses(understanding.demands, understanding.text)


def _collapse_field(search: TextSearch) -> str:
    return search.collapse_field if isinstance(search, RerankRequest) else ""


def _read_groups(search: TextSearch, answer: bytes) -> list[bytes]:
    """Return the value by which each hit is collapsed; nothing where hits are not."""
    name = _collapse_field(search)
    return [bytes(hit.fields.get(name, b"")) for hit in _groups.decode(answer).hits.hits] if name else []


def _find_vectors(caller: CallerClient, hits: Iterable[SlimHit], how: Gathering) -> dict[HitKey, bytes]:
    """Return the vectors of hits, from the cache as far as it is trusted; a hit that is gone is missing."""
    by_key = {hit.key: hit for hit in hits}
    cached = how.vectors.recall(by_key) if how.vectors else {}
    usable = cached if how.trusts else {}
    missing = {key: hit for key, hit in by_key.items() if key not in usable}
    fetched = _fetch_vectors(caller, missing, how.with_ids) if how.trusts and missing else missing
    shown = {key: (hit, _readable_vectors(hit, how.vectors)) for key, hit in fetched.items()}
    if how.vectors:
        how.vectors.remember(len(cached) / max(len(by_key), 1), shown.values())
    return usable | {key: held for key, (_, held) in shown.items()}


def _fetch_vectors(caller: CallerClient, hits: Collection[HitKey], with_ids: bool) -> dict[HitKey, SlimHit]:
    """Fetch hits again, with their vectors; one that was deleted meanwhile is missing."""
    query = {"bool": {"filter": [match_hits(sorted(hits))]}}
    body = {"query": query, "size": len(hits), "track_total_hits": False, **slim_body(True, with_ids)}
    answer = read_slim_answer(caller.search_all([CallerSearch(body)])[1][0])
    if answer.error:
        raise SearchRefused(answer.status, error_sentence(answer.error))
    return {hit.key: hit for hit in answer.hits.hits if hit.key in hits}


def _readable_vectors(hit: SlimHit, vectors: CallerVectors | None) -> bytes:
    """Return the vectors that OpenSearch shows of a hit; empty where the model can't read them."""
    shown = hit.vectors
    return shown if vectors is None or (shown and vectors.is_readable(shown)) else b""


def _own_hits(
    hits: Sequence[SlimHit], known: Mapping[HitKey, bytes], groups: Sequence[bytes]
) -> Iterable[Hit]:
    for place, hit in enumerate(hits):
        if hit.key in known:
            group = groups[place] if groups else b""
            yield Hit(
                *hit.key,
                hit.keyword_score,
                0.0,
                known[hit.key],
                hit.model,
                numbers=count_numbers(hit.matched_queries),
                group=group,
                facts=hit.facts,
                price=hit.price,
            )


def _near_hits(
    hits: Sequence[SlimHit], known: Mapping[HitKey, bytes], groups: Sequence[bytes], meets_all: bool
) -> Iterable[Hit]:
    for place, hit in enumerate(hits):
        if hit.key in known:
            group = groups[place] if groups else b""
            meets = meets_all or MEETS_CONDITIONS in hit.matched_queries
            score = hit.score or 0.0
            yield Hit(
                *hit.key,
                0.0,
                score,
                known[hit.key],
                hit.model,
                meets,
                IS_OWN in hit.matched_queries,
                count_numbers(hit.matched_queries),
                group,
                facts=hit.facts,
                price=hit.price,
            )
