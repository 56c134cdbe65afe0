"""Read documents of an index: by id, by query, or all of them."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from opensearchpy import OpenSearch
from opensearchpy.exceptions import NotFoundError, TransportError
from opensearchpy.helpers import ScanError, scan

from indexer.store.id_set import IdSet
from indexer.store.opensearch_errors import innermost_reason, translate_errors
from indexer.store.retry import Backoff, RetryPolicy, is_transient, summarize_error
from mappings import fields
from mappings.types import JsonObject

_SCROLL = "10m"


@dataclass(frozen=True, slots=True)
class StoredDocument:
    """A document with its version in OpenSearch and as much of its `_source` as was requested.

    `seq_no` is its place in its shard's history, which every write changes; -1 where it was not requested.
    """

    id: str
    version: int
    source: JsonObject
    seq_no: int = -1

    @property
    def attune(self) -> JsonObject:
        """The fields under `attune`."""
        own: JsonObject = self.source.get(fields.ATTUNE, {})
        return own


def get_documents(
    client: OpenSearch, index: str, ids: Sequence[str], retry: RetryPolicy
) -> dict[str, StoredDocument]:
    """Return the documents with these ids, including those written since the last refresh: id → document.

    They come with all of `_source`: filtering it costs OpenSearch ten times what it saves.
    """
    return _get(client, index, ids, retry, "true")


def get_versions(client: OpenSearch, index: str, ids: Sequence[str], retry: RetryPolicy) -> dict[str, int]:
    """Return the versions of the documents with these ids: id → version."""
    return {document.id: document.version for document in _get(client, index, ids, retry, "false").values()}


def _get(
    client: OpenSearch, index: str, ids: Sequence[str], retry: RetryPolicy, source: str
) -> dict[str, StoredDocument]:
    if not ids:
        return {}
    body = {"ids": list(ids)}

    def ask() -> list[JsonObject]:
        return select_existing(client.mget(index=index, body=body, params={"_source": source}))

    return {
        doc["_id"]: StoredDocument(doc["_id"], doc["_version"], doc.get("_source", {}))
        for doc in retry.call(f"reading from index {index}", ask)
    }


def select_existing(answer: JsonObject) -> list[JsonObject]:
    """Return the documents that exist from an answer to mget.

    Raises TransportError where OpenSearch does not know of one, as while a shard starts. It reports that
    inside an answer of status 200, and an unknown document is not a missing one.
    """
    for doc in answer["docs"]:
        if "error" in doc:
            raise TransportError(503, innermost_reason(doc["error"]), doc)
    return [doc for doc in answer["docs"] if doc.get("found")]


def scan_documents(
    client: OpenSearch, index: str, query: JsonObject, retry: RetryPolicy, source: bool = True
) -> Iterator[StoredDocument]:
    """Yield every document that a query matches once, with its `_source` unless `source` is False.

    It sees the index as of now. Where OpenSearch goes away meanwhile, the scan starts anew and yields what it
    has not yielded yet.
    """
    body: JsonObject = {"query": query, "version": True, "seq_no_primary_term": True, "_source": source}
    backoff = Backoff(retry)
    with IdSet() as ids, translate_errors(f"reading from index {index}"):
        while True:
            hits: Iterable[JsonObject] = scan(
                client,
                index=index,
                query=body,
                size=250 if source else 2000,
                scroll=_SCROLL,
                allow_partial_search_results="false",
            )
            try:
                for hit in hits:
                    if ids.add(hit["_id"], 1) is None:
                        seq_no = hit.get("_seq_no", -1)
                        yield StoredDocument(hit["_id"], hit["_version"], hit.get("_source", {}), seq_no)
            except (TransportError, ScanError) as error:
                failed = error if isinstance(error, TransportError) else TransportError(503, str(error), {})
                reason = f"reading from index {index}: {summarize_error(failed)}"
                if not _may_recover(failed) or not backoff.pause(reason):
                    raise failed from error
            else:
                return


def refresh_index(client: OpenSearch, index: str, retry: RetryPolicy) -> None:
    """Make everything that was written to an index searchable."""
    retry.call(f"refreshing {index}", lambda: client.indices.refresh(index=index))


def count_documents(client: OpenSearch, index: str, query: JsonObject, retry: RetryPolicy) -> int:
    """Return how many documents of an index a query matches, over all of its shards."""

    def ask() -> int:
        answer = client.count(index=index, body={"query": query})
        if answer.get("_shards", {}).get("failed"):
            raise TransportError(503, "not all shards answer", answer)
        return int(answer["count"])

    return retry.call(f"counting {index}", ask)


def _may_recover(error: TransportError) -> bool:
    """Return whether a new scan may work later. A restarted node answers 404 for its old scrolls."""
    lost_scroll = isinstance(error, NotFoundError) and "index_not_found" not in str(error.error)
    return lost_scroll or is_transient(error)
