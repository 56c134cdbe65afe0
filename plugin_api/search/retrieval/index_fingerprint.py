"""The fingerprint of an index: it changes with every change that a search of this caller would show.

OpenSearch numbers the writes of each shard. The number of documents in a shard and the highest number of
their last writes change with every insert, update and delete, once a refresh shows it: a write gets a higher
number than all before it, and what takes away the highest document leaves one document less. So each shard is
asked by a search of its own. Sums over several shards would not do: changes can cancel out.

The request is a search without hits, which OpenSearch answers from its request cache until the next refresh;
then it costs some 50 ns a document. It is sent as the caller, so it also changes with the documents that the
caller may see. What may be seen of a document, its fields and whether they are masked, shows in a sample of a
few documents, which is requested for callers who have an identity.
"""

import hashlib
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass

import msgspec
from msgspec import Raw, Struct

from mappings import fields
from mappings.types import JsonObject
from plugin_api.opensearch.raw_json import RawObject, raw_object
from plugin_api.search.retrieval.caller_client import CallerClient, CallerSearch

FINGERPRINT_SEARCH: JsonObject = {
    "size": 0,
    "aggs": {
        "indexes": {
            "terms": {"field": "_index", "size": 1000},
            "aggs": {"numbers": {"stats": {"field": "_seq_no"}}},
        }
    },
}

_SAMPLED_SEARCH: JsonObject = deepcopy(FINGERPRINT_SEARCH)
_SAMPLED_SEARCH["aggs"]["indexes"]["aggs"]["sample"] = {
    "top_hits": {
        "size": 3,
        "sort": [{"_seq_no": "asc"}],
        "_source": {"excludes": [fields.ATTUNE]},
        "docvalue_fields": [fields.TOKENS],  # of several, OpenSearch changes the order from time to time
    }
}

_MAX_DOCUMENTS = 1_000_000
"""A larger index has no fingerprint: after each refresh, one search would wait for it too long."""

_MAX_SHARDS = 16
"""Shards of an index that has a fingerprint: each costs a search."""


@dataclass(frozen=True, slots=True)
class IndexFingerprint:
    """A digest, empty where there is none, and in how many shards' searches to request the next one.

    `shards` is 0 where OpenSearch gives none.
    """

    digest: bytes = b""
    shards: int = 0


NO_FINGERPRINT = IndexFingerprint()


class _Bucket(Struct):
    doc_count: int


class _Terms(Struct):
    buckets: list[_Bucket]


class _Shards(Struct):
    total: int = 1
    failed: int = 0


class _Answer(Struct):
    shards: _Shards = msgspec.field(default_factory=_Shards, name="_shards")
    timed_out: bool = False
    aggregations: dict[str, Raw] = {}  # of one name, which depends on `typed_keys`


_answer = msgspec.json.Decoder(_Answer)
_terms = msgspec.json.Decoder(_Terms)
_shards = msgspec.json.Decoder(_Shards)


def fingerprint_searches(shards: int, has_identity: bool = False) -> list[CallerSearch]:
    """Return the searches that request the fingerprint of an index of so many shards; none for 0."""
    search = _SAMPLED_SEARCH if has_identity else FINGERPRINT_SEARCH
    if shards <= 1:
        return [CallerSearch(search)] * shards
    return [CallerSearch(search, shard) for shard in range(shards)]


def fetch_fingerprint(caller: CallerClient, shards: int) -> IndexFingerprint:
    """Return the fingerprint that an index of so many shards has now. Raises as CallerClient does."""
    _, answers = caller.search_all(fingerprint_searches(shards, caller.has_identity))
    parts = [raw_object(answer) for answer in answers]
    total = sum(_shards.decode(part["_shards"]).total for part in parts if "_shards" in part)
    return read_fingerprint(answers, beside={"_shards": Raw(b'{"total":%d}' % total)})


def read_fingerprint(answers: Sequence[bytes], beside: RawObject) -> IndexFingerprint:
    """Return the fingerprint in the answers to `fingerprint_searches`.

    `beside` is the answer to a search of all shards that was sent with them: it tells how many there are.
    """
    if not answers:
        return NO_FINGERPRINT
    try:
        parsed = [_answer.decode(answer) for answer in answers]
        total = _shards.decode(beside["_shards"]).total if "_shards" in beside else _Shards().total
        indexes = [next(iter(answer.aggregations.values())) for answer in parsed if answer.shards.total]
        buckets = [bucket for part in indexes for bucket in _terms.decode(part).buckets]
    except (ValueError, StopIteration):  # not an answer of OpenSearch
        return NO_FINGERPRINT
    documents = sum(bucket.doc_count for bucket in buckets)
    failed = any(answer.timed_out or answer.shards.failed for answer in parsed)
    if failed or documents > _MAX_DOCUMENTS or total > _MAX_SHARDS:
        return NO_FINGERPRINT
    if sum(answer.shards.total for answer in parsed) != total:
        return IndexFingerprint(shards=total)
    if len(parsed) == 1 and total > max(len(buckets), 1):  # an index of several shards
        return IndexFingerprint(shards=total)
    return IndexFingerprint(hashlib.sha256(b"\n".join(map(bytes, indexes))).digest(), len(parsed))
