"""The middle of a rebuild: batches of products become documents of the new index.

The new index is its own checkpoint. A run that continues a killed one reads the catalogue again and skips
what the index has. Of the rest, only products whose vectors are in no other index are encoded.
"""

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from opensearchpy import OpenSearch

from indexer.catalogue.records import Item, Reject
from indexer.sources.prefetcher import Prefetcher
from indexer.store.bulk import BulkAction, BulkResult, map_in_order, write_bulk
from indexer.store.documents import build_document, build_from_vectors, hash_content, read_vector_fields
from indexer.store.encoder import ProductEncoder, ProductPictures
from indexer.store.retry import RetryPolicy
from indexer.store.scan import get_documents, get_versions
from mappings import fields
from mappings.types import JsonObject

_PREFETCHED_BATCHES = 2
"""Batches that a stage may be ahead of the next."""


@dataclass(frozen=True, slots=True)
class LoadTarget:
    """The index to load. `vectors` is the setting `index.vectors`, `moment_ms` the version of products
    without.

    `reuse` are other indexes with vectors of the same model, the best first. `resumed` says that the index
    holds part of the catalogue already.
    """

    index: str
    vectors: str
    moment_ms: int
    reuse: tuple[str, ...] = ()
    resumed: bool = False


@dataclass(frozen=True, slots=True)
class ProductBatch:
    """Part of a catalogue, in its order."""

    items: tuple[Item, ...]
    rejects: tuple[Reject, ...] = ()


@dataclass(frozen=True, slots=True)
class EncodedBatch:
    """A batch with the documents that the index lacks. `seconds` is the time of looking up and encoding."""

    batch: ProductBatch
    actions: tuple[BulkAction, ...]
    encoded: int
    seconds: float


@dataclass(frozen=True, slots=True)
class LoadedBatch:
    """A batch with the results of writing it. `sample` is one of its product ids with the content hash."""

    batch: ProductBatch
    results: tuple[BulkResult, ...]
    encoded: int
    encoding_seconds: float
    sample: tuple[str, str] | None


class Loader:
    """Loads batches into one index."""

    def __init__(
        self,
        client: OpenSearch,
        encoder: ProductEncoder,
        target: LoadTarget,
        retry: RetryPolicy,
        pictures: ProductPictures | None = None,
    ) -> None:
        self._client = client
        self._encoder = encoder
        self._pictures = pictures
        self.target = target
        self.retry = retry

    @property
    def model(self) -> str:
        """The version of the model that encodes."""
        return self._encoder.version

    def encode(self, batch: ProductBatch) -> EncodedBatch:
        """Build the documents of a batch. Encode only what has no vectors yet."""
        began = time.perf_counter()
        target = self.target
        loaded: dict[str, int] = {}
        if target.resumed:
            ids = [item.product.id for item in batch.items]
            loaded = get_versions(self._client, target.index, ids, self.retry)
        items = [item for item in batch.items if item.product.id not in loaded]
        vectors, before = self._find_vectors(items)
        products = [item.product for item in items if item.product.id not in vectors]
        new = self._encoder.encode_products(products) if products else []
        encoded = dict(zip((product.id for product in products), new, strict=True))
        products = [item.product for item in items]
        pictures = self._pictures.make_fields(products, before) if self._pictures else {}
        actions = []
        for item in items:
            product, version = item.product, target.moment_ms if item.version is None else item.version
            if product.id in encoded:
                model = self._encoder.version
                body = build_document(
                    product, encoded[product.id], model, version, target.vectors, item.changed
                )
            else:
                body = build_from_vectors(product, vectors[product.id], version, item.changed)
            body[fields.ATTUNE] |= pictures.get(product.id, {})
            actions.append(BulkAction(product.id, version, body))
        return EncodedBatch(batch, tuple(actions), len(encoded), time.perf_counter() - began)

    def write(self, encoded: EncodedBatch) -> LoadedBatch:
        """Write the documents of a batch."""
        results = write_bulk(self._client, self.target.index, encoded.actions, self.retry)
        first = next(iter(encoded.batch.items), None)
        return LoadedBatch(
            batch=encoded.batch,
            results=tuple(results),
            encoded=encoded.encoded,
            encoding_seconds=encoded.seconds,
            sample=(first.product.id, hash_content(first.product)) if first else None,
        )

    def _find_vectors(self, items: list[Item]) -> tuple[dict[str, JsonObject], dict[str, JsonObject]]:
        """Return the vectors that other indexes have of the same text by the same model: id → fields.

        Also return all fields under `attune` that their documents of these products have.
        """
        vectors: dict[str, JsonObject] = {}
        before: dict[str, JsonObject] = {}
        for index in self.target.reuse:
            lacking = [item.product for item in items if item.product.id not in vectors]
            documents = get_documents(self._client, index, [product.id for product in lacking], self.retry)
            before |= {key: document.attune for key, document in documents.items() if key not in before}
            vectors |= {
                product.id: read_vector_fields(document.source)
                for product in lacking
                if (document := documents.get(product.id))
                and document.attune.get("model") == self._encoder.version
                and document.attune.get("hash") == hash_content(product)
            }
        return vectors, before


def load_locally(loader: Loader, batches: Iterator[ProductBatch]) -> Iterator[LoadedBatch]:
    """Load batches in this process: one is read while one is encoded and earlier ones are written."""
    with (
        Prefetcher(batches, _PREFETCHED_BATCHES) as read,
        Prefetcher(map(loader.encode, read), _PREFETCHED_BATCHES) as encoded,
    ):
        for _, loaded in map_in_order(loader.write, encoded, 1):
            yield loaded


def split_batches(products: Iterable[Item | Reject], size: int) -> Iterator[ProductBatch]:
    """Yield batches of up to `size` records."""
    items: list[Item] = []
    rejects: list[Reject] = []
    for outcome in products:
        if isinstance(outcome, Item):
            items.append(outcome)
        else:
            rejects.append(outcome)
        if len(items) + len(rejects) >= size:
            yield ProductBatch(tuple(items), tuple(rejects))
            items, rejects = [], []
    if items or rejects:
        yield ProductBatch(tuple(items), tuple(rejects))
