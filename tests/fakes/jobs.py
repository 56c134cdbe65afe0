"""Jobs on small catalogues of mugs, for the tests of indexing."""

import os
from dataclasses import dataclass
from pathlib import Path

from opensearchpy import OpenSearch

from indexer.catalogue.field_map import add_operation
from indexer.catalogue.guessing import guess_field_map
from indexer.change.job import ChangeJob, ChangesReport, run_changes
from indexer.rebuild.job import IndexJob
from indexer.rebuild.product_source import CatalogueSupply
from indexer.sources.change_stream import ChangeStream
from indexer.sources.files import open_catalogue
from indexer.store.encoder import ProductEncoder
from indexer.store.retry import Patience
from mappings.settings import IndexSettings

MUGS = [f"{number},Mug {number},blue" for number in range(10)]
T0 = 1_700_000_000_000
"""When the catalogues were true, in milliseconds since 1970."""


@dataclass(frozen=True)
class One:
    """One model at hand, for every version."""

    encoder: ProductEncoder

    def of(self, version: str) -> ProductEncoder:
        return self.encoder


def job_for(
    folder: Path,
    lines: list[str],
    settings: IndexSettings | None = None,
    limit: int | None = None,
    moment_ms: int = T0,
) -> IndexJob:
    path = folder / "mugs.csv"
    path.write_text("id,title,color\n" + "".join(f"{line}\n" for line in lines))
    os.utime(path, ns=(moment_ms * 1_000_000, moment_ms * 1_000_000))
    catalogue = open_catalogue(path)
    supply = CatalogueSupply(catalogue, guess_field_map(catalogue), limit=limit)
    return IndexJob(supply, "mugs", folder / "rejects.jsonl", settings or IndexSettings(batch=4))


def change(
    client: OpenSearch,
    folder: Path,
    lines: list[str],
    encoder: ProductEncoder,
    moment_ms: int = T0 + 1000,
    **job: object,
) -> ChangesReport:
    """Apply changes: JSON Lines, true at `moment_ms`."""
    path = folder / "changes.jsonl"
    path.write_text("".join(f"{line}\n" for line in lines))
    os.utime(path, ns=(moment_ms * 1_000_000, moment_ms * 1_000_000))
    changes = ChangeJob(
        alias="mugs",
        field_map=lambda stream: add_operation(
            guess_field_map(stream.source, partial=True), stream.source.columns()
        ),
        rejects=folder / "changes.rejects.jsonl",
        settings=IndexSettings(batch=4),
        **job,  # type: ignore[arg-type]
    )
    return run_changes(
        changes, client, One(encoder), [ChangeStream(open_catalogue(path))], patience=Patience(0)
    )
