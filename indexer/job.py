"""One whole run: catalogue file → new index → alias.

Reading and encoding each run ahead of the next stage in a thread of their own: while one batch is
being written, the next is being encoded and the one after is being read and cleaned.
"""

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from opensearchpy import OpenSearch

from indexer.alias import META, check_alias, index_name, point_alias
from indexer.background import Ahead
from indexer.documents import document
from indexer.encoder import ProductEncoder
from indexer.fieldmap import FieldMap
from indexer.products import read_products
from indexer.reading import Catalogue
from indexer.records import Item, Reject
from indexer.rejects import RejectFile
from indexer.writer import create_index, finish_index, write_documents
from mappings.client import index_body
from mappings.errors import CatalogueError
from mappings.settings import IndexSettings
from mappings.types import JsonObject

AHEAD = 2
"""Batches that a stage may be ahead of the next."""


@dataclass(frozen=True, slots=True)
class IndexJob:
    """What to index and where to. `limit` ends reading after that many products."""

    catalogue: Catalogue
    field_map: FieldMap
    alias: str
    rejects: Path
    settings: IndexSettings
    simplified: bool = False
    limit: int | None = None


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run is: products written, and how much of the work is done, 0..1."""

    indexed: int
    share: float


@dataclass(frozen=True, slots=True)
class IndexReport:
    """What a run did. `bytes` is the index's size on disk, `seconds` wall-clock time of the whole run."""

    index: str
    alias: str
    model: str
    indexed: int
    rejected: int
    duplicates: int
    seconds: float
    products_per_second: float
    bytes: int
    removed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Batch:
    items: tuple[Item, ...]
    rejects: tuple[Reject, ...]
    documents: tuple[JsonObject, ...] = ()


def run_index_job(
    job: IndexJob,
    client: OpenSearch,
    encoder: ProductEncoder,
    on_progress: Callable[[Progress], None] = lambda _: None,
) -> IndexReport:
    """Index a catalogue into a new index and point the alias at it when everything is written.

    A run that fails removes its half-written index and leaves the alias as it was. Raises
    CatalogueError for a file without one usable product, IndexingError, ClusterDown, ModelError, and
    SettingsError for a bad alias.
    """
    started = time.monotonic()
    moment_ms = time.time_ns() // 1_000_000
    check_alias(client, job.alias)
    index = index_name(job.alias, moment_ms)
    with RejectFile(job.rejects) as rejects:
        body = index_body(encoder.dimension, job.settings)
        body["mappings"]["_meta"] = {META: _note(job, encoder, moment_ms)}
        create_index(client, index, body)
        try:
            indexed = _fill(job, client, encoder, index, moment_ms, rejects, on_progress)
            size = finish_index(client, index)
            removed = point_alias(client, job.alias, index)
        except BaseException:  # Ctrl-C too: nothing half-written stays
            # A time-out may hide that the alias did move: what searches use is never removed.
            with suppress(Exception):
                if not client.indices.exists_alias(index=index, name=job.alias):
                    client.indices.delete(index=index)
            raise
        seconds = time.monotonic() - started
        return IndexReport(
            index=index,
            alias=job.alias,
            model=encoder.version,
            indexed=indexed,
            rejected=rejects.rejected,
            duplicates=rejects.duplicates,
            seconds=round(seconds, 3),
            products_per_second=round(indexed / seconds, 1),
            bytes=size,
            removed=tuple(removed),
        )


def _fill(
    job: IndexJob,
    client: OpenSearch,
    encoder: ProductEncoder,
    index: str,
    moment_ms: int,
    rejects: RejectFile,
    on_progress: Callable[[Progress], None],
) -> int:
    """Write every product of the catalogue; return how many."""
    products = read_products(job.catalogue.records(), job.field_map, job.simplified)
    indexed = 0
    with (
        Ahead(_batches(products, job.settings.batch, job.limit), AHEAD) as read,
        Ahead(_encoded(read, encoder, moment_ms, job.settings.vectors), AHEAD) as encoded,
    ):
        waiting: dict[str, Item] = {}
        for written in write_documents(client, index, _pairs(encoded, waiting, rejects)):
            item = waiting.pop(written.id)
            if written.refusal:
                reason = f"OpenSearch refused the document: {written.refusal}"
                rejects.write(Reject(item.line, reason, item.raw, "document"))
            else:
                indexed += 1
            on_progress(Progress(indexed, min(1.0, indexed / job.limit) if job.limit else item.share))
    if not indexed:
        why = f" (first: {rejects.first}); see {rejects.path}" if rejects.first else ": it is empty"
        raise CatalogueError(f"{job.catalogue.path} holds no usable product{why}")
    return indexed


def _batches(products: Iterator[Item | Reject], size: int, limit: int | None) -> Iterator[_Batch]:
    items: list[Item] = []
    rejects: list[Reject] = []
    left = limit
    for outcome in products:
        if isinstance(outcome, Item):
            items.append(outcome)
            left = None if left is None else left - 1
        else:
            rejects.append(outcome)
        if len(items) + len(rejects) >= size:
            yield _Batch(tuple(items), tuple(rejects))
            items, rejects = [], []
        if left == 0:
            break
    if items or rejects:
        yield _Batch(tuple(items), tuple(rejects))


def _encoded(
    batches: Iterable[_Batch], encoder: ProductEncoder, moment_ms: int, kind: str
) -> Iterator[_Batch]:
    for batch in batches:
        products = [item.product for item in batch.items]
        vectors = encoder.encode_products(products) if products else []
        documents = tuple(
            document(product, encoded, encoder.version, moment_ms, kind)
            for product, encoded in zip(products, vectors, strict=True)
        )
        yield _Batch(batch.items, batch.rejects, documents)


def _pairs(
    batches: Iterable[_Batch], waiting: dict[str, Item], rejects: RejectFile
) -> Iterator[tuple[str, JsonObject]]:
    """Yield (id, document); note each item in `waiting` until OpenSearch has answered for it."""
    for batch in batches:
        for reject in batch.rejects:
            rejects.write(reject)
        for item, body in zip(batch.items, batch.documents, strict=True):
            waiting[item.product.id] = item
            yield item.product.id, body


def _note(job: IndexJob, encoder: ProductEncoder, moment_ms: int) -> JsonObject:
    return {
        "alias": job.alias,
        "source": job.catalogue.path.name,
        "model": encoder.version,
        "dimension": encoder.dimension,
        "version": moment_ms,
        "simplified": job.simplified,
        "fields": {name: value for name, value in asdict(job.field_map).items() if value},
    }
