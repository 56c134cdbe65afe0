"""Bare hits: what ranking needs of them and nothing else, in a third of the time that whole ones take."""

import binascii
from collections.abc import Collection, Sequence

import msgspec
from msgspec import Raw, Struct

from mappings import fields
from mappings.errors import ModelError
from mappings.types import Hit, JsonObject
from plugin_api.opensearch.client import OpenSearchClient
from plugin_api.search.query.request import RerankRequest
from plugin_api.search.retrieval.as_caller import ask_all, reason, refused
from plugin_api.search.retrieval.vector_cache import CallersVectors, VectorKey

Key = tuple[str, str]
"""What tells a hit from all others, also where an alias spans several indexes: index and id."""

STORED = (fields.TOKENS, fields.MODEL)
"""What a whole hit is asked for on Attune's behalf."""

BARE: JsonObject = {"stored_fields": "_none_", "_source": False}
"""Leaves `_id` and `_source` on disk."""

KNOWN_BY = (fields.ID, fields.HASH, fields.MODEL)
"""Doc values that tell a product and its vectors."""


class _BareFields(
    Struct, rename={"id": fields.ID, "tokens": fields.TOKENS, "model": fields.MODEL, "hash": fields.HASH}
):
    id: list[str] = []
    tokens: list[str] = []
    model: list[str] = []
    hash: list[str] = []


class BareHit(Struct, rename={"index": "_index", "score": "_score"}):
    """One hit with the doc values of KNOWN_BY, and of `attune.tokens` where that was asked for."""

    index: str
    score: float | None = None
    fields: _BareFields | None = None
    matched_queries: list[str] | dict[str, float] = []
    stored: bytes = b""  # what `attune.tokens` holds, once that is known

    @property
    def vector_key(self) -> VectorKey | None:
        """What its vectors are known by; None where it does not say so."""
        of = self.fields
        return (of.model[0], of.hash[0]) if of and of.model and of.hash else None

    @property
    def key(self) -> Key:
        """What tells it from all others. Raises ModelError where it does not say so."""
        if not self.fields or not self.fields.id:
            raise ModelError(
                f"a hit of {self.index} has no {fields.ID}: index the catalogue with `attune index` for its "
                "searches to be reranked"
            )
        return self.index, self.fields.id[0]


class _BareHits(Struct, frozen=True):
    hits: list[BareHit] = []


class BareAnswer(Struct, frozen=True):
    """An answer to a search for bare hits, or an error."""

    hits: _BareHits = _BareHits()
    error: Raw = Raw()
    status: int = 200


_answer = msgspec.json.Decoder(BareAnswer)


def bare(trusted: bool) -> JsonObject:
    """Body keys that ask for bare hits, without vectors where those known are `trusted`."""
    return {**BARE, "docvalue_fields": KNOWN_BY if trusted else (*KNOWN_BY, fields.TOKENS)}


def bare_answer(answer: bytes) -> BareAnswer:
    """Read an answer to a search for bare hits. Raises ValueError."""
    return _answer.decode(answer)


def candidate(hit: BareHit, found: bool) -> Hit:
    """The hit for ranking, its vectors read or recalled. Raises ModelError where it is not of Attune's."""
    model = hit.fields.model[0] if hit.fields and hit.fields.model else ""
    return Hit(*hit.key, hit.score or 0.0, hit.stored, model, found)


def recall(
    client: OpenSearchClient,
    request: RerankRequest,
    known: CallersVectors,
    hits: Sequence[BareHit],
    timeout_seconds: float,
) -> Collection[Key]:
    """Give hits their vectors as they are known, and ask for the others'.

    Returns those that were deleted since they were found. Raises as `gather` does.
    """
    missing: dict[Key, list[BareHit]] = {}
    for hit in hits:
        of = hit.vector_key
        hit.stored = (of and known.get(of)) or b""
        if not hit.stored:
            missing.setdefault(hit.key, []).append(hit)
    if not missing:
        return ()
    if timeout_seconds <= 0:
        raise TimeoutError
    by_id = {"bool": {"filter": [{"ids": {"values": sorted({id_ for _, id_ in missing})}}]}}
    size = len(missing) * len({index for index, _ in missing})
    search = {"query": by_id, "size": size, "track_total_hits": False, **bare(trusted=False)}
    answer = bare_answer(ask_all(client, request, [search], timeout_seconds)[1][0])
    if answer.error:
        raise refused(answer.status, reason(answer.error))
    _read(answer.hits.hits, known)
    unknown = sum(map(len, missing.values()))
    known.judge(len(hits) - unknown, len(hits), shown=all(hit.stored for hit in answer.hits.hits))
    for found in answer.hits.hits:
        for hit in missing.pop(found.key, []):
            hit.stored = found.stored
    return missing.keys()


def read_vectors(hits: Sequence[BareHit], known: CallersVectors | None) -> None:
    """Take hits' vectors from what was shown with them, and remember those."""
    before = sum(known.get(of) is not None for hit in hits if (of := hit.vector_key)) if known else 0
    _read(hits, known)
    if known and hits:
        known.judge(before, len(hits), shown=all(hit.stored for hit in hits))


def _read(hits: Sequence[BareHit], known: CallersVectors | None) -> None:
    for hit in hits:
        if hit.fields and hit.fields.tokens:
            hit.stored = vector_bytes(*hit.key, hit.fields.tokens[0])
    if known:
        known.remember([(hit.vector_key, hit.stored) for hit in hits])


def vector_bytes(index: str, id_: str, tokens: str) -> bytes:
    """What a product's `attune.tokens` holds. Raises ModelError."""
    try:
        return binascii.a2b_base64(f"{tokens}==")  # OpenSearch leaves the padding out
    except binascii.Error as error:
        raise ModelError(f"product {id_} in {index}: {fields.TOKENS} is no base64") from error
