"""The hidden index `attune-jobs`: what jobs must remember beyond their own life.

It holds the locks that keep two jobs off one alias, the watermarks of databases, and a tombstone for every
product that a change deleted: a product's version is forgotten with its document, and without a tombstone an
event that comes late would bring it back, and a rebuild from an older catalogue too.
"""

import hashlib
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from opensearchpy import OpenSearch
from opensearchpy.exceptions import ConflictError, NotFoundError, RequestError

from indexer.store.bulk import Action, chunks, write
from indexer.store.retry import Patience
from indexer.store.scan import every, found, refresh
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
class Held:
    """A document of the index and where it stands in its history, which tells it from any other of its id."""

    source: JsonObject
    seq_no: int
    primary_term: int


@dataclass(frozen=True, slots=True)
class JobsIndex:
    """The documents of `attune-jobs`. Make one with `open_jobs`."""

    client: OpenSearch
    patience: Patience

    def get(self, key: str) -> Held | None:
        """Return the document `key`, None where there is none."""

        def ask() -> Held | None:
            try:
                found = self.client.get(index=JOBS_INDEX, id=key)
            except NotFoundError:
                return None
            return Held(found["_source"], found["_seq_no"], found["_primary_term"])

        return self.patience.call(f"reading {key} in {JOBS_INDEX}", ask)

    def put(self, key: str, source: JsonObject, instead_of: Held | None) -> Held | None:
        """Write the document `key` if it is still `instead_of`, or not there; None where it is another."""
        params: dict[str, Any] = {"op_type": "create"}
        if instead_of:
            params = {"if_seq_no": instead_of.seq_no, "if_primary_term": instead_of.primary_term}

        def ask() -> Held | None:
            try:
                put = self.client.index(index=JOBS_INDEX, id=key, body=source, params=params)
            except ConflictError:
                return None
            return Held(source, put["_seq_no"], put["_primary_term"])

        return self.patience.call(f"writing {key} to {JOBS_INDEX}", ask)

    def drop(self, key: str, held: Held) -> None:
        """Remove the document `key` if it is still `held`."""
        params = {"if_seq_no": held.seq_no, "if_primary_term": held.primary_term}

        def ask() -> None:
            try:
                self.client.delete(index=JOBS_INDEX, id=key, params=params)
            except (ConflictError, NotFoundError):
                return

        self.patience.call(f"removing {key} from {JOBS_INDEX}", ask)

    def load(self, key: str) -> JsonObject | None:
        """Return what was saved under `key`, None where nothing was."""
        held = self.get(key)
        return held.source["value"] if held else None

    def save(self, key: str, value: JsonObject) -> None:
        """Save a value under `key`, in place of what was there."""
        body = {"kind": "value", "value": value, "at": now_ms()}
        self.patience.call(
            f"writing {key} to {JOBS_INDEX}", lambda: self.client.index(index=JOBS_INDEX, id=key, body=body)
        )

    def bury(self, alias: str, deleted: Mapping[str, int]) -> None:
        """Leave a tombstone for each deleted product: id → version of the delete. Raises IndexingError."""
        if not deleted:
            return
        at = now_ms()
        actions = [
            Action(
                _tombstone(alias, product),
                version,
                {"kind": "tombstone", "alias": alias, "product": product, "version": version, "at": at},
            )
            for product, version in deleted.items()
        ]
        refused = [of.refusal for of in write(self.client, JOBS_INDEX, actions, self.patience) if of.refusal]
        if refused:
            raise IndexingError(f"deletes can't be noted in {JOBS_INDEX}, so none was done: {refused[0]}")

    def buried(self, alias: str, products: Sequence[str]) -> dict[str, int]:
        """Return the versions that products were deleted at, for those that were."""
        if not products:
            return {}
        body = {"ids": [_tombstone(alias, product) for product in products]}

        def ask() -> list[JsonObject]:
            answer = self.client.mget(index=JOBS_INDEX, body=body)
            missing = "index_not_found_exception"  # where no job has run yet
            told = [of for of in answer["docs"] if of.get("error", {}).get("type") != missing]
            return found({"docs": told})

        there = self.patience.call("reading tombstones", ask)
        return {of["_source"]["product"]: of["_source"]["version"] for of in there}

    def buried_since(self, alias: str, version: int) -> Iterator[dict[str, int]]:
        """Yield the products deleted at versions above `version`, some at a time."""
        query = {
            "bool": {
                "filter": [
                    {"term": {"kind": "tombstone"}},
                    {"term": {"alias": alias}},
                    {"range": {"version": {"gt": version}}},
                ]
            }
        }
        refresh(self.client, JOBS_INDEX, self.patience)
        for chunk in chunks(every(self.client, JOBS_INDEX, query, self.patience), 1000):
            yield {of.source["product"]: of.source["version"] for of in chunk}

    def forget_buried(self, alias: str, before_ms: int) -> None:
        """Remove tombstones older than any index that a rebuild could still copy them to."""
        query = {
            "bool": {
                "filter": [
                    {"term": {"kind": "tombstone"}},
                    {"term": {"alias": alias}},
                    {"range": {"at": {"lt": before_ms}}},
                ]
            }
        }
        self.patience.call(
            "removing old tombstones",
            lambda: self.client.delete_by_query(
                index=JOBS_INDEX, body={"query": query}, params={"conflicts": "proceed"}
            ),
        )


def open_jobs(client: OpenSearch, patience: Patience) -> JobsIndex:
    """Return the jobs' index, made where it is missing."""

    def ask() -> None:
        if client.indices.exists(index=JOBS_INDEX):
            return
        try:
            client.indices.create(index=JOBS_INDEX, body=_BODY)
        except RequestError as error:
            if error.error != "resource_already_exists_exception":
                raise

    patience.call(f"making index {JOBS_INDEX}", ask)
    return JobsIndex(client, patience)


def now_ms() -> int:
    """Return the moment in milliseconds since 1970."""
    return time.time_ns() // 1_000_000


def _tombstone(alias: str, product: str) -> str:
    # Hashed: an alias and an id together may be longer than OpenSearch's 512 bytes.
    return "tombstone:" + hashlib.blake2b(f"{alias}\n{product}".encode(), digest_size=16).hexdigest()
