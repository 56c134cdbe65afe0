"""Jobs on small catalogues of mugs, for the tests of indexing."""

import os
from collections.abc import Callable
from pathlib import Path

from opensearchpy import OpenSearch

from indexer.catalogue.field_map import add_operation
from indexer.catalogue.guessing import guess_field_map
from indexer.change.job import ChangeJob, ChangesReport, apply_changes
from indexer.rebuild.job import RebuildReport, rebuild_index
from indexer.rebuild.product_source import CatalogueSource
from indexer.sources.change_stream import ChangeStream
from indexer.sources.files import open_catalogue
from indexer.store.encoder import ProductEncoder
from indexer.store.retry import RetryPolicy
from indexer.store.session import IndexSession, OneEncoder
from mappings.settings import IndexSettings
from tests.fakes.fake_encoder import FakeEncoder

MUGS = [f"{number},Mug {number},blue" for number in range(10)]
T0 = 1_700_000_000_000
"""When the catalogues were true, in milliseconds since 1970."""

NO_RETRY = RetryPolicy(0)


def open_session(
    client: OpenSearch,
    encoder: ProductEncoder | None = None,
    settings: IndexSettings | None = None,
    on_progress: Callable[[int, float], None] = lambda _, __: None,
) -> IndexSession:
    """Return a session of the alias `mugs` that retries nothing."""
    encoders = OneEncoder(encoder or FakeEncoder())
    return IndexSession(client, "mugs", encoders, settings or IndexSettings(batch=4), NO_RETRY, on_progress)


def write_mugs(
    folder: Path,
    lines: list[str] = MUGS,
    moment_ms: int = T0,
    limit: int | None = None,
    header: str = "id,title,color",
) -> CatalogueSource:
    """Write a CSV catalogue that was true at `moment_ms`, and return it as a source."""
    path = folder / "mugs.csv"
    path.write_text(f"{header}\n" + "".join(f"{line}\n" for line in lines))
    os.utime(path, ns=(moment_ms * 1_000_000, moment_ms * 1_000_000))
    catalogue = open_catalogue(path)
    return CatalogueSource(catalogue, guess_field_map(catalogue), limit=limit)


def rebuild_mugs(
    client: OpenSearch,
    folder: Path,
    lines: list[str] = MUGS,
    moment_ms: int = T0,
    encoder: ProductEncoder | None = None,
    settings: IndexSettings | None = None,
    on_progress: Callable[[int, float], None] = lambda _, __: None,
    limit: int | None = None,
    header: str = "id,title,color",
) -> RebuildReport:
    """Rebuild the alias `mugs` from a CSV catalogue."""
    session = open_session(client, encoder, settings, on_progress)
    return rebuild_index(
        session, write_mugs(folder, lines, moment_ms, limit, header), folder / "rejects.jsonl"
    )


def change_mugs(
    client: OpenSearch,
    folder: Path,
    lines: list[str],
    encoder: ProductEncoder | None = None,
    moment_ms: int = T0 + 1000,
    follows_catalogue: bool = False,
    **job: object,
) -> ChangesReport:
    """Apply changes given as JSON Lines that were true at `moment_ms`."""
    path = folder / "changes.jsonl"
    path.write_text("".join(f"{line}\n" for line in lines))
    os.utime(path, ns=(moment_ms * 1_000_000, moment_ms * 1_000_000))
    changes = ChangeJob(
        field_map=lambda stream: add_operation(
            guess_field_map(stream.source, partial=True), stream.source.columns()
        ),
        rejects=folder / "changes.rejects.jsonl",
        **job,  # type: ignore[arg-type]
    )
    stream = ChangeStream(open_catalogue(path), follows_catalogue=follows_catalogue)
    return apply_changes(open_session(client, encoder), changes, [stream])
