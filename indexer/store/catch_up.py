"""Copy changes from one index to another: to the one under construction, or to that of a rollback."""

from collections.abc import Iterator
from dataclasses import dataclass

from indexer.store.alias import ManagedIndex
from indexer.store.bulk import BulkAction, split_chunks, write_bulk
from indexer.store.documents import (
    build_document,
    build_from_vectors,
    hash_content,
    read_vector_fields,
    restore_product,
)
from indexer.store.encoder import ProductEncoder, ProductPictures
from indexer.store.id_set import IdSet
from indexer.store.jobs_index import JobsIndex
from indexer.store.scan import (
    StoredDocument,
    get_documents,
    get_versions,
    refresh_index,
    scan_documents,
)
from indexer.store.session import IndexSession
from mappings import fields
from mappings.errors import IndexingError
from mappings.types import JsonObject

CHANGED_QUERY: JsonObject = {"term": {fields.CHANGED: True}}
"""Matches the documents that changes wrote."""

_FETCH_SIZE = 250
"""Documents that are fetched at once with their `_source`."""


@dataclass(frozen=True, slots=True)
class ChangesSince:
    """Which changes an index lacks: those above the version of its catalogue.

    With `per_product`, products have versions of their own: a change is compared with the version of its
    product, and with `version` only where the index lacks the product. Such an export need not be of one
    moment, and counts need not be of all products together.
    """

    version: int
    per_product: bool = False


@dataclass(frozen=True, slots=True)
class CopyTarget:
    """The index that changes are copied to, and what its vectors are made of.

    `vectors` is the setting `index.vectors` that it was made with, `pictures` makes its picture fields.
    """

    index: str
    encoder: ProductEncoder
    vectors: str
    since: ChangesSince
    pictures: ProductPictures | None = None


class CatchUp:
    """Copies changes of the index `source` to a target. A context manager."""

    def __init__(
        self, session: IndexSession, jobs: JobsIndex, source: ManagedIndex, target: CopyTarget
    ) -> None:
        self._client = session.client
        self._retry = session.retry
        self._alias = session.alias
        self._jobs = jobs
        self._source = source.name
        self._target = target
        self._copied = IdSet()

    def __enter__(self) -> "CatchUp":
        return self

    def __exit__(self, *_: object) -> None:
        self._copied.close()

    def copy_changes(self) -> int:
        """Copy every change and delete that the target lacks; return how many.

        A repeated call copies what came since. Products are encoded again where the source was made with
        another model than the target's.
        """
        since = self._target.since
        refresh_index(self._client, self._source, self._retry)
        copied = 0
        for chunk in split_chunks(self._scan_changed(), 4 * _FETCH_SIZE):
            new = [
                document
                for document in chunk
                if document.seq_no < 0 or self._copied.get(document.id) != document.seq_no
            ]
            for ids in split_chunks(self._find_lacking(new), _FETCH_SIZE):
                copied += self._write(self._make_copies(ids))
            for document in new:
                self._copied.replace(document.id, document.seq_no)
        for deleted in self._jobs.scan_tombstones(self._alias, -1 if since.per_product else since.version):
            copied += self._write(self._make_deletes(deleted))
        return copied

    def _scan_changed(self) -> Iterator[StoredDocument]:
        since = self._target.since
        newer = [] if since.per_product else [{"range": {fields.VERSION: {"gt": since.version}}}]
        query = {"bool": {"filter": [CHANGED_QUERY, *newer]}}
        return scan_documents(self._client, self._source, query, self._retry, source=False)

    def _find_lacking(self, changed: list[StoredDocument]) -> list[str]:
        """Return the ids that the target lacks, or has from before a change of the same version."""
        ids = [document.id for document in changed]
        versions = get_versions(self._client, self._target.index, ids, self._retry)
        lacking = []
        equal = []
        for document in changed:
            version = versions.get(document.id)
            if version is None:
                if document.version > self._target.since.version:
                    lacking.append(document.id)
            elif version < document.version:
                lacking.append(document.id)
            elif version == document.version:
                equal.append(document.id)
        for part in split_chunks(equal, _FETCH_SIZE):
            theirs = get_documents(self._client, self._source, part, self._retry)
            ours = get_documents(self._client, self._target.index, part, self._retry)
            lacking += [
                key for key in part if key in theirs and key in ours and _is_later(theirs[key], ours[key])
            ]
        return lacking

    def _make_copies(self, ids: list[str]) -> list[BulkAction]:
        documents = get_documents(self._client, self._source, ids, self._retry)
        return _copy_documents(list(documents.values()), self._target)

    def _make_deletes(self, deleted: dict[str, int]) -> list[BulkAction]:
        ours = get_versions(self._client, self._target.index, list(deleted), self._retry)
        gone = [key for key, version in deleted.items() if key in ours and ours[key] <= version]
        # A later change of the same version may have written the product again.
        theirs = get_versions(self._client, self._source, gone, self._retry)
        return [BulkAction(key, deleted[key], None) for key in gone if theirs.get(key, -1) < deleted[key]]

    def _write(self, actions: list[BulkAction]) -> int:
        if not actions:
            return 0
        results = write_bulk(self._client, self._target.index, actions, self._retry)
        for result in results:
            if result.refusal:
                raise IndexingError(
                    f"a change of product {result.id} can't be copied to {self._target.index}: "
                    f"{result.refusal}"
                )
        return sum(result.done for result in results)


def _is_later(theirs: StoredDocument, ours: StoredDocument) -> bool:
    """Return whether a document of equal version was changed again after it was copied."""
    return bool(ours.attune.get("changed")) and _own_fields(theirs) != _own_fields(ours)


def _own_fields(document: StoredDocument) -> JsonObject:
    return {name: value for name, value in document.source.items() if name != fields.ATTUNE}


def _copy_documents(documents: list[StoredDocument], target: CopyTarget) -> list[BulkAction]:
    encoder = target.encoder
    reusable = {document.id for document in documents if _has_same_vectors(document, target)}
    others = [restore_product(doc.id, doc.source) for doc in documents if doc.id not in reusable]
    vectors = encoder.encode_products(others) if others else []
    encoded = dict(zip((product.id for product in others), vectors, strict=True))
    products = [restore_product(doc.id, doc.source) for doc in documents]
    before = {doc.id: doc.attune for doc in documents}
    pictures = target.pictures.make_fields(products, before) if target.pictures else {}
    actions = []
    for doc, product in zip(documents, products, strict=True):
        if doc.id in reusable:
            body = build_from_vectors(product, read_vector_fields(doc.source), doc.version, changed=True)
        else:
            new = encoded[doc.id]
            body = build_document(product, new, encoder.version, doc.version, target.vectors, changed=True)
        body[fields.ATTUNE] |= pictures.get(doc.id, {})
        actions.append(BulkAction(doc.id, doc.version, body))
    return actions


def _has_same_vectors(document: StoredDocument, target: CopyTarget) -> bool:
    """Return whether a document's vectors are what the target's would be."""
    own = document.attune
    floats = any(isinstance(component, float) for component in own.get("vector", []))
    return (
        own.get("model") == target.encoder.version
        and own.get("hash") == hash_content(restore_product(document.id, document.source))
        and floats == (target.vectors == "float")
    )
