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
from indexer.change.changes import Kind
from indexer.change.job import ChangeJob, ChangesReport, run_changes
from indexer.rebuild.job import IndexJob, IndexReport, Progress, run_index_job
from indexer.rebuild.product_source import CatalogueSupply, Supply, supply_of_index
from indexer.rebuild.rollback import RollbackReport, roll_back
from indexer.rebuild.verify import Comparison, compare
from indexer.sources.change_stream import ChangeStream
from indexer.sources.files import open_catalogue
from indexer.store.alias import Aliases, MadeIndex
from indexer.store.encoder import ProductEncoder
from indexer.store.jobs_index import open_jobs
from indexer.store.retry import Patience
from mappings.settings import IndexSettings
from mappings.types import JsonObject
from tests.fakes.encoder import StandInEncoder
from tests.fakes.jobs import T0, One

PATIENCE = Patience(60)

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
    encoder: StandInEncoder = field(default_factory=StandInEncoder)
    settings: IndexSettings = field(default_factory=lambda: IndexSettings(batch=4))

    def write(self, name: str, records: Iterable[JsonObject], at: int = 0) -> Path:
        path = self.folder / name
        path.write_text("".join(json.dumps(record) + "\n" for record in records))
        os.utime(path, ns=((T0 + at) * 1_000_000,) * 2)
        return path

    def supply(self, records: Iterable[JsonObject], at: int = 0, limit: int | None = None) -> CatalogueSupply:
        catalogue = open_catalogue(self.write("catalogue.jsonl", records, at))
        return CatalogueSupply(catalogue, guess_field_map(catalogue), limit=limit)

    def job(self, supply: Supply, settings: IndexSettings | None = None) -> IndexJob:
        return IndexJob(supply, self.alias, self.folder / "rejects.jsonl", settings or self.settings)

    def rebuild(
        self,
        records: Iterable[JsonObject] = MUGS,
        at: int = 0,
        on_progress: Callable[[Progress], None] = lambda _: None,
        settings: IndexSettings | None = None,
        encoder: ProductEncoder | None = None,
    ) -> IndexReport:
        job = self.job(self.supply(records, at), settings)
        return run_index_job(job, self.client, encoder or self.encoder, on_progress, PATIENCE)

    def reencode(
        self, encoder: ProductEncoder, on_progress: Callable[[Progress], None] = lambda _: None
    ) -> IndexReport:
        job = self.job(supply_of_index(self.client, self.live(), PATIENCE))
        return run_index_job(job, self.client, encoder, on_progress, PATIENCE)

    def change(
        self, events: Sequence[JsonObject], at: int = 1000, default: Kind = "upsert", dry: bool = False
    ) -> ChangesReport:
        stream = ChangeStream(open_catalogue(self.write("changes.jsonl", events, at)))
        return run_changes(
            self.changes(default, dry), self.client, One(self.encoder), [stream], patience=PATIENCE
        )

    def changes(self, default: Kind = "upsert", dry: bool = False) -> ChangeJob:
        def field_map(stream: ChangeStream) -> FieldMap:
            return guess_field_map(stream.source, partial=True)

        rejects = self.folder / "changes.rejects.jsonl"
        return ChangeJob(self.alias, field_map, rejects, self.settings, default, dry=dry)

    def rejects(self, name: str = "changes.rejects.jsonl") -> list[JsonObject]:
        path = self.folder / name
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def roll_back(self, to: str = "", encoder: ProductEncoder | None = None) -> RollbackReport:
        models = One(encoder or self.encoder)
        return roll_back(self.client, self.alias, to, models, self.settings, PATIENCE)

    def compare(self, records: Iterable[JsonObject] = MUGS, at: int = 0) -> Comparison:
        jobs = open_jobs(self.client, PATIENCE)
        supply, live = self.supply(records, at), self.live()
        return compare(supply, self.client, jobs, self.alias, live, self.encoder, PATIENCE, 4)

    def live(self) -> MadeIndex:
        live = Aliases(self.client, self.alias, PATIENCE).live()
        assert live is not None
        return live

    def made(self) -> list[str]:
        return [of.name for of in Aliases(self.client, self.alias, PATIENCE).made()]

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
