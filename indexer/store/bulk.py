"""Bulk writes: documents and deletes with versions, several requests at a time."""

from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from typing import Protocol, TypeVar

from opensearchpy import OpenSearch
from opensearchpy.exceptions import SerializationError
from opensearchpy.helpers import streaming_bulk

from indexer.store.opensearch_errors import innermost_reason
from indexer.store.retry import TRANSIENT_STATUSES, Backoff, RetryPolicy
from mappings.errors import ClusterDown, IndexingError
from mappings.types import JsonObject

_Element = TypeVar("_Element")
_Result = TypeVar("_Result")

CONCURRENT_REQUESTS = 2
"""Bulk requests in flight at once. OpenSearch uses one core for each."""

_REQUEST_BYTES = 8_000_000
_REQUEST_DOCUMENTS = 500

_MAX_FAILURES = 5
"""Times that a document may fail alone, by an error inside OpenSearch, before it counts as refused."""

_JSON_ERRORS = (UnicodeError, RecursionError, SerializationError)

_CONFLICT = 409
_NOT_FOUND = 404


class BulkWrite(Protocol):
    """One write of a document, as one or two lines of a bulk request."""

    @property
    def id(self) -> str:
        """The document's id."""
        ...

    def as_action(self, index: str) -> JsonObject:
        """Return the action as the client's bulk helpers take it."""
        ...


@dataclass(frozen=True, slots=True)
class BulkAction:
    """One document to write, or to delete where `body` is None, with the version of the change."""

    id: str
    version: int
    body: JsonObject | None

    def as_action(self, index: str) -> JsonObject:
        """Return the action as the client's bulk helpers take it."""
        versioned = {"_index": index, "_id": self.id, "version": self.version, "version_type": "external_gte"}
        if self.body is None:
            return {**versioned, "_op_type": "delete"}
        return {**versioned, "_op_type": "index", "_source": self.body}


@dataclass(frozen=True, slots=True)
class BulkResult:
    """The result of one action: done, `stale` where the index holds a newer version, or refused.

    `seq_no` is the number of the write in its shard, -1 where nothing was written, and `primary_term` counts
    how often the shard's primary had changed: another one may give the same number again.
    """

    id: str
    refusal: str = ""
    stale: bool = False
    seq_no: int = -1
    primary_term: int = 0

    @property
    def done(self) -> bool:
        """Whether the index now holds what the action wrote."""
        return not (self.refusal or self.stale)


def write_bulk(
    client: OpenSearch, index: str, actions: Sequence[BulkWrite], retry: RetryPolicy
) -> list[BulkResult]:
    """Write the actions to `index` and return their results, in order. Ids must not repeat.

    The greater version wins; of equal versions the last written one does. What OpenSearch can't take for now,
    because it is overloaded, starting or away, is retried. Raises IndexingError or ClusterDown when the retry
    policy's time is over.
    """
    results: dict[str, BulkResult] = {}
    pending = list(actions)
    backoff = Backoff(retry)
    failures: Counter[str] = Counter()
    while pending:
        retry.check_stop()
        try:
            attempt = _try_bulk(client, index, pending)
        except _JSON_ERRORS:
            attempt = _Attempt(_find_unwritable(client, pending))
            if not attempt.results:
                raise
        failures.update(attempt.internal_errors.keys())
        results |= attempt.results | {
            key: BulkResult(key, reason)  # as in a failing ingest pipeline: skip the document
            for key, reason in attempt.internal_errors.items()
            if failures[key] >= _MAX_FAILURES
        }
        pending = [action for action in pending if action.id not in results]
        why = attempt.failure
        if pending and why and not backoff.pause(f"writing to index {index}: {why}"):
            if attempt.unanswered:
                raise ClusterDown(f"OpenSearch stopped answering while writing to index {index}: {why}")
            raise IndexingError(
                f"OpenSearch can't take documents for index {index}: {why}. "
                "Check its disk space, memory and load"
            )
    return [results[action.id] for action in actions]


@dataclass(slots=True)
class _Attempt:
    """What came of sending actions once. An action without a result failed for now, for the reason `failure`.

    `internal_errors` are those that failed alone by an error inside OpenSearch: id → reason.
    """

    results: dict[str, BulkResult] = field(default_factory=dict)
    internal_errors: dict[str, str] = field(default_factory=dict)
    failure: str = ""
    unanswered: bool = False


def _try_bulk(client: OpenSearch, index: str, actions: Sequence[BulkWrite]) -> _Attempt:
    attempt = _Attempt()
    for done, answer in streaming_bulk(
        client,
        [action.as_action(index) for action in actions],
        chunk_size=_REQUEST_DOCUMENTS,
        max_chunk_bytes=_REQUEST_BYTES,
        raise_on_error=False,
        raise_on_exception=False,
    ):
        (item,) = answer.values()
        key, status = item["_id"], item["status"]
        reason = "" if done else innermost_reason(item.get("error"))
        if not isinstance(status, int) or status in TRANSIENT_STATUSES or status >= 500:
            attempt.failure, attempt.unanswered = reason or str(status), not isinstance(status, int)
            internal = isinstance(status, int) and status not in TRANSIENT_STATUSES
            if internal and "exception" not in item:
                attempt.internal_errors[key] = reason
        elif status in (401, 403):  # a blocked index or missing permission, not a bad document
            raise IndexingError(
                f"OpenSearch refused writing to index {index}: {status} {reason}: check opensearch.user "
                "and opensearch.password, and that the index is not blocked for writing"
            )
        else:
            gone = status == _NOT_FOUND and ("delete" in answer or _is_missing_document(item))
            refusal = "" if done or gone or status == _CONFLICT else reason
            place = item.get("_seq_no", -1), item.get("_primary_term", 0)
            attempt.results[key] = BulkResult(key, refusal, status == _CONFLICT, *place)
    return attempt


def _is_missing_document(item: JsonObject) -> bool:
    """Return whether an update failed because its document is gone."""
    error = item.get("error")
    return isinstance(error, dict) and error.get("type") == "document_missing_exception"


def _find_unwritable(client: OpenSearch, actions: Sequence[BulkWrite]) -> dict[str, BulkResult]:
    """Return the results of documents that can't be written as JSON: id → refusal."""
    try:
        client.transport.serializer.dumps([action.as_action("") for action in actions]).encode()
    except _JSON_ERRORS:
        if len(actions) > 1:
            half = len(actions) // 2
            return _find_unwritable(client, actions[:half]) | _find_unwritable(client, actions[half:])
        reason = "it can't be written as JSON: a text has a broken character, or values are nested too deep"
        return {action.id: BulkResult(action.id, reason) for action in actions}
    return {}


def map_in_order(
    work: Callable[[_Element], _Result], elements: Iterable[_Element], workers: int = CONCURRENT_REQUESTS
) -> Iterator[tuple[_Element, _Result]]:
    """Apply `work` in a pool of threads; yield each element with its result, in order.

    At most `workers` elements are taken before a result is yielded.
    """
    running: deque[tuple[_Element, Future[_Result]]] = deque()
    with ThreadPoolExecutor(workers) as pool:
        try:
            for element in elements:
                running.append((element, pool.submit(work, element)))
                if len(running) >= workers:
                    first, future = running.popleft()
                    yield first, future.result()
            while running:
                first, future = running.popleft()
                yield first, future.result()
        finally:
            for _, future in running:
                future.cancel()


def split_chunks(elements: Iterable[_Element], size: int) -> Iterator[list[_Element]]:
    """Yield lists of up to `size` elements."""
    rest = iter(elements)
    while chunk := list(islice(rest, size)):
        yield chunk
