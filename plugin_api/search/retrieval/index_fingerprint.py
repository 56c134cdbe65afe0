"""The fingerprint of an index: it changes with every change that a search of this caller would show.

OpenSearch numbers every write. The number of documents, and the sum, minimum and maximum of their sequence
numbers, change with every insert, update and delete, and with the index behind an alias, once a refresh
shows it. The request is a search without hits, which OpenSearch answers from its request cache until that
refresh; then it costs some 50 ns a document. It is sent as the caller, so it also changes with what the
caller may see.
"""

import hashlib

import msgspec
from msgspec import Raw, Struct

from mappings.types import JsonObject

FINGERPRINT_SEARCH: JsonObject = {
    "size": 0,
    "aggs": {
        "indexes": {
            "terms": {"field": "_index", "size": 1000},
            "aggs": {"numbers": {"stats": {"field": "_seq_no"}}},
        }
    },
}

_MAX_DOCUMENTS = 1_000_000
"""A larger index has no fingerprint: after each refresh, one search would wait for it too long."""


class _Bucket(Struct):
    doc_count: int


class _Terms(Struct):
    buckets: list[_Bucket]


class _Shards(Struct):
    failed: int = 0


class _Answer(Struct):
    shards: _Shards = msgspec.field(default_factory=_Shards, name="_shards")
    timed_out: bool = False
    aggregations: dict[str, Raw] = {}  # of one name: which one is the business of `typed_keys`


_answer = msgspec.json.Decoder(_Answer)
_terms = msgspec.json.Decoder(_Terms)


def read_fingerprint(answer: bytes) -> bytes:
    """Return the fingerprint in an answer to FINGERPRINT_SEARCH; empty where there is none."""
    try:
        parsed = _answer.decode(answer)
        if parsed.timed_out or parsed.shards.failed or len(parsed.aggregations) != 1:
            return b""
        (indexes,) = parsed.aggregations.values()
        documents = sum(bucket.doc_count for bucket in _terms.decode(indexes).buckets)
    except ValueError:  # not an answer of OpenSearch
        return b""
    return hashlib.sha256(bytes(indexes)).digest() if documents <= _MAX_DOCUMENTS else b""
