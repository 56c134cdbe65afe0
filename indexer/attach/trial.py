"""Measure how long attaching takes: attach an index of a few of the documents, and delete it."""

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace

from indexer.attach.attachment import Attachment
from indexer.attach.copying import NO_PIPELINES, CopiedDocument, create_empty_copy
from indexer.attach.documents import ShopDocument, fetch_documents
from indexer.attach.shards import DocumentKey, read_positions
from indexer.attach.shop_index import ShopIndex
from indexer.attach.updater import AttachReport, IndexUpdater, state_key
from indexer.attach.vocabulary import teach_vocabulary
from indexer.store.alias import make_index_name
from indexer.store.bulk import write_bulk
from indexer.store.jobs_index import JobsIndex, now_ms
from indexer.store.lock import ATTACHING, Lock, hold_lock
from indexer.store.retry import RetryPolicy
from indexer.store.session import IndexSession
from mappings.errors import AttuneError
from mappings.types import JsonObject

_DOCUMENTS = 256
"""Documents of the trial."""

_ONE_SHARD: JsonObject = {
    "number_of_shards": 1,
    "number_of_routing_shards": None,
    "routing_partition_size": None,
    "hidden": True,
    **NO_PIPELINES,
}

_DELETE_SECONDS = 30.0
"""How long an index that is needed no more is tried to be deleted."""


@dataclass(frozen=True, slots=True)
class AttachTimes:
    """Seconds that attaching takes.

    `preparing` is the time before the first document. For each document, `copying` is that of copying it to
    another index, `encoding` that of reading it, encoding it and writing its vectors, and `learning` that of
    learning words from it.
    """

    preparing: float = 0.0
    copying: float = 0.0
    encoding: float = 0.0
    learning: float = 0.0


def measure_attaching(session: IndexSession, index: ShopIndex, attachment: Attachment) -> AttachTimes:
    """Attach an index that is like another one and has a few of its documents; return the times.

    The index has a name of Attune's and is deleted afterwards; the shop's own one is only read. All times are
    0 where that is empty. Raises as `attach_index` does.
    """
    documents = _draw_documents(session, index)
    if not documents:
        return AttachTimes()
    began = time.perf_counter()
    with _open_trial(session, index, attachment) as trial:
        created = time.perf_counter()
        client, retry = session.client, session.retry
        write_bulk(client, trial.name, [CopiedDocument(document) for document in documents], retry)
        copied = time.perf_counter()
        own = replace(session, alias=trial.name, on_progress=lambda _, __: None)
        jobs = session.open_jobs()
        with hold_lock(jobs, trial.name, ATTACHING) as lock:
            locked = time.perf_counter()
            _encode(own, jobs, trial, attachment, lock)
        encoded = time.perf_counter()
        teach_vocabulary(own, attachment)
        learnt = time.perf_counter()
    count = len(documents)
    return AttachTimes(
        created - began + locked - copied,
        (copied - created) / count,
        (encoded - locked) / count,
        (learnt - encoded) / count,
    )


def _draw_documents(session: IndexSession, index: ShopIndex) -> list[ShopDocument]:
    """Return documents of an index chosen at random."""
    client, retry = session.client, session.retry
    anywhere = {"function_score": {"random_score": {"seed": 1, "field": "_seq_no"}}}
    body = {"query": anywhere, "size": _DOCUMENTS, "_source": False}
    hits = retry.call(
        f"reading a sample of {index.name}",
        lambda: client.search(index=index.name, body=body)["hits"]["hits"],
    )
    keys = [DocumentKey(hit["_id"], 0, 0, 0, hit.get("_routing")) for hit in hits]
    return fetch_documents(client, index.name, keys, retry)


def _encode(
    session: IndexSession, jobs: JobsIndex, index: ShopIndex, attachment: Attachment, lock: Lock
) -> None:
    """Give the documents of an index their vectors, and look at them once more, as attaching does."""
    updater = IndexUpdater(session, jobs, index, attachment, full=True)
    try:
        for _ in range(2):
            positions = read_positions(session.client, index.name, session.retry)
            updater.catch_up(positions[index.uuid], AttachReport(index.name), lock)
    finally:
        updater.close()
        jobs.forget(state_key(index))


@contextmanager
def _open_trial(session: IndexSession, index: ShopIndex, attachment: Attachment) -> Iterator[ShopIndex]:
    """Create an empty index like another one, and delete it afterwards."""
    name = make_index_name(f"attune-trial-{index.name}", now_ms())
    try:
        yield create_empty_copy(session, name, index, attachment, _ONE_SHARD)
    finally:
        retry = RetryPolicy(_DELETE_SECONDS)  # a job that is stopped deletes it too
        with suppress(AttuneError):
            retry.call(
                f"deleting {name}",
                lambda: session.client.indices.delete(index=name, params={"ignore_unavailable": "true"}),
            )
