"""Changes and what the index holds → the documents to write: looked up, merged, encoded where text is new."""

from dataclasses import dataclass, field

from opensearchpy import OpenSearch

from indexer.catalogue.records import Reject
from indexer.catalogue.values import BadValue
from indexer.change.changes import Change, applied, merged
from indexer.store.alias import MadeIndex
from indexer.store.bulk import Action
from indexer.store.documents import content_hash, document, document_with, shown_product, stored_vectors
from indexer.store.encoder import ProductEncoder
from indexer.store.jobs_index import JobsIndex
from indexer.store.retry import Patience
from indexer.store.scan import Stored, stored
from mappings import fields
from mappings.errors import SettingsError
from mappings.types import JsonObject, Product

TIMES = 100_000_000_000
"""Versions from here on are milliseconds since 1970 (this is in 1973), those below are counts."""


@dataclass(slots=True)
class Plan:
    """What is to be written for some changes, and what became of the others.

    `deletes` are ids with the versions that their tombstones get.
    """

    writes: list[tuple[Change, Action]] = field(default_factory=list)
    deletes: dict[str, int] = field(default_factory=dict)
    rejects: list[Reject] = field(default_factory=list)
    encoded: int = 0
    stale: int = 0
    unchanged: int = 0

    def keep(self, change: Change, version: int, body: JsonObject, before: Stored | None) -> None:
        """Take a document in, unless the index holds it as it is."""
        if before and before.version == version and before.source == body:
            self.unchanged += 1
        else:
            self.writes.append((change, Action(change.id, version, body)))


@dataclass(frozen=True, slots=True)
class Planner:
    """Plans changes of the alias's live index. `kind` is the setting `index.vectors`, for an index that does
    not say; a `dry` planner encodes nothing, and its documents are empty.
    """

    client: OpenSearch
    jobs: JobsIndex
    alias: str
    kind: str
    dry: bool
    patience: Patience

    def plan(self, changes: list[Change], live: MadeIndex, encoder: ProductEncoder, moment_ms: int) -> Plan:
        """Look up what changes of different products are about, and make the documents that they leave.

        `moment_ms` is the version of changes that bring none. Raises SettingsError for a count where the
        index has times, or the other way round.
        """
        plan = Plan()
        ids = [change.id for change in changes]
        held = stored(self.client, live.name, ids, self.patience)
        buried = self.jobs.buried(self.alias, [of for of in ids if of not in held])
        whole: list[tuple[Change, int, Product]] = []
        for change in changes:
            version = moment_ms if change.version is None else change.version
            _check_scale(version, live)
            before = held.get(change.id)
            known = before.version if before else buried.get(change.id, -1)
            if version < known:
                plan.stale += 1
            elif change.kind == "delete":
                plan.deletes[change.id] = version
                plan.writes.append((change, Action(change.id, version, None)))
            elif change.part and before and not change.part.read_by_encoder:
                body = applied(before.source, change.part)
                own = {**before.own, "version": version, "changed": True}
                plan.keep(change, version, {**body, fields.ATTUNE: own}, before)
            else:
                try:
                    whole.append((change, version, _product(change, before)))
                except BadValue as error:
                    plan.rejects.append(Reject(change.line, str(error), change.raw))
        self._encode(plan, whole, held, encoder, live)
        return plan

    def _encode(
        self,
        plan: Plan,
        whole: list[tuple[Change, int, Product]],
        held: dict[str, Stored],
        encoder: ProductEncoder,
        live: MadeIndex,
    ) -> None:
        """Make the documents of whole products, with the vectors that they have where those still hold."""
        missing = [product for _, _, product in whole if not _same_text(product, held, encoder)]
        plan.encoded = len(missing)
        if self.dry:
            plan.writes += [(change, Action(change.id, version, {})) for change, version, _ in whole]
            return
        vectors = encoder.encode_products(missing) if missing else []
        encoded = dict(zip((product.id for product in missing), vectors, strict=True))
        kind = str(live.note.get("vectors") or self.kind)
        for change, version, product in whole:
            if change.id in encoded:
                body = document(product, encoded[change.id], encoder.version, version, kind, changed=True)
            else:
                body = document_with(product, stored_vectors(held[change.id].source), version, changed=True)
            plan.keep(change, version, body, held.get(change.id))


def _product(change: Change, before: Stored | None) -> Product:
    """Return the product that a change leaves. Raises BadValue for one that can't be."""
    if change.product:
        return change.product
    if before is None or change.part is None:
        raise BadValue(f"no product {change.id} in the index to change a part of: send it whole")
    return merged(shown_product(change.id, before.source), change.part)


def _same_text(product: Product, held: dict[str, Stored], encoder: ProductEncoder) -> bool:
    own = held[product.id].own if product.id in held else {}
    return own.get("hash") == content_hash(product) and own.get("model") == encoder.version


def _check_scale(version: int, live: MadeIndex) -> None:
    """Raise SettingsError for a count where the index has times, or a time where it has counts.

    The first would look old for ever, the second would make every later count look old.
    """
    if live.versioned and live.version < TIMES <= version:
        raise SettingsError(
            f"version {version} is a time, and index {live.name} has counts as versions: give every change a "
            "count, in the column that the field map names as version"
        )
    if version < TIMES <= live.version:
        raise SettingsError(
            f"version {version} is a count, and index {live.name} has times as versions: name the column of "
            "versions in the catalogue's field map and rebuild, or use a column of times"
        )
