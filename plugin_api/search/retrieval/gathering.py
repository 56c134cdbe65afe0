"""How the first stage is gathered, and the vectors of the hits that it finds."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from plugin_api.search.hit_key import HitKey
from plugin_api.search.query.clauses import match_hits
from plugin_api.search.retrieval.caller_client import (
    CallerClient,
    CallerSearch,
    SearchRefused,
    error_sentence,
)
from plugin_api.search.retrieval.slim_hits import (
    SlimHit,
    StoredVectors,
    read_slim_answer,
    slim_body,
)
from plugin_api.search.retrieval.vector_cache import CallerVectors


@dataclass(frozen=True, slots=True)
class Gathering:
    """How the first stage is gathered.

    The fingerprint of the index is requested in so many `shards`' searches, in none for 0. Where it `trusts`
    the `vectors` of a cache, those are not requested. `with_ids` requests `_id`, for documents without
    `attune.key`.
    """

    shards: int = 0
    vectors: CallerVectors | None = None
    trusts: bool = False
    with_ids: bool = False

    @classmethod
    def by(cls, vectors: CallerVectors, shards: int = 0) -> "Gathering":
        """Return how to gather with a cache that is trusted as far as it is now."""
        return cls(shards, vectors, vectors.is_trusted)


def find_vectors(
    caller: CallerClient, hits: Iterable[SlimHit], how: Gathering
) -> dict[HitKey, StoredVectors]:
    """Return the vectors of hits, from the cache as far as it is trusted; a hit that is gone is missing."""
    by_key = {hit.key: hit for hit in hits}
    cached = how.vectors.recall(by_key) if how.vectors else {}
    usable = cached if how.trusts else {}
    missing = {key: hit for key, hit in by_key.items() if key not in usable}
    fetched = _fetch_vectors(caller, missing, how.with_ids) if how.trusts and missing else missing
    if how.vectors:
        how.vectors.remember(len(cached) / max(len(by_key), 1), fetched.values())
    return usable | {key: read_vectors(hit, how.vectors) for key, hit in fetched.items()}


def _fetch_vectors(caller: CallerClient, hits: Collection[HitKey], with_ids: bool) -> dict[HitKey, SlimHit]:
    """Fetch hits again, with their vectors; one that was deleted meanwhile is missing."""
    query = {"bool": {"filter": [match_hits(sorted(hits))]}}
    body = {"query": query, "size": len(hits), "track_total_hits": False, **slim_body(True, with_ids)}
    answer = read_slim_answer(caller.search_all([CallerSearch(body)])[1][0])
    if answer.error:
        raise SearchRefused(answer.status, error_sentence(answer.error))
    return {hit.key: hit for hit in answer.hits if hit.key in hits}


def read_vectors(hit: SlimHit, vectors: CallerVectors | None) -> StoredVectors:
    """Return the vectors that OpenSearch shows of a hit; empty where the model can't read them."""
    shown = hit.vectors
    is_readable = vectors is None or (shown.tokens and vectors.is_readable(shown.tokens))
    return shown if is_readable else StoredVectors()
