"""The index that a rebuild fills: created or continued, loaded without refreshes and replicas, made ready."""

import json
from dataclasses import dataclass

from indexer.store.alias import (
    BUILDING,
    META,
    PICTURES,
    REPLACED,
    STATE,
    VOCABULARY,
    ManagedIndex,
    make_index_name,
)
from indexer.store.index_settings import create_index, put_settings, wait_for_replicas
from indexer.store.jobs_index import now_ms
from indexer.store.scan import count_documents, refresh_index
from indexer.store.session import IndexSession
from mappings.client import index_body
from mappings.types import JsonObject
from reranker.text.chinese import simplified_table

_LATER_METADATA = ("version", REPLACED, "records", "unreadable", VOCABULARY)
"""What is recorded when the catalogue was read."""

_LOADING_SETTINGS: JsonObject = {"refresh_interval": "-1", "number_of_replicas": 0}


@dataclass(frozen=True, slots=True)
class RebuildTarget:
    """The index to fill, whether an earlier run began it, and the indexes whose vectors can be reused."""

    index: ManagedIndex
    resumed: bool
    reuse: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class TargetIndexes:
    """Creates, continues and finishes the indexes that rebuilds fill.

    `replica_seconds` is how long replicas are waited for before searches move to the index; a cluster without
    room never has any.
    """

    session: IndexSession
    replica_seconds: int

    def open(self, description: JsonObject, live: ManagedIndex | None) -> RebuildTarget:
        """Return the index for a product source with this description: a new one, or an unfinished one.

        Vectors are reused from the live index and from the fullest of the other unfinished indexes, as those
        from a database, whose content is never the same twice. The rest of the unfinished ones is deleted.
        """
        indexes = self.session.indexes
        metadata = self._make_metadata(description)
        unfinished = [
            index
            for index in indexes.list_indexes()
            if not index.complete and not (live and index.name == live.name)
        ]
        same = next((index for index in unfinished if _initial_metadata(index) == metadata), None)
        others = [index for index in unfinished if index is not same]
        useful = sorted(filter(self._has_usable_vectors, others), key=self._count)[-1:]
        for index in others:
            if index not in useful:
                indexes.delete(index.name)
        current = [live] if live and self._has_usable_vectors(live) else []
        reuse = tuple(index.name for index in current + useful)
        if same:
            put_settings(self.session.client, same.name, _LOADING_SETTINGS, self.session.retry)
            refresh_index(self.session.client, same.name, self.session.retry)
            return RebuildTarget(same, True, reuse)
        return RebuildTarget(self._create(metadata), False, reuse)

    def make_ready(self, index: str) -> None:
        """Give the index the settings of one that is searched, and its replicas."""
        client, retry = self.session.client, self.session.retry
        replicas = self.session.settings.replicas
        put_settings(client, index, {"refresh_interval": None, "number_of_replicas": replicas}, retry)
        retry.call(f"flushing {index}", lambda: client.indices.flush(index=index))
        if replicas:
            wait_for_replicas(client, index, self.replica_seconds, retry)

    def measure_size(self, index: str) -> int:
        """Return the bytes of an index's primary shards on disk."""
        client = self.session.client
        stats = self.session.retry.call(
            f"measuring {index}", lambda: client.indices.stats(index=index, metric="store")
        )
        return int(stats["_all"]["primaries"]["store"]["size_in_bytes"])

    def _create(self, metadata: JsonObject) -> ManagedIndex:
        session = self.session
        name = make_index_name(session.alias, now_ms())
        body = index_body(
            session.encoders.current.dimension,
            session.settings,
            session.pictures.dimension if session.pictures else 0,
            simplified_table(),
        )
        body["mappings"]["_meta"] = {META: metadata}
        body["settings"]["index"] |= _LOADING_SETTINGS
        create_index(session.client, name, body, session.retry)
        return ManagedIndex(name, metadata, ())

    def _has_usable_vectors(self, index: ManagedIndex) -> bool:
        """Return whether an index has the vectors that this run would make."""
        session = self.session
        return (
            index.model == session.encoders.current.version
            and index.metadata.get("vectors") == session.settings.vectors
        )

    def _count(self, index: ManagedIndex) -> int:
        client, retry = self.session.client, self.session.retry
        refresh_index(client, index.name, retry)
        return count_documents(client, index.name, {"match_all": {}}, retry)

    def _make_metadata(self, description: JsonObject) -> JsonObject:
        session = self.session
        metadata = {
            "alias": session.alias,
            STATE: BUILDING,
            "model": session.encoders.current.version,
            "dimension": session.encoders.current.dimension,
            "vectors": session.settings.vectors,
            "engine": session.settings.engine,
            "shards": session.settings.shards,
            **({PICTURES: session.pictures.version} if session.pictures else {}),
            **description,
        }
        as_stored: JsonObject = json.loads(json.dumps(metadata))
        return as_stored


def _initial_metadata(index: ManagedIndex) -> JsonObject:
    """Return the metadata that an unfinished index was created with."""
    return {name: value for name, value in index.metadata.items() if name not in _LATER_METADATA}
