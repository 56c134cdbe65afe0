"""What tells whether an index has changed: the sequence numbers of all documents that a caller sees in it.

OpenSearch numbers every write. How many documents there are, and the sum, the least and the greatest of their
numbers, change with every insert, update and delete, and with the index behind an alias, once a refresh shows
it. Asking is a search without hits, which OpenSearch answers from its request cache until that refresh; then
it costs some 50 ns a document. As it is asked as the caller, it also changes with what the caller may see.
"""

import msgspec
from msgspec import Raw, Struct

from mappings.types import JsonObject

STATE_SEARCH: JsonObject = {
    "size": 0,
    "aggs": {
        "indexes": {
            "terms": {"field": "_index", "size": 1000},
            "aggs": {"numbers": {"stats": {"field": "_seq_no"}}},
        }
    },
}

MOST_DOCUMENTS = 1_000_000
"""Of larger indexes no state is known: after each refresh, one search would wait for it too long."""


class _Bucket(Struct):
    doc_count: int


class _Terms(Struct):
    buckets: list[_Bucket]


class _Shards(Struct):
    failed: int = 0


class _State(Struct):
    shards: _Shards = msgspec.field(default_factory=_Shards, name="_shards")
    timed_out: bool = False
    aggregations: dict[str, Raw] = {}  # of one name: which one is the business of `typed_keys`


_state = msgspec.json.Decoder(_State)
_terms = msgspec.json.Decoder(_Terms)


def read_state(answer: bytes) -> bytes:
    """Return what an answer to STATE_SEARCH says, to be compared with others; b"" where that is nothing."""
    try:
        state = _state.decode(answer)
        if state.timed_out or state.shards.failed or len(state.aggregations) != 1:
            return b""
        (found,) = state.aggregations.values()
        documents = sum(bucket.doc_count for bucket in _terms.decode(found).buckets)
    except ValueError:  # no answer of OpenSearch's
        return b""
    return bytes(found) if documents <= MOST_DOCUMENTS else b""
