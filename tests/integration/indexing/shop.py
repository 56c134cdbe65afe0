"""A shop whose catalogue is indexed into real OpenSearch: rebuilds, changes, what the index then holds."""

import json
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from opensearchpy import OpenSearch
from opensearchpy.helpers import scan

from indexer.catalogue.field_map import FieldMap
from indexer.catalogue.guessing import guess_field_map
from indexer.change.changes import ChangeKind
from indexer.change.job import ChangeJob, ChangesReport, apply_changes
from indexer.rebuild.job import Engine, RebuildReport, rebuild_index
from indexer.rebuild.loading import load_locally
from indexer.rebuild.product_source import CatalogueSource, open_index_source
from indexer.rebuild.rollback import RollbackReport, roll_back
from indexer.rebuild.verify import VerifyReport, verify_index
from indexer.sources.change_stream import ChangeStream
from indexer.sources.files import open_catalogue
from indexer.store.alias import ManagedIndex
from indexer.store.encoder import ProductEncoder
from indexer.store.retry import RetryPolicy
from indexer.store.session import IndexSession, OneEncoder
from mappings.settings import IndexSettings
from mappings.types import JsonObject
from tests.fakes.fake_encoder import FakeEncoder
from tests.fakes.mug_jobs import T0

RETRY = RetryPolicy(60)

Documents = dict[str, tuple[int, JsonObject]]
"""Id → version and `_source`."""


def mug(number: int | str, **more: Any) -> JsonObject:
    return {"id": str(number), "title": f"Mug {number}", "color": "blue", "price": 10, **more}


MUGS = [mug(number) for number in range(20)]


@dataclass
class Shop:
    """One alias. Catalogues and changes are true `at` milliseconds after T0 where they have no versions."""

    client: OpenSearch
    folder: Path
    alias: str
    encoder: FakeEncoder = field(default_factory=FakeEncoder)
    settings: IndexSettings = field(default_factory=lambda: IndexSettings(batch=4))

    def write(self, name: str, records: Iterable[JsonObject], at: int = 0) -> Path:
        path = self.folder / name
        path.write_text("".join(json.dumps(record) + "\n" for record in records))
        os.utime(path, ns=((T0 + at) * 1_000_000,) * 2)
        return path

    def session(
        self,
        encoder: ProductEncoder | None = None,
        settings: IndexSettings | None = None,
        on_progress: Callable[[int, float], None] = lambda _, __: None,
    ) -> IndexSession:
        encoders = OneEncoder(encoder or self.encoder)
        return IndexSession(self.client, self.alias, encoders, settings or self.settings, RETRY, on_progress)

    def source(self, records: Iterable[JsonObject], at: int = 0, limit: int | None = None) -> CatalogueSource:
        catalogue = open_catalogue(self.write("catalogue.jsonl", records, at))
        return CatalogueSource(catalogue, guess_field_map(catalogue), limit=limit)

    def rebuild(
        self,
        records: Iterable[JsonObject] = MUGS,
        at: int = 0,
        on_progress: Callable[[int, float], None] = lambda _, __: None,
        settings: IndexSettings | None = None,
        encoder: ProductEncoder | None = None,
        engine: Engine = load_locally,
        replica_seconds: int = 60,
    ) -> RebuildReport:
        session = self.session(encoder, settings, on_progress)
        rejects = self.folder / "rejects.jsonl"
        return rebuild_index(session, self.source(records, at), rejects, engine, replica_seconds)

    def reencode(
        self, encoder: ProductEncoder, on_progress: Callable[[int, float], None] = lambda _, __: None
    ) -> RebuildReport:
        source = open_index_source(self.client, self.live(), RETRY)
        session = self.session(encoder, on_progress=on_progress)
        return rebuild_index(session, source, self.folder / "rejects.jsonl")

    def change(
        self, events: Sequence[JsonObject], at: int = 1000, default: ChangeKind = "upsert", dry: bool = False
    ) -> ChangesReport:
        def choose_field_map(stream: ChangeStream) -> FieldMap:
            return guess_field_map(stream.source, partial=True)

        job = ChangeJob(choose_field_map, self.folder / "changes.rejects.jsonl", default, dry=dry)
        stream = ChangeStream(open_catalogue(self.write("changes.jsonl", events, at)))
        return apply_changes(self.session(), job, [stream])

    def rejects(self, name: str = "changes.rejects.jsonl") -> list[JsonObject]:
        path = self.folder / name
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def roll_back(self, to: str = "", encoder: ProductEncoder | None = None) -> RollbackReport:
        return roll_back(self.session(encoder), to)

    def verify(self, records: Iterable[JsonObject] = MUGS, at: int = 0) -> VerifyReport:
        return verify_index(self.session(), self.source(records, at), self.live())

    def live(self) -> ManagedIndex:
        live = self.session().indexes.find_live()
        assert live is not None
        return live

    def made(self) -> list[str]:
        return [index.name for index in self.session().indexes.list_indexes()]

    def documents(self, index: str = "") -> Documents:
        index = index or self.alias
        self.client.indices.refresh(index=index)
        hits = scan(self.client, index=index, query={"version": True})
        return {hit["_id"]: (hit["_version"], hit["_source"]) for hit in hits}

    def prices(self, index: str = "") -> dict[str, float]:
        return {key: source.get("price", 0.0) for key, (_, source) in sorted(self.documents(index).items())}

    def titles(self, index: str = "") -> dict[str, str]:
        return {key: source["title"] for key, (_, source) in sorted(self.documents(index).items())}

    def remove(self) -> None:
        for index in self.made():
            self.client.indices.delete(index=index)


def everything(client: OpenSearch) -> dict[str, dict[str, int]]:
    """Index → id → sequence number, of every document there is: equal only where nothing was written."""
    client.indices.refresh(index="_all", params={"expand_wildcards": "all"})
    found: dict[str, dict[str, int]] = {
        name: {} for name in client.indices.get(index="*", params={"expand_wildcards": "all"})
    }
    body = {"seq_no_primary_term": True, "_source": False}
    for hit in scan(client, index="_all", query=body, params={"expand_wildcards": "all"}):
        found[hit["_index"]][hit["_id"]] = hit["_seq_no"]
    return found
