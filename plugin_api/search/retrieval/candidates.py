"""The first stage: gather the hits that are ranked, and the products near the text that may join them.

One `_msearch` sends the caller's own query and a k-NN search, both for slim hits; the page's hits are fetched
complete once their order is known. A search with something that Attune's own searches can't carry is sent
whole instead, for as many hits as the window has: each is complete, and none is added.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import repeat

import msgspec
from msgspec import Raw, Struct

from mappings import fields
from mappings.types import JsonObject
from plugin_api.opensearch.client import Headers
from plugin_api.opensearch.raw_json import RawObject, dumps, raw_object, raw_objects
from plugin_api.search.hit_key import HitKey
from plugin_api.search.query.types import RerankRequest, TextSearch
from plugin_api.search.retrieval.caller_client import (
    CallerClient,
    CallerSearch,
    SearchRefused,
    error_sentence,
)
from plugin_api.search.retrieval.demand_clauses import build_demand_clauses
from plugin_api.search.retrieval.gathering import Gathering, find_vectors, read_vectors
from plugin_api.search.retrieval.hit import Hit
from plugin_api.search.retrieval.index_fingerprint import (
    NO_FINGERPRINT,
    IndexFingerprint,
    fingerprint_searches,
    read_fingerprint,
)
from plugin_api.search.retrieval.named_clauses import (
    MEETS_CONDITIONS,
    condition_clauses,
    count_numbers,
    find_conditions,
    number_clauses,
)
from plugin_api.search.retrieval.slim_hits import (
    SlimAnswer,
    SlimHit,
    StoredVectors,
    read_slim_answer,
    slim_body,
)
from plugin_api.search.retrieval.vector_cache import CallerVectors
from reranker.encoders.codec import quantise_vector
from reranker.types import Floats
from reranker.understanding.demands import PriceDemand

ADDED_FIELDS = (fields.KEY, fields.TOKENS, fields.FACTS, fields.MODEL, fields.POPULARITY_PRIOR)
"""Doc values that complete hits are requested with on Attune's behalf."""

_UNCOUNTED: JsonObject = {"track_total_hits": False}

MATCH_KEYS = ("post_filter", "sort", "timeout", "rescore", "indices_boost", "derived")
"""Body keys beside the query that decide which hits there are, and in which order."""


_SATISFYING = 50
"""Products that are near to a text and meet all its demands: so many are gathered."""


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
    to the text by vector, and the nearest that meet its demands, whatever the caller's conditions;
    `satisfying` are further hits of the caller's query, those that meet what its text demands, and
    `near_satisfying` the keys of those neighbours that do. `complete` is the answer where the caller's search
    was sent whole. `fingerprint` is that of the index, empty where it is not known.
    """

    own: tuple[Hit, ...] = ()
    neighbours: tuple[Hit, ...] = ()
    satisfying: tuple[Hit, ...] = ()
    near_satisfying: frozenset[HitKey] = frozenset()
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
    counted = _UNCOUNTED
    if request.wants_hits_alone:
        counted = {key: request.body[key] for key in _UNCOUNTED if key in request.body}
    near_searches = [] if vector is None else _near_searches(request, vector, window, how)
    searches = [_slim_search({**body, **counted}, request, window, how), *near_searches]
    clauses = [] if request.collapse_field else _demand_clauses(request)
    if clauses:
        demanding = {"bool": {"must": [body["query"]], "filter": clauses}}
        searches.append(_slim_search({**body, **_UNCOUNTED, "query": demanding}, request, window, how))
    headers, answers = caller.search_all([*searches, *fingerprint_searches(how.shards, caller.has_identity)])
    parsed = [read_slim_answer(answer) for answer in answers[: len(searches)]]
    own = parsed[0]
    if own.error:
        raise SearchRefused(own.status, error_sentence(own.error))
    hits = [hit for answer in parsed for hit in answer.hits]
    if not (how.with_ids or request.hides_ids) and not all(hit.id for hit in hits):
        return gather(caller, request, vector, window, replace(how, with_ids=True))
    known = find_vectors(caller, hits, how)
    ends = slice(1, 1 + len(near_searches))
    near = _near_candidates(request, parsed[ends], answers[ends], known) if near_searches else Candidates()
    satisfying = parsed[-1].hits if clauses else []
    return replace(
        near,
        own=tuple(_own_hits(own.hits, known, read_groups(request, answers[0]))),
        satisfying=tuple(_own_hits(satisfying, known, [])),
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
    searches = _near_searches(search, vector, window, how)
    fingerprint = fingerprint_searches(how.shards, caller.has_identity)
    headers, answers = caller.search_all([*searches, *fingerprint])
    near = [read_slim_answer(answer) for answer in answers[: len(searches)]]
    hits = [hit for answer in near for hit in answer.hits]
    if not how.with_ids and not all(hit.id for hit in hits):
        return gather_neighbours(caller, search, vector, window, replace(how, with_ids=True))
    known = find_vectors(caller, hits, how)
    return replace(
        _near_candidates(search, near, answers, known),
        headers=headers,
        fingerprint=read_fingerprint(answers[len(searches) :], beside=raw_object(answers[0])),
    )


def count_hits(caller: CallerClient, search: TextSearch, most: int) -> int:
    """Return how many hits the text has without the conditions around it, counted up to `most`."""
    body: JsonObject = {"query": search.query.text_query, "size": 0, "track_total_hits": most}
    return read_total(caller.search_all([CallerSearch(body)])[1][0])


def read_total(answer: bytes) -> int:
    """Return how many hits an answer counts. Raises SearchRefused where it is an error."""
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
    slim = read_slim_answer(response.body).hits
    shell, complete = read_around(response.body)
    known = {hit.key: read_vectors(hit, vectors) for hit in slim}
    hits = tuple(_own_hits(slim, known, []))
    by_key = {hit.key: full for hit, full in zip(slim, raw_objects(complete), strict=True)}
    answer = CompleteAnswer(shell, by_key, hits[window:])
    return Candidates(hits[:window], headers=response.headers, complete=answer)


def _with_named(query: Raw, named: Sequence[JsonObject]) -> object:
    return {"bool": {"must": [query], "should": list(named)}} if named else query


def _near_searches(search: TextSearch, vector: Floats, window: int, how: Gathering) -> list[CallerSearch]:
    """Return the searches for the products nearest to a vector, and for those that meet the demands."""
    demanded = _demand_clauses(search)
    satisfying = [(min(window, _SATISFYING), [*search.required, *demanded])] if demanded else []
    return [
        _near_search(search, nearest(vector, k, conditions), k, how)
        for k, conditions in [(window, search.required), *satisfying]
    ]


def _near_search(search: TextSearch, near: JsonObject, window: int, how: Gathering) -> CallerSearch:
    """Return the search for near products, which tells what they have of the caller's query."""
    body: JsonObject = {"query": near, **_UNCOUNTED}
    if not isinstance(search, RerankRequest):
        return _slim_search(body, search, window, how)
    conditions = condition_clauses(find_conditions(search))
    if named := [*conditions, *number_clauses(search.query, search.text)]:
        body["query"] = {"bool": {"must": [body["query"]], "should": named}}
    body |= {key: search.body[key] for key in ("timeout", "derived") if key in search.body}
    return _slim_search(body, search, window, how)


def _slim_search(body: JsonObject, search: TextSearch, window: int, how: Gathering) -> CallerSearch:
    slim = slim_body(
        not how.trusts,
        how.with_ids,
        with_prices=_asks_for_price(search),
        with_priors=search.settings.popularity > 0,
    )
    if group := _collapse_field(search):
        slim["docvalue_fields"] = [*slim["docvalue_fields"], group]
    return CallerSearch({**body, **slim, "size": window})


def _near_candidates(
    search: TextSearch,
    near: Sequence[SlimAnswer],
    answers: Sequence[bytes],
    known: Mapping[HitKey, StoredVectors],
) -> Candidates:
    meets_all = not (isinstance(search, RerankRequest) and find_conditions(search))
    hits: dict[HitKey, Hit] = {}
    for answer, body in zip(near, answers, strict=False):
        for hit in _near_hits(answer.hits, known, read_groups(search, body), meets_all):
            hits.setdefault(hit.key, hit)
    error = error_sentence(near[0].error) if near[0].error else ""
    satisfying = frozenset(hit.key for answer in near[1:] for hit in answer.hits)
    return Candidates(neighbours=tuple(hits.values()), near_satisfying=satisfying, neighbours_error=error)


def _demand_clauses(search: TextSearch) -> list[JsonObject]:
    """Return what hits are asked for: all that the text demands."""
    return (
        build_demand_clauses(search.understanding.sought, search.understanding.text)
        if search.understanding
        else []
    )


def _asks_for_price(search: TextSearch) -> bool:
    """Return whether ranking needs prices: of demands, or of what a shopper usually pays."""
    return search.is_personal or any(isinstance(demand, PriceDemand) for demand in search.demands)


def _collapse_field(search: TextSearch) -> str:
    return search.collapse_field if isinstance(search, RerankRequest) else ""


def read_groups(search: TextSearch, answer: bytes) -> list[bytes]:
    """Return the value by which each hit is collapsed; nothing where hits are not."""
    name = _collapse_field(search)
    return [bytes(hit.fields.get(name, b"")) for hit in _groups.decode(answer).hits.hits] if name else []


def _own_hits(
    hits: Sequence[SlimHit], known: Mapping[HitKey, StoredVectors], groups: Sequence[bytes]
) -> Iterator[Hit]:
    for hit, vectors, group in _zip_known(hits, known, groups):
        yield Hit(
            hit.index,
            hit.id,
            hit.score,
            0.0,
            vectors.tokens,
            hit.model,
            numbers=count_numbers(hit.matched_queries) if hit.matched_queries else 0,
            group=group,
            facts=vectors.facts,
            price=hit.price,
            prior=hit.prior,
        )


def _near_hits(
    hits: Sequence[SlimHit], known: Mapping[HitKey, StoredVectors], groups: Sequence[bytes], meets_all: bool
) -> Iterator[Hit]:
    for hit, vectors, group in _zip_known(hits, known, groups):
        yield Hit(
            hit.index,
            hit.id,
            0.0,
            hit.score,
            vectors.tokens,
            hit.model,
            meets_all or MEETS_CONDITIONS in hit.matched_queries,
            count_numbers(hit.matched_queries) if hit.matched_queries else 0,
            group,
            facts=vectors.facts,
            price=hit.price,
            prior=hit.prior,
        )


def _zip_known(
    hits: Sequence[SlimHit], known: Mapping[HitKey, StoredVectors], groups: Sequence[bytes]
) -> Iterator[tuple[SlimHit, StoredVectors, bytes]]:
    """Yield each hit that is still there with its vectors and the value by which it is collapsed."""
    for hit, group in zip(hits, groups or repeat(b""), strict=False):
        vectors = known.get(hit.key)
        if vectors is not None:
            yield hit, vectors, group
