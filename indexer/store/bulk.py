"""Bulk writes: documents and deletes with versions, several requests at a time."""

from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from typing import TypeVar

from opensearchpy import OpenSearch
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

_CONFLICT = 409
_NOT_FOUND = 404


@dataclass(frozen=True, slots=True)
class BulkAction:
    """One document to write, or to delete where `body` is None, with the version of the change."""

    id: str
    version: int
    body: JsonObject | None


@dataclass(frozen=True, slots=True)
class BulkResult:
    """The result of one action: done, `stale` where the index holds a newer version, or refused."""

    id: str
    refusal: str = ""
    stale: bool = False

    @property
    def done(self) -> bool:
        """Whether the index now holds what the action wrote."""
        return not (self.refusal or self.stale)


def write_bulk(
    client: OpenSearch, index: str, actions: Sequence[BulkAction], retry: RetryPolicy
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
        failed: list[BulkAction] = []
        why = ""
        down = False
        by_id = {action.id: action for action in pending}
        for done, answer in streaming_bulk(
            client,
            [_line(index, action) for action in pending],
            chunk_size=_REQUEST_DOCUMENTS,
            max_chunk_bytes=_REQUEST_BYTES,
            raise_on_error=False,
            raise_on_exception=False,
        ):
            (item,) = answer.values()
            status = item["status"]
            reason = "" if done else innermost_reason(item.get("error"))
            internal = isinstance(status, int) and status >= 500 and status not in TRANSIENT_STATUSES
            failures[item["_id"]] += internal and "exception" not in item
            if failures[item["_id"]] >= _MAX_FAILURES:  # as in a failing ingest pipeline: skip the document
                results[item["_id"]] = BulkResult(item["_id"], reason)
            elif not isinstance(status, int) or status in TRANSIENT_STATUSES or status >= 500:
                failed.append(by_id[item["_id"]])
                why, down = reason, not isinstance(status, int)
            elif status in (401, 403):  # a blocked index or missing permission, not a bad document
                raise IndexingError(
                    f"OpenSearch refused writing to index {index}: {status} {reason}: check opensearch.user "
                    "and opensearch.password, and that the index is not blocked for writing"
                )
            else:
                gone = status == _NOT_FOUND and "delete" in answer
                refusal = "" if done or gone or status == _CONFLICT else reason
                results[item["_id"]] = BulkResult(item["_id"], refusal, status == _CONFLICT)
        pending = failed
        if pending and not backoff.pause(f"writing to index {index}: {why}"):
            if down:
                raise ClusterDown(f"OpenSearch stopped answering while writing to index {index}: {why}")
            raise IndexingError(
                f"OpenSearch can't take documents for index {index}: {why}. "
                "Check its disk space, memory and load"
            )
    return [results[action.id] for action in actions]


def _line(index: str, action: BulkAction) -> JsonObject:
    versioned = {"_index": index, "_id": action.id, "version": action.version, "version_type": "external_gte"}
    if action.body is None:
        return {**versioned, "_op_type": "delete"}
    return {**versioned, "_op_type": "index", "_source": action.body}


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
