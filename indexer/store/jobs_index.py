"""The hidden index `attune-jobs`: what jobs must remember beyond their own life.

It holds the locks that keep two jobs off one alias, the watermarks of databases, and a tombstone for every
product that a change deleted. OpenSearch forgets a product's version with its document: without a tombstone,
an older change or a rebuild from an older catalogue would restore the product.
"""

import hashlib
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from opensearchpy import OpenSearch
from opensearchpy.exceptions import ConflictError, NotFoundError, RequestError

from indexer.store.bulk import BulkAction, split_chunks, write_bulk
from indexer.store.retry import RetryPolicy
from indexer.store.scan import refresh_index, scan_documents, select_existing
from mappings.errors import IndexingError
from mappings.types import JsonObject

JOBS_INDEX = "attune-jobs"

_BODY: JsonObject = {
    "settings": {"index": {"hidden": True, "number_of_shards": 1, "auto_expand_replicas": "0-1"}},
    "mappings": {
        "dynamic": False,
        "properties": {
            "kind": {"type": "keyword"},
            "alias": {"type": "keyword"},
            "product": {"type": "keyword"},
            "version": {"type": "long"},
            "at": {"type": "date", "format": "epoch_millis"},
        },
    },
}


@dataclass(frozen=True, slots=True)
class JobDocument:
    """One state of a document of the jobs index. Sequence number and term tell it from every other state."""

    source: JsonObject
    seq_no: int
    primary_term: int


@dataclass(frozen=True, slots=True)
class JobsIndex:
    """The documents of `attune-jobs`. Make one with `open_jobs_index`."""

    client: OpenSearch
    retry: RetryPolicy

    def get(self, key: str) -> JobDocument | None:
        """Return the document `key`, None where there is none."""

        def ask() -> JobDocument | None:
            try:
                answer = self.client.get(index=JOBS_INDEX, id=key)
            except NotFoundError:
                return None
            return JobDocument(answer["_source"], answer["_seq_no"], answer["_primary_term"])

        return self.retry.call(f"reading {key} in {JOBS_INDEX}", ask)

    def put(self, key: str, source: JsonObject, expected: JobDocument | None) -> JobDocument | None:
        """Write the document `key` if its state is still `expected` (None: it does not exist).

        Returns the new state, or None where the state was another one.
        """
        params: dict[str, Any] = {"op_type": "create"}
        if expected:
            params = {"if_seq_no": expected.seq_no, "if_primary_term": expected.primary_term}

        def ask() -> JobDocument | None:
            try:
                answer = self.client.index(index=JOBS_INDEX, id=key, body=source, params=params)
            except ConflictError:
                return None
            return JobDocument(source, answer["_seq_no"], answer["_primary_term"])

        return self.retry.call(f"writing {key} to {JOBS_INDEX}", ask)

    def delete(self, key: str, expected: JobDocument) -> None:
        """Delete the document `key` if its state is still `expected`."""
        params = {"if_seq_no": expected.seq_no, "if_primary_term": expected.primary_term}

        def ask() -> None:
            try:
                self.client.delete(index=JOBS_INDEX, id=key, params=params)
            except (ConflictError, NotFoundError):
                return

        self.retry.call(f"removing {key} from {JOBS_INDEX}", ask)

    def load(self, key: str) -> JsonObject | None:
        """Return the value that was saved under `key`, None where there is none."""
        document = self.get(key)
        return document.source["value"] if document else None

    def save(self, key: str, value: JsonObject) -> None:
        """Save a value under `key`, in place of an earlier one."""
        body = {"kind": "value", "value": value, "at": now_ms()}
        self.retry.call(
            f"writing {key} to {JOBS_INDEX}", lambda: self.client.index(index=JOBS_INDEX, id=key, body=body)
        )

    def forget(self, key: str) -> None:
        """Delete the value that was saved under `key`, if there is one."""

        def ask() -> None:
            with suppress(NotFoundError):
                self.client.delete(index=JOBS_INDEX, id=key)

        self.retry.call(f"removing {key} from {JOBS_INDEX}", ask)

    def add_tombstones(self, alias: str, deleted: Mapping[str, int]) -> None:
        """Write a tombstone for each deleted product: id → version of the delete. Raises IndexingError."""
        if not deleted:
            return
        at = now_ms()
        actions = [
            BulkAction(
                _tombstone_key(alias, product),
                version,
                {"kind": "tombstone", "alias": alias, "product": product, "version": version, "at": at},
            )
            for product, version in deleted.items()
        ]
        results = write_bulk(self.client, JOBS_INDEX, actions, self.retry)
        refused = [result.refusal for result in results if result.refusal]
        if refused:
            raise IndexingError(
                f"tombstones can't be written to {JOBS_INDEX}, nothing was deleted: {refused[0]}"
            )

    def get_tombstones(self, alias: str, products: Sequence[str]) -> dict[str, int]:
        """Return the versions at which these products were deleted, for those that were."""
        if not products:
            return {}
        body = {"ids": [_tombstone_key(alias, product) for product in products]}

        def ask() -> list[JsonObject]:
            answer = self.client.mget(index=JOBS_INDEX, body=body)
            missing = "index_not_found_exception"  # before the first job
            known = [doc for doc in answer["docs"] if doc.get("error", {}).get("type") != missing]
            return select_existing({"docs": known})

        documents = self.retry.call("reading tombstones", ask)
        return {doc["_source"]["product"]: doc["_source"]["version"] for doc in documents}

    def scan_tombstones(self, alias: str, above: int) -> Iterator[dict[str, int]]:
        """Yield the products deleted at versions above `above`, up to 1,000 at a time: id → version."""
        query = _tombstones_of(alias, {"range": {"version": {"gt": above}}})
        refresh_index(self.client, JOBS_INDEX, self.retry)
        for chunk in split_chunks(scan_documents(self.client, JOBS_INDEX, query, self.retry), 1000):
            yield {document.source["product"]: document.source["version"] for document in chunk}

    def delete_tombstones(self, alias: str, before_ms: int) -> None:
        """Delete the tombstones written before a moment, in milliseconds since 1970."""
        query = _tombstones_of(alias, {"range": {"at": {"lt": before_ms}}})
        self.retry.call(
            "removing old tombstones",
            lambda: self.client.delete_by_query(
                index=JOBS_INDEX, body={"query": query}, params={"conflicts": "proceed"}
            ),
        )


def open_jobs_index(client: OpenSearch, retry: RetryPolicy) -> JobsIndex:
    """Return the jobs index, and create it where it is missing."""

    def ask() -> None:
        if client.indices.exists(index=JOBS_INDEX):
            return
        try:
            client.indices.create(index=JOBS_INDEX, body=_BODY)
        except RequestError as error:
            if error.error != "resource_already_exists_exception":
                raise

    retry.call(f"creating index {JOBS_INDEX}", ask)
    return JobsIndex(client, retry)


def now_ms() -> int:
    """Return the current time in milliseconds since 1970."""
    return time.time_ns() // 1_000_000


def _tombstones_of(alias: str, condition: JsonObject) -> JsonObject:
    return {"bool": {"filter": [{"term": {"kind": "tombstone"}}, {"term": {"alias": alias}}, condition]}}


def _tombstone_key(alias: str, product: str) -> str:
    # Hashed: an alias and an id together may be longer than OpenSearch's 512 bytes.
    return "tombstone:" + hashlib.blake2b(f"{alias}\n{product}".encode(), digest_size=16).hexdigest()
