"""The middle of a rebuild: batches of products → documents in the new index.

The new index is its own checkpoint. A run that goes on where another was killed reads the catalogue again and
leaves out what the index has; what is left is encoded, unless the index that searches use has the vectors.
"""

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from opensearchpy import OpenSearch

from indexer.catalogue.records import Item, Reject
from indexer.sources.prefetcher import Prefetcher
from indexer.store.bulk import Action, Written, in_order, write
from indexer.store.documents import content_hash, document, document_with, stored_vectors
from indexer.store.encoder import ProductEncoder
from indexer.store.retry import Patience
from indexer.store.scan import stored, versions
from mappings.types import JsonObject, Product
from reranker.types import EncodedProduct

AHEAD = 2
"""Batches that a stage may be ahead of the next."""


@dataclass(frozen=True, slots=True)
class Target:
    """The index to fill. `reuse` are others that have vectors of the same model, the best first;
    `resumed` tells that the index holds part of the catalogue already.
    """

    index: str
    kind: str
    moment_ms: int
    reuse: tuple[str, ...] = ()
    resumed: bool = False


@dataclass(frozen=True, slots=True)
class Batch:
    """Part of a catalogue, in its order."""

    items: tuple[Item, ...]
    rejects: tuple[Reject, ...] = ()


@dataclass(frozen=True, slots=True)
class Prepared:
    """A batch with the documents that are to be written: what the index lacks."""

    batch: Batch
    actions: tuple[Action, ...]
    encoded: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Loaded:
    """What became of a batch. `encoding_seconds` is the time that looking up and encoding took; `sample` is a
    product with its content hash.
    """

    batch: Batch
    written: tuple[Written, ...]
    encoded: int
    encoding_seconds: float
    sample: tuple[str, str] | None


class Loader:
    """Turns batches into documents of one index."""

    def __init__(
        self, client: OpenSearch, encoder: ProductEncoder, target: Target, patience: Patience
    ) -> None:
        self._client = client
        self._encoder = encoder
        self.target = target
        self.patience = patience

    @property
    def model(self) -> str:
        """Version of the model that encodes."""
        return self._encoder.version

    def load(self, batch: Batch) -> Loaded:
        """Encode and write one batch."""
        return self.written(self.prepared(batch))

    def prepared(self, batch: Batch) -> Prepared:
        """Make the documents of a batch, as few of them anew as can be."""
        began = time.perf_counter()
        target = self.target
        held: dict[str, int] = {}
        if target.resumed:
            ids = [item.product.id for item in batch.items]
            held = versions(self._client, target.index, ids, self.patience)
        items = [item for item in batch.items if item.product.id not in held]
        vectors = self._known(items)
        missing = [item for item in items if item.product.id not in vectors]
        products = [item.product for item in missing]
        encoded = dict(zip((p.id for p in products), self._encoded(products), strict=True))
        actions = []
        for item in items:
            product, version = item.product, target.moment_ms if item.version is None else item.version
            if product.id in encoded:
                body = document(
                    product, encoded[product.id], self._encoder.version, version, target.kind, item.changed
                )
            else:
                body = document_with(product, vectors[product.id], version, item.changed)
            actions.append(Action(product.id, version, body))
        return Prepared(
            batch=batch,
            actions=tuple(actions),
            encoded=len(products),
            seconds=time.perf_counter() - began,
        )

    def written(self, prepared: Prepared) -> Loaded:
        """Write a batch's documents."""
        outcomes = write(self._client, self.target.index, prepared.actions, self.patience)
        first = next(iter(prepared.batch.items), None)
        return Loaded(
            batch=prepared.batch,
            written=tuple(outcomes),
            encoded=prepared.encoded,
            encoding_seconds=prepared.seconds,
            sample=(first.product.id, content_hash(first.product)) if first else None,
        )

    def _encoded(self, products: list[Product]) -> list[EncodedProduct]:
        return self._encoder.encode_products(products) if products else []

    def _known(self, items: list[Item]) -> dict[str, JsonObject]:
        """Return the vectors that need no encoding: of equal text, by the same model."""
        known: dict[str, JsonObject] = {}
        for index in self.target.reuse:
            lacking = [item.product for item in items if item.product.id not in known]
            found = stored(self._client, index, [product.id for product in lacking], self.patience)
            known |= {
                product.id: stored_vectors(of.source)
                for product in lacking
                if (of := found.get(product.id))
                and of.own.get("model") == self._encoder.version
                and of.own.get("hash") == content_hash(product)
            }
        return known


def load_here(loader: Loader, batches: Iterator[Batch]) -> Iterator[Loaded]:
    """Load batches in this process: one is read while one is encoded and the ones before are written."""
    with Prefetcher(batches, AHEAD) as read, Prefetcher(map(loader.prepared, read), AHEAD) as prepared:
        for _, loaded in in_order(loader.written, prepared, 1):
            yield loaded


def batches_of(products: Iterable[Item | Reject], size: int) -> Iterator[Batch]:
    """Yield batches of up to `size` records."""
    items: list[Item] = []
    rejects: list[Reject] = []
    for outcome in products:
        if isinstance(outcome, Item):
            items.append(outcome)
        else:
            rejects.append(outcome)
        if len(items) + len(rejects) >= size:
            yield Batch(tuple(items), tuple(rejects))
            items, rejects = [], []
    if items or rejects:
        yield Batch(tuple(items), tuple(rejects))
