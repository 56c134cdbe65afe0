"""Catalogue and index side by side: what differs, and so what a rebuild would change."""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from opensearchpy import OpenSearch

from indexer.catalogue.records import Item, Reject
from indexer.rebuild.job import Progress
from indexer.rebuild.loading import batches_of
from indexer.rebuild.product_source import Supply
from indexer.store.alias import MadeIndex
from indexer.store.catch_up import CHANGED
from indexer.store.documents import content_hash, document_with
from indexer.store.encoder import ProductEncoder
from indexer.store.id_set import SeenIds
from indexer.store.jobs_index import JobsIndex
from indexer.store.retry import Patience
from indexer.store.scan import Stored, every, refresh, stored
from mappings import fields
from mappings.types import Product

Kind = Literal["missing", "extra", "fields", "vectors"]

EXAMPLES = 20
"""Differences of each kind that are told one by one."""

SAMPLED = 32
"""Products that are encoded again to see whether the stored vectors are theirs."""

SAME_COSINE = 0.98
"""Of a vector and the same product's encoded again: other processors round otherwise, as bytes do."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One product that differs: `missing` in the index, `extra` there, or with other fields or vectors."""

    kind: Kind
    id: str
    what: str


@dataclass(slots=True)
class Comparison:
    """How an index stands to a catalogue.

    `newer` products are as a change left them after the catalogue was made, `deleted` were deleted since:
    neither is a difference. `to_encode` is how many a rebuild would encode.
    """

    index: str
    products: int = 0
    same: int = 0
    newer: int = 0
    deleted: int = 0
    missing: int = 0
    extra: int = 0
    fields: int = 0
    vectors: int = 0
    to_encode: int = 0
    rejected: int = 0
    duplicates: int = 0
    examples: list[Difference] = field(default_factory=list)

    @property
    def equal(self) -> bool:
        """Whether the index holds the catalogue and the changes since, and nothing else."""
        return not (self.missing or self.extra or self.fields or self.vectors)


def compare(
    supply: Supply,
    client: OpenSearch,
    jobs: JobsIndex,
    alias: str,
    live: MadeIndex | None,
    encoder: ProductEncoder,
    patience: Patience,
    batch: int,
    on_progress: Callable[[Progress], None] = lambda _: None,
) -> Comparison:
    """Compare every product of the catalogue with its document, and look for documents of no product.

    Vectors are compared by content hash and model, those of a few products by encoding these again. Raises
    CatalogueError, ClusterDown and IndexingError.
    """
    comparing = _Comparing(client, jobs, alias, live, encoder, patience)
    found = comparing.found
    highest = 0
    with SeenIds() as seen:
        for part in batches_of(supply.items(seen), batch):
            comparing.compare(part.items, supply.moment_ms)
            comparing.count(part.rejects)
            highest = max([highest, *(item.version or 0 for item in part.items)])
            on_progress(Progress(found.products, part.items[-1].share if part.items else 0.0))
        if live:
            comparing.find_extra(seen, highest if supply.versioned else supply.moment_ms)
    return found


class _Comparing:
    """One comparison, with all that its steps share."""

    def __init__(
        self,
        client: OpenSearch,
        jobs: JobsIndex,
        alias: str,
        live: MadeIndex | None,
        encoder: ProductEncoder,
        patience: Patience,
    ) -> None:
        self._client = client
        self._jobs = jobs
        self._alias = alias
        self._live = live
        self._encoder = encoder
        self._patience = patience
        self._told: Counter[Kind] = Counter()
        self._sampled = 0
        self.found = Comparison(live.name if live else "")

    def count(self, rejects: Iterable[Reject]) -> None:
        for reject in rejects:
            if reject.kind == "duplicate":
                self.found.duplicates += 1
            else:
                self.found.rejected += 1

    def compare(self, items: tuple[Item, ...], moment_ms: int) -> None:
        found = self.found
        found.products += len(items)
        ids = [item.product.id for item in items]
        held = stored(self._client, self._live.name, ids, self._patience) if self._live else {}
        buried = self._jobs.buried(self._alias, [of for of in ids if of not in held])
        same: list[tuple[Product, Stored]] = []
        for item in items:
            product, version = item.product, moment_ms if item.version is None else item.version
            of = held.get(product.id)
            if of is None:
                deleted = buried.get(product.id, -1)
                if deleted > version or (deleted == item.version):
                    found.deleted += 1
                else:
                    found.to_encode += 1
                    self._tell("missing", product.id, f"line {item.line}: {product.title[:60]!r}")
            elif of.version > version and of.own.get("changed"):
                found.newer += 1
            elif self._matches(product, of):
                same.append((product, of))
        self._encode_again(same)
        found.same += len(same)

    def find_extra(self, seen: SeenIds, since: int) -> None:
        newer = {"bool": {"filter": [CHANGED, {"range": {fields.VERSION: {"gt": since}}}]}}
        index = self.found.index
        refresh(self._client, index, self._patience)
        other = {"bool": {"must_not": [newer]}}
        for of in every(self._client, index, other, self._patience, source=False):
            if of.id not in seen:
                self._tell("extra", of.id, "the catalogue has no such product")

    def _matches(self, product: Product, of: Stored) -> bool:
        wanted = document_with(product, {}, 0)
        names = sorted((wanted.keys() | of.source.keys()) - {fields.ATTUNE})
        other = [name for name in names if wanted.get(name) != of.source.get(name)]
        if other:
            self._tell("fields", product.id, ", ".join(other))
        stale = self._stale(product, of)
        if stale:
            self.found.to_encode += 1
            if not other:
                self._tell("vectors", product.id, stale)
        return not (other or stale)

    def _stale(self, product: Product, of: Stored) -> str:
        if of.own.get("model") != self._encoder.version:
            return f"of model {of.own.get('model')} instead of {self._encoder.version}"
        return "" if of.own.get("hash") == content_hash(product) else "of another text"

    def _encode_again(self, same: list[tuple[Product, Stored]]) -> None:
        """Encode one product of each batch, up to some, and compare."""
        if not same or self._sampled >= SAMPLED:
            return
        self._sampled += 1
        product, of = same[0]
        (encoded,) = self._encoder.encode_products([product])
        vector = np.asarray(of.own.get("vector", []), dtype=np.float32)
        norm = float(np.linalg.norm(vector)) * float(np.linalg.norm(encoded.vector))
        fits = vector.shape == encoded.vector.shape and norm > 0
        if not fits or float(vector @ encoded.vector) / norm < SAME_COSINE:
            self._tell("vectors", product.id, "not what encoding it gives")
            del same[0]

    def _tell(self, kind: Kind, product_id: str, what: str) -> None:
        setattr(self.found, kind, getattr(self.found, kind) + 1)
        self._told[kind] += 1
        if self._told[kind] <= EXAMPLES:
            self.found.examples.append(Difference(kind, product_id, what))
