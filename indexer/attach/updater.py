"""Bring the vectors of one index up to date with its documents."""

import json
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from indexer.attach.attachment import Attachment
from indexer.attach.documents import (
    ShopDocument,
    ShopProducts,
    VectorRemoval,
    VectorUpdate,
    fetch_documents,
)
from indexer.attach.shards import (
    BEFORE_ALL,
    ChangePage,
    DocumentKey,
    ShardPosition,
    dump_positions,
    list_changes,
    parse_positions,
)
from indexer.attach.shop_index import ShopIndex
from indexer.sources.prefetcher import Prefetcher
from indexer.store.bulk import CONCURRENT_REQUESTS, BulkResult, map_in_order, split_chunks, write_bulk
from indexer.store.documents import make_no_picture_fields, read_picture_fields
from indexer.store.encoder import EncodedPictures, ProductEncoder
from indexer.store.id_set import IdSet
from indexer.store.jobs_index import JobsIndex
from indexer.store.lock import Lock
from indexer.store.scan import refresh_index
from indexer.store.session import IndexSession
from mappings.errors import ModelMismatch
from mappings.types import JsonObject, Product

_PREFETCHED = 2
"""Batches that a stage may be ahead of the next."""

_FEW, _FEW_AT_ONCE = 2000, 32
"""Up to so many changes go in small batches: the first ones are written while the others are encoded."""

_SAVE_SECONDS = 5.0
"""Seconds of work that a killed job may have to look at again."""


@dataclass(slots=True)
class AttachReport:
    """What was done to the documents of the indexes behind a name.

    Of the `documents` looked at, `encoded` got new vectors, `unchanged` had those of their text and
    pictures, and `without_text` have nothing to encode. `overtaken` were written by the shop at the same
    moment: they are looked at again. `refused` counts what OpenSearch would not take, with the first reason
    in `refusal`. `kept` are the shop's indexes that copies took the place of; for `refusing_seconds` they
    refused writes.
    """

    name: str
    model: str = ""
    indexes: tuple[str, ...] = ()
    documents: int = 0
    encoded: int = 0
    unchanged: int = 0
    without_text: int = 0
    overtaken: int = 0
    refused: int = 0
    refusal: str = ""
    kept: tuple[str, ...] = ()
    refusing_seconds: float = 0.0
    seconds: float = 0.0
    documents_per_second: float = 0.0

    def set_time(self, began: float) -> None:
        """Record the time since a moment of the monotonic clock, and the rate."""
        self.seconds = round(time.monotonic() - began, 3)
        self.documents_per_second = round(self.documents / max(self.seconds, 1e-3), 1)


@dataclass(frozen=True, slots=True)
class _Plan:
    """The updates for one batch of documents, and the counts of the others."""

    page: ChangePage
    updates: tuple[VectorUpdate, ...]
    removals: tuple[VectorRemoval, ...]
    unchanged: int
    without_text: int


class IndexUpdater:
    """Updates the vectors of one attached index, and remembers how far it got. Close it.

    With `full`, it begins with a look at every document, as it does where nothing is remembered.
    """

    def __init__(
        self,
        session: IndexSession,
        jobs: JobsIndex,
        index: ShopIndex,
        attachment: Attachment,
        full: bool = False,
    ) -> None:
        self._index = index
        self._session = session
        self._jobs = jobs
        self.attachment = attachment
        self._encoder: ProductEncoder = session.encoders.find(attachment.model)
        self._products = ShopProducts(attachment.field_map)
        self._pictures = _check_pictures(session, index, attachment)
        self._state = {} if full else self._load_state()
        self._written = IdSet()
        self._lock = threading.Lock()
        self._saved_at = time.monotonic()
        self._is_saved = True

    @property
    def model(self) -> str:
        """The version of the model that encodes."""
        return self._encoder.version

    def close(self) -> None:
        """Forget which writes were its own."""
        self._written.close()

    def catch_up(self, positions: Sequence[ShardPosition], report: AttachReport, lock: Lock) -> None:
        """Look at every change up to the positions and write the vectors that are missing or outdated.

        Raises IndexingError, ClusterDown, ModelError and JobStopped. What was done is
        remembered every few seconds, and by `save`.
        """
        behind = [position for position in positions if position.checkpoint > self._checkpoint(position)]
        if not behind:
            self._save_at_times()
            return
        session = self._session
        refresh_index(session.client, self._index.name, session.retry)
        targets = {position.number: position for position in behind}
        ahead = {position.number: position.checkpoint - self._checkpoint(position) for position in behind}
        total = max(sum(ahead.values()), 1)
        with (
            Prefetcher(self._list(behind, total), _PREFETCHED) as listed,
            Prefetcher(map(self._plan, listed), _PREFETCHED) as planned,
        ):
            for plan, results in map_in_order(self._write, planned, CONCURRENT_REQUESTS + 1):
                lock.check()
                self._count(plan, results, report)
                shard = plan.page.shard
                self._state[shard] = replace(targets[shard], checkpoint=plan.page.checkpoint)
                ahead[shard] = targets[shard].checkpoint - plan.page.checkpoint
                session.on_progress(report.documents, 1 - sum(ahead.values()) / total)
                self._is_saved = False
                self._save_at_times()

    def save(self) -> None:
        """Remember how far the index was looked at."""
        if not self._is_saved:
            shards = dump_positions(self._state.values())
            self._jobs.save(state_key(self._index), {**self._basis(), "shards": shards})
            self._is_saved = True
        self._saved_at = time.monotonic()

    def _save_at_times(self) -> None:
        if time.monotonic() - self._saved_at > _SAVE_SECONDS:
            self.save()

    def _basis(self) -> JsonObject:
        """Return what vectors depend on besides the documents: with another model all are outdated."""
        basis = {"model": self.attachment.model, "fields": self.attachment.field_map.as_json()}
        if self.attachment.pictures:
            basis["images"] = self.attachment.pictures.as_json()
        stored: JsonObject = json.loads(json.dumps(basis))
        return stored

    def _load_state(self) -> dict[int, ShardPosition]:
        state = self._jobs.load(state_key(self._index)) or {}
        if any(state.get(name) != value for name, value in self._basis().items()):
            return {}
        return parse_positions(state["shards"])

    def _checkpoint(self, position: ShardPosition) -> int:
        """Return up to which write a shard was looked at: none of them where its history is another one."""
        state = self._state.get(position.number)
        is_same = state and state.history == position.history and state.checkpoint <= position.checkpoint
        return state.checkpoint if state and is_same else BEFORE_ALL

    def _list(self, behind: Sequence[ShardPosition], writes: int) -> Iterator[ChangePage]:
        """Yield the documents that these many writes changed, in batches, without those of this job's own."""
        session, size = self._session, self._session.settings.batch
        if writes <= _FEW:
            size = min(size, _FEW_AT_ONCE)
        for position in behind:
            after = self._checkpoint(position)
            for page in list_changes(session.client, self._index, position, after, session.retry):
                with self._lock:
                    others = [
                        key
                        for key in page.documents
                        if self._written.get(_name(key, key.primary_term)) != key.seq_no
                    ]
                chunks = list(split_chunks(others, size)) or [[]]
                for chunk in chunks[:-1]:
                    yield ChangePage(page.shard, tuple(chunk), chunk[-1].seq_no)
                yield replace(page, documents=tuple(chunks[-1]))

    def _plan(self, page: ChangePage) -> _Plan:
        session = self._session
        documents = fetch_documents(session.client, self._index.name, page.documents, session.retry)
        readable: list[tuple[ShopDocument, Product]] = []
        removals: list[VectorRemoval] = []
        for document in documents:
            product = self._products.read(document.key.id, document.source)
            if product is not None:
                readable.append((document, product))
            elif document.attune:
                removals.append(VectorRemoval(document.key))
        texts, pictures = self._encode_texts(readable), self._encode_pictures(readable)
        changes = [texts.get(each.key, {}) | pictures.get(each.key, {}) for each, _ in readable]
        updates = tuple(
            VectorUpdate(document, values)
            for (document, _), values in zip(readable, changes, strict=True)
            if values
        )
        unchanged, without_text = len(readable) - len(updates), len(documents) - len(readable)
        return _Plan(page, updates, tuple(removals), unchanged, without_text)

    def _encode_texts(
        self, documents: Sequence[tuple[ShopDocument, Product]]
    ) -> dict[DocumentKey, JsonObject]:
        """Return the fields under `attune` of those documents whose text is not what theirs were made of."""
        version, vectors = self._encoder.version, self.attachment.vectors
        outdated = [
            (document, product)
            for document, product in documents
            if not self._products.is_current(document.attune, product, version)
        ]
        encoded = self._encoder.encode_products([product for _, product in outdated]) if outdated else []
        return {
            document.key: self._products.make_values(product, each, version, vectors)
            for (document, product), each in zip(outdated, encoded, strict=True)
        }

    def _encode_pictures(
        self, documents: Sequence[tuple[ShopDocument, Product]]
    ) -> dict[DocumentKey, JsonObject]:
        """Return the picture fields that change; none where the job reads no pictures."""
        if self._pictures is None or not documents:
            return {}
        before = {product.id: read_picture_fields(document.attune) for document, product in documents}
        made = self._pictures.make_fields([product for _, product in documents], before)
        changed: dict[DocumentKey, JsonObject] = {}
        for document, product in documents:
            own, now = read_picture_fields(document.attune), made.get(product.id, {})
            if own != now:
                changed[document.key] = now or make_no_picture_fields()
        return changed

    def _write(self, plan: _Plan) -> list[BulkResult]:
        writes: list[VectorUpdate | VectorRemoval] = [*plan.updates, *plan.removals]
        return write_bulk(self._session.client, self._index.name, writes, self._session.retry)

    def _count(self, plan: _Plan, results: Sequence[BulkResult], report: AttachReport) -> None:
        keys = [*(update.document.key for update in plan.updates), *(write.key for write in plan.removals)]
        for key, result in zip(keys, results, strict=True):
            if result.refusal:
                report.refused += 1
                report.refusal = report.refusal or f"{result.id}: {result.refusal}"
            elif result.stale:
                report.overtaken += 1
            elif result.seq_no >= 0:
                with self._lock:
                    self._written.replace(_name(key, result.primary_term), result.seq_no)
        report.encoded += sum(result.seq_no >= 0 for result in results[: len(plan.updates)])
        report.documents += plan.unchanged + plan.without_text + len(plan.updates)
        report.unchanged += plan.unchanged
        report.without_text += plan.without_text


def _check_pictures(
    session: IndexSession, index: ShopIndex, attachment: Attachment
) -> EncodedPictures | None:
    """Return the pictures of a job. Raises ModelMismatch where the index is not made for their tower."""
    pictures, tower = session.pictures, attachment.pictures.tower if attachment.pictures else ""
    if pictures and pictures.version != tower:
        how = f"with picture tower {tower}" if tower else "without pictures"
        raise ModelMismatch(
            f"index {index.name} was attached {how}, and --images encodes with {pictures.version}: "
            f"`attune attach {session.alias} --images PLACE` encodes all of its pictures with that"
        )
    return pictures


def state_key(index: ShopIndex) -> str:
    """Return the key under which the jobs index holds how far an index was looked at."""
    return f"attach:{index.uuid}"


def _name(key: DocumentKey, primary_term: int) -> str:
    return f"{key.shard}/{primary_term}/{key.id}"
