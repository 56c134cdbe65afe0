"""Copy a shop's index into one that can have vectors, and put that in its place.

The setting `index.knn` is final. So an index without it is copied, with its settings, mapping and aliases,
while searches and writers go on with the old one. Changes made meanwhile are found by their numbers
(`indexer.attach.shards`) and copied. For the last of them OpenSearch refuses writes to the old index, usually
for less than two seconds; then one atomic request moves every name to the copy.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from indexer.attach.attachment import Attachment
from indexer.attach.documents import ShopDocument, fetch_documents, list_missing
from indexer.attach.shards import (
    BEFORE_ALL,
    DocumentKey,
    ShardPosition,
    dump_positions,
    list_changes,
    parse_positions,
    read_positions,
)
from indexer.attach.shop_index import ShopIndex, get_shop_indexes, make_meta, make_properties
from indexer.store.alias import make_index_name
from indexer.store.bulk import BulkResult, map_in_order, split_chunks, write_bulk
from indexer.store.index_settings import create_index
from indexer.store.jobs_index import JobsIndex, now_ms
from indexer.store.lock import Lock
from indexer.store.scan import count_documents, refresh_index
from indexer.store.session import IndexSession
from mappings.errors import IndexingError
from mappings.fields import ATTUNE
from mappings.types import JsonObject

_OWN_SETTINGS = ("uuid", "creation_date", "provided_name", "version", "resize", "blocks", "knn")
"""Settings that belong to one index, or that the copy must have otherwise."""

_FINAL_SETTINGS = ("refresh_interval", "number_of_replicas", "default_pipeline", "final_pipeline")
"""Settings that the copy gets when it is filled: documents are copied as they are, and without refreshes."""

NO_PIPELINES: JsonObject = {"default_pipeline": "_none", "final_pipeline": "_none"}

_LOADING: JsonObject = {"refresh_interval": "-1", "number_of_replicas": 0, **NO_PIPELINES}


@dataclass(frozen=True, slots=True)
class CopiedDocument:
    """A document as the copy gets it. Without `versioned` it replaces whatever the copy has."""

    document: ShopDocument
    versioned: bool = True

    @property
    def id(self) -> str:
        """The document's id."""
        return self.document.key.id

    def as_action(self, index: str) -> JsonObject:
        """Return the action as the client's bulk helpers take it."""
        version = {"version": self.document.version, "version_type": "external_gte"}
        return {
            "_op_type": "index",
            "_index": index,
            **self.document.key.address,
            **(version if self.versioned else {}),
            "_source": {name: value for name, value in self.document.source.items() if name != ATTUNE},
        }


@dataclass(frozen=True, slots=True)
class _Removal:
    """Deletes a document of the copy, unless it was written since it was listed."""

    key: DocumentKey

    @property
    def id(self) -> str:
        return self.key.id

    def as_action(self, index: str) -> JsonObject:
        key = self.key
        expected = {"if_seq_no": key.seq_no, "if_primary_term": key.primary_term}
        return {"_op_type": "delete", "_index": index, **key.address, **expected}


def create_copy(
    session: IndexSession, jobs: JobsIndex, source: ShopIndex, attachment: Attachment
) -> ShopIndex:
    """Return the copy of an index that is to be filled: a new one, or that of a killed job."""
    state = jobs.load(copy_key(source)) or {}
    begun = get_shop_indexes(session, str(state.get("copy", "")))
    wanted = replace(attachment, copied_from=source.name)
    if begun and begun[0].attachment == wanted:
        return begun[0]
    name = make_index_name(f"attune-{source.name}", now_ms())
    copy = create_empty_copy(session, name, source, wanted, _LOADING)
    jobs.save(copy_key(source), {"copy": name, "shards": {}})
    return copy


def create_empty_copy(
    session: IndexSession, name: str, source: ShopIndex, attachment: Attachment, settings: JsonObject
) -> ShopIndex:
    """Create an index like another one, attached but without documents, aliases and pipelines.

    `settings` come on top of those of the source; one that is None is left out.
    """
    client, retry = session.client, session.retry
    own = {
        key: value for key, value in source.settings.items() if key not in (*_OWN_SETTINGS, *_FINAL_SETTINGS)
    }
    own.get("routing", {}).get("allocation", {}).pop("initial_recovery", None)
    vectors: JsonObject = {"knn": True, "knn.derived_source.enabled": False}
    together = {key: value for key, value in (own | vectors | settings).items() if value is not None}
    properties = source.mappings.get("properties", {}) | make_properties(session, source, attachment)
    mappings = {**source.mappings, "properties": properties, "_meta": make_meta(source, attachment)}
    create_index(client, name, {"settings": {"index": together}, "mappings": mappings}, retry)
    (copy,) = get_shop_indexes(session, name)
    if copy.aliases:  # of an index template: searches must not see the copy yet
        retry.call(
            f"removing the aliases of {name}", lambda: client.indices.delete_alias(index=name, name="*")
        )
    return copy


def select_final_settings(source: ShopIndex) -> JsonObject:
    """Return the settings of an index that its copy gets when it is filled."""
    return {name: source.settings.get(name) for name in _FINAL_SETTINGS}


class IndexCopier:
    """Copies the documents of one index to another, which nobody else writes to."""

    def __init__(self, session: IndexSession, jobs: JobsIndex, source: ShopIndex, copy: ShopIndex) -> None:
        self._session = session
        self._jobs = jobs
        self.source = source
        self.copy = copy
        self._state = parse_positions((jobs.load(copy_key(source)) or {}).get("shards", {}))

    def catch_up(self, lock: Lock) -> int:
        """Copy what was written since the last time; return the number of documents."""
        session, source = self._session, self.source
        positions = read_positions(session.client, source.name, session.retry)[source.uuid]
        refresh_index(session.client, source.name, session.retry)
        copied = 0
        for position in positions:
            before = self._state.get(position.number)
            after = before.checkpoint if before and before.history == position.history else BEFORE_ALL
            for page in list_changes(session.client, source, position, after, session.retry):
                chunks = split_chunks(page.documents, session.settings.batch)
                for _, written in map_in_order(self._copy_documents, chunks):
                    lock.check()
                    session.retry.check_stop()
                    copied += written
                self._state[position.number] = replace(position, checkpoint=page.checkpoint)
                self._save()
        return copied

    def delete_missing(self, upto: Iterable[ShardPosition], lock: Lock) -> None:
        """Delete from the copy what the source no longer has, of what the copy had at these positions."""
        session = self._session
        client, retry = session.client, session.retry
        refresh_index(client, self.copy.name, retry)
        for position in upto:
            for page in list_changes(client, self.copy, position, BEFORE_ALL, retry):
                lock.check()
                missing = list_missing(client, self.source.name, page.documents, retry)
                writes = [_Removal(key) for key in missing]
                self._check(write_bulk(client, self.copy.name, writes, retry))

    def positions(self) -> list[ShardPosition]:
        """Return how far the copy's shards got."""
        session = self._session
        return read_positions(session.client, self.copy.name, session.retry)[self.copy.uuid]

    def check_complete(self) -> None:
        """Raise IndexingError where the copy has fewer documents than the source."""
        session = self._session
        counts = []
        for index in (self.source, self.copy):
            refresh_index(session.client, index.name, session.retry)
            counts.append(count_documents(session.client, index.name, {"match_all": {}}, session.retry))
        if counts[1] < counts[0]:
            raise IndexingError(
                f"the copy {self.copy.name} has {counts[1]:,} documents, and {self.source.name} has "
                f"{counts[0]:,}: nothing was switched. Run the same command again"
            )

    def _copy_documents(self, keys: Sequence[DocumentKey]) -> int:
        session = self._session
        client, name, retry = session.client, self.copy.name, session.retry
        documents = fetch_documents(client, self.source.name, keys, retry)
        results = write_bulk(client, name, [CopiedDocument(document) for document in documents], retry)
        self._check(results)
        # A document that was deleted and made again has a lower version than the one that the copy has.
        pairs = zip(documents, results, strict=True)
        again = [CopiedDocument(document, versioned=False) for document, result in pairs if result.stale]
        self._check(write_bulk(client, name, again, retry))
        return len(documents)

    def _check(self, results: Sequence[BulkResult]) -> None:
        for result in results:
            if result.refusal:
                raise IndexingError(
                    f"document {result.id} can't be copied to {self.copy.name}: {result.refusal}"
                )

    def _save(self) -> None:
        shards = dump_positions(self._state.values())
        self._jobs.save(copy_key(self.source), {"copy": self.copy.name, "shards": shards})


def copy_key(index: ShopIndex) -> str:
    """Return the key under which the jobs index holds how far the copy of an index got."""
    return f"copy:{index.uuid}"
