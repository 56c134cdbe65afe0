"""The index that a rebuild fills: begun or gone on with, loaded without refreshes and copies, made ready."""

import json
from dataclasses import dataclass

from opensearchpy import OpenSearch

from indexer.store.alias import BUILDING, META, REPLACED, STATE, Aliases, MadeIndex, index_name
from indexer.store.encoder import ProductEncoder
from indexer.store.jobs_index import now_ms
from indexer.store.retry import Patience
from indexer.store.scan import counted, refresh
from mappings.client import index_body
from mappings.settings import IndexSettings
from mappings.types import JsonObject

REPLICA_SECONDS = 60
"""How long copies are waited for before searches move to the index; a cluster without room has none."""

LOADING: JsonObject = {"refresh_interval": "-1", "number_of_replicas": 0}


@dataclass(frozen=True, slots=True)
class Begun:
    """The index to fill, whether a run before began it, and the indexes whose vectors can be used."""

    index: MadeIndex
    resumed: bool
    reuse: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class NewIndex:
    """Makes the indexes of one alias for one model."""

    client: OpenSearch
    aliases: Aliases
    encoder: ProductEncoder
    settings: IndexSettings
    patience: Patience

    def begin(self, about: JsonObject, live: MadeIndex | None) -> Begun:
        """Return the index for a supply that notes `about` of itself, begun for it before or new.

        Vectors can be used of the live index and, of those that other runs left unfinished, as one from a
        database that is never the same twice, of the fullest; what else was left is deleted.
        """
        note = self._note(about)
        left = [of for of in self.aliases.made() if not of.complete and not (live and of.name == live.name)]
        same = next((of for of in left if _begun_by(of.note) == note), None)
        others = [of for of in left if of is not same]
        useful = sorted(filter(self._fits, others), key=self._fullness)[-1:]
        for of in others:
            if of not in useful:
                self.aliases.delete(of.name)
        reuse = tuple(of.name for of in ([live] if live and self._fits(live) else []) + useful)
        if same:
            self._set(same.name, LOADING)
            refresh(self.client, same.name, self.patience)
            return Begun(same, True, reuse)
        return Begun(self._made(note), False, reuse)

    def make_ready(self, index: str) -> None:
        """Give the index the settings of one that is searched, and its replicas."""
        replicas = self.settings.replicas
        self._set(index, {"refresh_interval": None, "number_of_replicas": replicas})
        self.patience.call(f"flushing {index}", lambda: self.client.indices.flush(index=index))
        if replicas:
            params = {"wait_for_status": "green", "timeout": f"{REPLICA_SECONDS}s", "ignore": 408}
            self.patience.call(
                f"waiting for replicas of {index}",
                lambda: self.client.cluster.health(
                    index=index, params=params | {"request_timeout": REPLICA_SECONDS + 10}
                ),
            )

    def size(self, index: str) -> int:
        """Return the bytes of an index's primary shards on disk."""
        stats = self.patience.call(
            f"measuring {index}", lambda: self.client.indices.stats(index=index, metric="store")
        )
        return int(stats["_all"]["primaries"]["store"]["size_in_bytes"])

    def _made(self, note: JsonObject) -> MadeIndex:
        name = index_name(self.aliases.alias, now_ms())
        body = index_body(self.encoder.dimension, self.settings)
        body["mappings"]["_meta"] = {META: note}
        body["settings"]["index"] |= LOADING

        def create() -> None:
            if not self.client.indices.exists(index=name):  # an answer may have been lost
                self.client.indices.create(index=name, body=body)

        self.patience.call(f"creating index {name}", create)
        return MadeIndex(name, note, ())

    def _set(self, index: str, settings: JsonObject) -> None:
        self.patience.call(
            f"changing settings of {index}",
            lambda: self.client.indices.put_settings(index=index, body={"index": settings}),
        )

    def _fits(self, index: MadeIndex) -> bool:
        """Whether an index has vectors such as this run makes."""
        return index.model == self.encoder.version and index.note.get("vectors") == self.settings.vectors

    def _fullness(self, index: MadeIndex) -> int:
        refresh(self.client, index.name, self.patience)
        return counted(self.client, index.name, {"match_all": {}}, self.patience)

    def _note(self, about: JsonObject) -> JsonObject:
        note = {
            "alias": self.aliases.alias,
            STATE: BUILDING,
            "model": self.encoder.version,
            "dimension": self.encoder.dimension,
            "vectors": self.settings.vectors,
            "engine": self.settings.engine,
            "shards": self.settings.shards,
            **about,
        }
        normal: JsonObject = json.loads(json.dumps(note))  # as OpenSearch gives it back
        return normal


def _begun_by(note: JsonObject) -> JsonObject:
    """Return what an unfinished index noted when it was begun."""
    return {name: value for name, value in note.items() if name not in ("version", REPLACED)}
