"""Plan changes: look up products, merge partial updates, encode new text, build the documents to write."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from indexer.catalogue.records import Reject
from indexer.catalogue.values import BadValue
from indexer.change.changes import Change, merge_product, update_source
from indexer.store.alias import PICTURES, ManagedIndex
from indexer.store.bulk import BulkAction
from indexer.store.documents import (
    SamePictures,
    build_document,
    build_from_vectors,
    hash_content,
    is_timestamp,
    read_vector_fields,
    restore_product,
)
from indexer.store.encoder import ProductEncoder
from indexer.store.jobs_index import JobsIndex
from indexer.store.scan import StoredDocument, get_documents
from indexer.store.session import IndexSession
from mappings import fields
from mappings.errors import SettingsError
from mappings.types import JsonObject, Product


@dataclass(slots=True)
class ChangePlan:
    """The documents to write for some changes, and the counts of the other changes.

    `deletes` are ids with the versions of their tombstones.
    """

    writes: list[tuple[Change, BulkAction]] = field(default_factory=list)
    deletes: dict[str, int] = field(default_factory=dict)
    rejects: list[Reject] = field(default_factory=list)
    encoded: int = 0
    stale: int = 0
    unchanged: int = 0

    def add(self, change: Change, version: int, body: JsonObject, before: StoredDocument | None) -> None:
        """Add a document to write, unless the index holds exactly that."""
        if before and before.version == version and before.source == body:
            self.unchanged += 1
        else:
            self.writes.append((change, BulkAction(change.id, version, body)))


@dataclass(frozen=True, slots=True)
class ChangePlanner:
    """Plans changes of the alias's live index. With `dry`, nothing is encoded and the documents are empty."""

    session: IndexSession
    jobs: JobsIndex
    dry: bool

    def plan(self, changes: list[Change], live: ManagedIndex, moment_ms: int) -> ChangePlan:
        """Plan changes of different products. `moment_ms` is the version of changes that have none.

        Raises SettingsError for a count where the index has times, or the other way round, and ModelMismatch
        where the index's model is not available.
        """
        plan = ChangePlan()
        ids = [change.id for change in changes]
        documents = get_documents(self.session.client, live.name, ids, self.session.retry)
        missing = [key for key in ids if key not in documents]
        tombstones = self.jobs.get_tombstones(self.session.alias, missing)
        products: list[tuple[Change, int, Product]] = []
        for change in changes:
            version = moment_ms if change.version is None else change.version
            _check_scale(version, live)
            before = documents.get(change.id)
            known = before.version if before else tombstones.get(change.id, -1)
            if version < known:
                plan.stale += 1
            elif change.kind == "delete":
                plan.deletes[change.id] = version
                plan.writes.append((change, BulkAction(change.id, version, None)))
            elif change.part and before and not change.part.needs_encoder:
                body = update_source(before.source, change.part)
                own = {**before.attune, "version": version, "changed": True}
                plan.add(change, version, {**body, fields.ATTUNE: own}, before)
            else:
                try:
                    products.append((change, version, _make_product(change, before)))
                except BadValue as error:
                    plan.rejects.append(Reject(change.line, str(error), change.raw))
        self._plan_products(plan, products, documents, live)
        return plan

    def _plan_products(
        self,
        plan: ChangePlan,
        products: list[tuple[Change, int, Product]],
        documents: dict[str, StoredDocument],
        live: ManagedIndex,
    ) -> None:
        """Build the documents of whole products. Reuse the vectors of those whose text is the same."""
        encoder = self.session.encoders.find(live.model)
        new = [product for _, _, product in products if not _has_vectors(product, documents, encoder)]
        plan.encoded = len(new)
        if self.dry:
            plan.writes += [(change, BulkAction(change.id, version, {})) for change, version, _ in products]
            return
        vectors = encoder.encode_products(new) if new else []
        encoded = dict(zip((product.id for product in new), vectors, strict=True))
        kind = str(live.metadata.get("vectors") or self.session.settings.vectors)
        pictures = self._make_pictures([product for _, _, product in products], documents, live)
        for change, version, product in products:
            if change.id in encoded:
                body = build_document(
                    product, encoded[change.id], encoder.version, version, kind, changed=True
                )
            else:
                known = read_vector_fields(documents[change.id].source)
                body = build_from_vectors(product, known, version, changed=True)
            body[fields.ATTUNE] |= pictures.get(change.id, {})
            plan.add(change, version, body, documents.get(change.id))

    def _make_pictures(
        self, products: list[Product], documents: dict[str, StoredDocument], live: ManagedIndex
    ) -> Mapping[str, JsonObject]:
        """Return the picture fields of products; as they are where the job reads no pictures."""
        pictures, version = self.session.pictures, live.metadata.get(PICTURES)
        before = {key: document.attune for key, document in documents.items()}
        if pictures is None:
            return SamePictures().make_fields(products, before)
        if version != pictures.version:
            raise SettingsError(
                f"index {live.name} was made "
                + (f"with picture tower {version}" if version else "without pictures")
                + f", --images encodes with {pictures.version}: rebuild with --full --images"
            )
        return pictures.make_fields(products, before)


def _make_product(change: Change, before: StoredDocument | None) -> Product:
    """Return the product that a change results in. Raises BadValue where there can be none."""
    if change.product:
        return change.product
    if before is None or change.part is None:
        raise BadValue(f"no product {change.id} in the index to update: send all of it")
    return merge_product(restore_product(change.id, before.source), change.part)


def _has_vectors(product: Product, documents: dict[str, StoredDocument], encoder: ProductEncoder) -> bool:
    own = documents[product.id].attune if product.id in documents else {}
    return own.get("hash") == hash_content(product) and own.get("model") == encoder.version


def _check_scale(version: int, live: ManagedIndex) -> None:
    """Raise SettingsError for a count where the index has times, or a time where it has counts.

    A count would look older than every time, and a time newer than every later count.
    """
    if live.has_product_versions and not is_timestamp(live.version) and is_timestamp(version):
        raise SettingsError(
            f"version {version} is a time, and index {live.name} has counts as versions: give every change a "
            "count, in the column that the field map names as version"
        )
    if not is_timestamp(version) and is_timestamp(live.version):
        raise SettingsError(
            f"version {version} is a count, and index {live.name} has times as versions: name the column of "
            "versions in the catalogue's field map and rebuild, or use a column of times"
        )
