"""Bulk writing: documents and deletes with versions, some requests at a time."""

from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from typing import TypeVar

from opensearchpy import OpenSearch
from opensearchpy.helpers import streaming_bulk

from indexer.store.opensearch_errors import reason_of
from indexer.store.retry import PASSING, Patience, Pauses
from mappings.errors import ClusterDown, IndexingError
from mappings.types import JsonObject

T = TypeVar("T")
R = TypeVar("R")

CHUNK_BYTES = 8_000_000
CHUNK_DOCUMENTS = 500
AT_A_TIME = 2
"""Bulk requests on their way at once: OpenSearch uses one core for each."""

FAILURES = 5
"""Times that a document alone may fail by an error of OpenSearch's own before that is what refuses it."""

CONFLICT = 409
GONE = 404


@dataclass(frozen=True, slots=True)
class Action:
    """One document to write, or to delete where `body` is None. `version` is whose change it is."""

    id: str
    version: int
    body: JsonObject | None


@dataclass(frozen=True, slots=True)
class Written:
    """What became of one action: done; `stale`, where the index holds a newer version; or refused."""

    id: str
    refusal: str = ""
    stale: bool = False

    @property
    def done(self) -> bool:
        """Whether the index now holds what the action brought."""
        return not (self.refusal or self.stale)


def write(client: OpenSearch, index: str, actions: Sequence[Action], patience: Patience) -> list[Written]:
    """Write the actions to `index`; return what became of each, in order.

    The greater version wins, of equal ones the last written. What OpenSearch can't take for now (it is
    overloaded, starting, or away) is tried again as long as there is patience. Raises IndexingError or
    ClusterDown when that is over. Ids must not repeat.
    """
    found: dict[str, Written] = {}
    pending = list(actions)
    pauses = Pauses(patience)
    failures: Counter[str] = Counter()
    while pending:
        failed: list[Action] = []
        why = ""
        down = False
        by_id = {action.id: action for action in pending}
        for done, answer in streaming_bulk(
            client,
            [_line(index, action) for action in pending],
            chunk_size=CHUNK_DOCUMENTS,
            max_chunk_bytes=CHUNK_BYTES,
            raise_on_error=False,
            raise_on_exception=False,
        ):
            (item,) = answer.values()
            status = item["status"]
            reason = "" if done else reason_of(item.get("error"))
            own = isinstance(status, int) and status >= 500 and status not in PASSING
            failures[item["_id"]] += own and "exception" not in item
            if failures[item["_id"]] >= FAILURES:  # as of an ingest pipeline that fails: the rest goes on
                found[item["_id"]] = Written(item["_id"], reason)
            elif not isinstance(status, int) or status in PASSING or status >= 500:
                failed.append(by_id[item["_id"]])
                why, down = reason, not isinstance(status, int)
            elif status in (401, 403):  # the index is blocked, or the user may not: no fault of the document
                raise IndexingError(
                    f"OpenSearch refused writing to index {index}: {status} {reason}: check opensearch.user "
                    "and opensearch.password, and that the index is not blocked for writing"
                )
            else:
                gone = status == GONE and "delete" in answer
                refusal = "" if done or gone or status == CONFLICT else reason
                found[item["_id"]] = Written(item["_id"], refusal, status == CONFLICT)
        pending = failed
        if pending and not pauses.pause(f"writing to index {index}: {why}"):
            if down:
                raise ClusterDown(f"OpenSearch stopped answering while writing to index {index}: {why}")
            raise IndexingError(
                f"OpenSearch can't take documents for index {index}: {why}. "
                "Check its disk space, memory and load"
            )
    return [found[action.id] for action in actions]


def _line(index: str, action: Action) -> JsonObject:
    versioned = {"_index": index, "_id": action.id, "version": action.version, "version_type": "external_gte"}
    if action.body is None:
        return {**versioned, "_op_type": "delete"}
    return {**versioned, "_op_type": "index", "_source": action.body}


def in_order(
    work: Callable[[T], R], batches: Iterable[T], at_a_time: int = AT_A_TIME
) -> Iterator[tuple[T, R]]:
    """Do `work` for some batches at a time; yield each batch and its result, in order."""
    batches = iter(batches)
    running: deque[tuple[T, Future[R]]] = deque()
    with ThreadPoolExecutor(at_a_time) as pool:
        try:
            for batch in batches:
                running.append((batch, pool.submit(work, batch)))
                if len(running) >= at_a_time:
                    first, future = running.popleft()
                    yield first, future.result()
            while running:
                first, future = running.popleft()
                yield first, future.result()
        finally:
            for _, future in running:
                future.cancel()


def chunks(elements: Iterable[T], size: int) -> Iterator[list[T]]:
    """Yield lists of up to `size` elements."""
    left = iter(elements)
    while chunk := list(islice(left, size)):
        yield chunk
