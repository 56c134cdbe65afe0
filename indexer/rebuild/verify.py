"""Verify: compare a catalogue with its index, and so tell what a rebuild would change."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from indexer.catalogue.records import Item, Reject
from indexer.rebuild.loading import split_batches
from indexer.rebuild.product_source import ProductSource
from indexer.store.alias import ManagedIndex
from indexer.store.catch_up import CHANGED_QUERY
from indexer.store.documents import hash_content, product_fields
from indexer.store.id_set import IdSet
from indexer.store.jobs_index import JobsIndex
from indexer.store.scan import StoredDocument, get_documents, refresh_index, scan_documents
from indexer.store.session import IndexSession
from mappings import fields
from mappings.types import Product

DifferenceKind = Literal["missing", "extra", "fields", "vectors"]

MAX_EXAMPLES = 20
"""Differences of each kind that are reported one by one."""

_ENCODED_AGAIN = 32
"""Products that are encoded again to check their stored vectors."""

_SAME_COSINE = 0.98
"""Least cosine of a stored vector and the same product's new one: processors and bytes round differently."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One product that differs: `missing` from the index, `extra` in it, or with other fields or vectors."""

    kind: DifferenceKind
    id: str
    what: str


@dataclass(slots=True)
class VerifyReport:
    """How an index differs from a catalogue.

    Changes made after the catalogue are no differences: `newer` products were written by one, `deleted` ones
    were deleted by one. `to_encode` is how many products a rebuild would encode.
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


def verify_index(session: IndexSession, source: ProductSource, live: ManagedIndex | None) -> VerifyReport:
    """Compare every product of `source` with its document in `live`, and look for documents without a
    product.

    Nothing is written. Vectors are compared by content hash and model; those of a few products are compared
    with new ones.

    >>> session = IndexSession(client, "shop", OneEncoder(load_model(None)))
    >>> catalogue = open_catalogue(Path("mugs.csv"))
    >>> source = CatalogueSource(catalogue, guess_field_map(catalogue))
    >>> report = verify_index(session, source, session.indexes.find_live())
    >>> report.equal, report.same
    (True, 2)

    Raises CatalogueError, ClusterDown, IndexingError and JobStopped.
    """
    verifier = _Verifier(session, live)
    report = verifier.report
    highest = 0
    with IdSet() as ids:
        for batch in split_batches(source.read(ids), session.settings.batch):
            verifier.compare(batch.items, source.moment_ms)
            verifier.count_rejects(batch.rejects)
            highest = max([highest, *(item.version or 0 for item in batch.items)])
            session.on_progress(report.products, batch.items[-1].share if batch.items else 0.0)
        if live:
            verifier.find_extra(ids, highest if source.has_versions else source.moment_ms)
    return report


class _Verifier:
    """One comparison, with what its steps share."""

    def __init__(self, session: IndexSession, live: ManagedIndex | None) -> None:
        self._session = session
        self._jobs = JobsIndex(session.client, session.retry)
        self._live = live
        self._encoder = session.encoders.current
        self._reported: Counter[DifferenceKind] = Counter()
        self._encoded_again = 0
        self.report = VerifyReport(live.name if live else "")

    def count_rejects(self, rejects: Iterable[Reject]) -> None:
        for reject in rejects:
            if reject.kind == "duplicate":
                self.report.duplicates += 1
            else:
                self.report.rejected += 1

    def compare(self, items: tuple[Item, ...], moment_ms: int) -> None:
        report, session = self.report, self._session
        report.products += len(items)
        ids = [item.product.id for item in items]
        documents: dict[str, StoredDocument] = {}
        if self._live:
            documents = get_documents(session.client, self._live.name, ids, session.retry)
        tombstones = self._jobs.get_tombstones(session.alias, [key for key in ids if key not in documents])
        same: list[tuple[Product, StoredDocument]] = []
        for item in items:
            product, version = item.product, moment_ms if item.version is None else item.version
            document = documents.get(product.id)
            if document is None:
                deleted = tombstones.get(product.id, -1)
                if deleted > version or (deleted == item.version):
                    report.deleted += 1
                else:
                    report.to_encode += 1
                    self._add("missing", product.id, f"line {item.line}: {product.title[:60]!r}")
            elif document.version > version and document.attune.get("changed"):
                report.newer += 1
            elif self._matches(product, document):
                same.append((product, document))
        self._encode_again(same)
        report.same += len(same)

    def find_extra(self, ids: IdSet, since: int) -> None:
        client, retry = self._session.client, self._session.retry
        newer = {"bool": {"filter": [CHANGED_QUERY, {"range": {fields.VERSION: {"gt": since}}}]}}
        index = self.report.index
        refresh_index(client, index, retry)
        others = {"bool": {"must_not": [newer]}}
        for document in scan_documents(client, index, others, retry, source=False):
            if document.id not in ids:
                self._add("extra", document.id, "the catalogue has no such product")

    def _matches(self, product: Product, document: StoredDocument) -> bool:
        expected = product_fields(product)
        names = sorted(expected.keys() | (document.source.keys() - {fields.ATTUNE}))
        other = [name for name in names if expected.get(name) != document.source.get(name)]
        if other:
            self._add("fields", product.id, ", ".join(other))
        outdated = self._explain_outdated_vectors(product, document)
        if outdated:
            self.report.to_encode += 1
            if not other:
                self._add("vectors", product.id, outdated)
        return not (other or outdated)

    def _explain_outdated_vectors(self, product: Product, document: StoredDocument) -> str:
        if document.attune.get("model") != self._encoder.version:
            return f"of model {document.attune.get('model')} instead of {self._encoder.version}"
        return "" if document.attune.get("hash") == hash_content(product) else "of another text"

    def _encode_again(self, same: list[tuple[Product, StoredDocument]]) -> None:
        """Encode the first product of a batch and compare, for a limited number of batches."""
        if not same or self._encoded_again >= _ENCODED_AGAIN:
            return
        self._encoded_again += 1
        product, document = same[0]
        (encoded,) = self._encoder.encode_products([product])
        vector = np.asarray(document.attune.get("vector", []), dtype=np.float32)
        norm = float(np.linalg.norm(vector)) * float(np.linalg.norm(encoded.vector))
        comparable = vector.shape == encoded.vector.shape and norm > 0
        if not comparable or float(vector @ encoded.vector) / norm < _SAME_COSINE:
            self._add("vectors", product.id, "not what encoding it gives")
            del same[0]

    def _add(self, kind: DifferenceKind, product_id: str, what: str) -> None:
        setattr(self.report, kind, getattr(self.report, kind) + 1)
        self._reported[kind] += 1
        if self._reported[kind] <= MAX_EXAMPLES:
            self.report.examples.append(Difference(kind, product_id, what))
