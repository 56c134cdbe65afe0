"""Apply changes to the index that searches use: upserts, partial updates and deletes, as they come.

Each batch is looked up, encoded as far as its text is new, and written in parts. One part is looked up while
earlier ones are written. Nothing but tombstones is remembered beside the index: changes that are delivered
again after a crash are found to be applied.
"""

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

from indexer.catalogue.field_map import FieldMap
from indexer.catalogue.records import Reject
from indexer.catalogue.stats import CatalogueStats
from indexer.change.changes import Change, ChangeKind, read_changes
from indexer.change.plan import ChangePlan, ChangePlanner
from indexer.sources.change_stream import ChangeStream, batch_by_time
from indexer.sources.rejects import RejectFile
from indexer.store.alias import ManagedIndex
from indexer.store.bulk import CONCURRENT_REQUESTS, BulkResult, map_in_order, write_bulk
from indexer.store.jobs_index import JobsIndex
from indexer.store.lock import CHANGES, REBUILD, WRITING, Lock, hold_lock, is_locked
from indexer.store.session import IndexSession
from mappings import fields
from mappings.errors import AttuneError, CatalogueError, IndexingError, SettingsError

_BATCH_SECONDS = 0.5
"""A change waits at most this long for others to share its batch."""

_PARTS = 4
"""Parts of a batch: `index.batch` changes each."""

_YIELD_SECONDS = 0.1
"""Pause between writes during a rebuild. The rebuild looks every 50 ms whether it may write."""


@dataclass(frozen=True, slots=True)
class ChangeJob:
    """How changes are read and applied. `default` is the kind of a record without an operation.

    A `dry` run counts what would be done, judging each change by itself, and writes nothing. After
    `hold_seconds` of writing a batch, others may write before its next part.
    """

    field_map: Callable[[ChangeStream], FieldMap]
    rejects: Path
    default: ChangeKind = "upsert"
    simplified: bool = False
    dry: bool = False
    hold_seconds: float = 2.0


@dataclass(slots=True)
class ChangesReport:
    """The result of a job: changes read, and how many of each kind were applied.

    `unreadable` cells were left as they were. `encoded` products had new text, or vectors of another model.
    `stale` changes came after newer ones, `unchanged` ones were in the index already; neither was written.
    `redated` changes have no version and come from a file older than the catalogue: they count as made just
    after it, because a person named the file.
    """

    index: str = ""
    alias: str = ""
    model: str = ""
    changes: int = 0
    upserted: int = 0
    updated: int = 0
    deleted: int = 0
    encoded: int = 0
    stale: int = 0
    unchanged: int = 0
    rejected: int = 0
    unreadable: int = 0
    streams: int = 0
    seconds: float = 0.0
    changes_per_second: float = 0.0
    redated: int = 0


def apply_changes(
    session: IndexSession,
    job: ChangeJob,
    streams: Iterable[ChangeStream],
    stop: threading.Event | None = None,
    on_report: Callable[[ChangesReport], None] = lambda _: None,
) -> ChangesReport:
    """Apply every change of `streams`, in order, to the index behind the alias.

    >>> session = IndexSession(client, "shop", OneEncoder(load_model(None)))
    >>> job = ChangeJob(lambda stream: guess_field_map(stream.source, partial=True), Path("rejects.jsonl"))
    >>> report = apply_changes(session, job, [ChangeStream(open_catalogue(Path("prices.jsonl")))])
    >>> report.updated, report.deleted, report.encoded
    (1, 1, 0)

    A stream that can't be read, or whose records don't fit the index, is refused (`nack`), and the next one
    goes on.

    Setting `stop` ends it after the current batch; an unfinished stream is delivered again. Changes go on
    during a full rebuild, which copies them before it moves the alias. `on_report` receives the counts after
    each batch.

    Raises JobRunning where another job of changes is running on the alias, IndexingError where the alias has
    no index of Attune's, ModelMismatch where its model is not available, JobStopped, ClusterDown and
    CatalogueError.
    """
    session.indexes.validate()
    jobs = JobsIndex(session.client, session.retry) if job.dry else session.open_jobs()
    began = time.monotonic()
    alone = nullcontext() if job.dry else hold_lock(jobs, session.alias, CHANGES)
    with alone as lock, RejectFile(job.rejects) as rejects:
        applier = _Applier(session, job, jobs, lock, rejects, on_report)
        report = applier.report
        for stream in streams:
            try:
                applier.apply(stream, stop or threading.Event())
            except (CatalogueError, SettingsError) as error:
                stream.nack(error)
                continue
            if stop and stop.is_set():
                break
            if not job.dry:
                stream.ack()
            report.streams += 1
            report.seconds = round(time.monotonic() - began, 3)
            report.changes_per_second = round(report.changes / max(report.seconds, 1e-3), 1)
            applier.show(1.0)
    return report


class _Applier:
    """One job, with what its steps share. `lock` is None in a dry run."""

    def __init__(
        self,
        session: IndexSession,
        job: ChangeJob,
        jobs: JobsIndex,
        lock: Lock | None,
        rejects: RejectFile,
        on_report: Callable[[ChangesReport], None],
    ) -> None:
        self._session = session
        self._job = job
        self._jobs = jobs
        self._lock = lock
        self._rejects = rejects
        self._on_report = on_report
        self._live: ManagedIndex | None = None
        self._follows_catalogue = False
        self._planner = ChangePlanner(session, jobs, job.dry)
        self._stats = CatalogueStats()
        self.report = ChangesReport(alias=session.alias)

    def apply(self, stream: ChangeStream, stop: threading.Event) -> None:
        """Apply one stream to its end, or until `stop` is set."""
        self._follows_catalogue = stream.follows_catalogue
        field_map = self._job.field_map(stream)
        records = stream.source.records()
        changes = _guard(
            read_changes(records, field_map, self._job.default, self._job.simplified, self._stats),
            stream.source.name,
        )
        share = 0.0
        for batch in batch_by_time(changes, self._session.settings.batch * _PARTS, _BATCH_SECONDS):
            moment = stream.source.moment_ms
            for part in _split_repeats(self._count_changes(batch)):
                if self._lock is None:
                    self._rehearse(part, moment)
                else:
                    self._write_all(part, moment, self._lock)
                share = part[-1].share
            self.show(share)
            if stop.is_set():
                return

    def show(self, share: float) -> None:
        """Report the progress."""
        self.report.unreadable = sum(count.count for count in self._stats.unreadable.values())
        self._session.on_progress(self.report.changes, share)
        self._on_report(self.report)

    def _count_changes(self, batch: list[Change | Reject]) -> Iterator[Change]:
        for change in batch:
            self.report.changes += 1
            if isinstance(change, Reject):
                self._reject(change)
            else:
                yield change

    def _write_all(self, changes: list[Change], moment_ms: int, lock: Lock) -> None:
        """Write changes of different products."""
        while changes:
            lock.check()
            if is_locked(self._jobs, self._session.alias, REBUILD):
                self._session.retry.stop.wait(_YIELD_SECONDS)
            with hold_lock(self._jobs, self._session.alias, WRITING, wait=True):
                changes = self._write(changes, moment_ms)

    def _write(self, changes: list[Change], moment_ms: int) -> list[Change]:
        """Write what can be written in `hold_seconds`, at least one part; return the rest."""
        live = self._find_index()
        size = self._session.settings.batch
        rest = list(changes)
        until = time.monotonic() + self._job.hold_seconds

        def plan_parts() -> Iterator[ChangePlan]:
            while rest:
                part = rest[:size]
                del rest[:size]
                yield self._plan(part, live, moment_ms)
                if time.monotonic() > until:
                    return

        def write_plan(plan: ChangePlan) -> list[BulkResult]:
            self._jobs.add_tombstones(self._session.alias, plan.deletes)
            actions = [action for _, action in plan.writes]
            return write_bulk(self._session.client, live.name, actions, self._session.retry)

        for plan, results in map_in_order(write_plan, plan_parts(), CONCURRENT_REQUESTS + 1):
            self._count(plan, results)
        return rest

    def _rehearse(self, changes: list[Change], moment_ms: int) -> None:
        """Count what writing the changes would do."""
        plan = self._plan(changes, self._find_index(), moment_ms)
        self._count(plan, [BulkResult(action.id) for _, action in plan.writes])

    def _plan(self, changes: list[Change], live: ManagedIndex, moment_ms: int) -> ChangePlan:
        """Plan changes of different products, as of `moment_ms` where they have no version."""
        if self._follows_catalogue and not live.has_product_versions and moment_ms <= live.version:
            moment_ms = live.version + 1
            self.report.redated += sum(change.version is None for change in changes)
        return self._planner.plan(changes, live, moment_ms)

    def _find_index(self) -> ManagedIndex:
        """Return the index that searches use now. Its mapping has the field that marks changed documents."""
        session = self._session
        live = session.indexes.find_live()
        if live is None:
            raise IndexingError(
                f"alias {session.alias} has no index of Attune's to change: make one first by "
                f"`attune index FILE --alias {session.alias}`"
            )
        if (self._live is None or live.name != self._live.name) and not self._job.dry:
            mapping = {"properties": {fields.ATTUNE: {"properties": {"changed": {"type": "boolean"}}}}}
            session.retry.call(
                f"preparing index {live.name}",
                lambda: session.client.indices.put_mapping(index=live.name, body=mapping),
            )
            self._live = live
        self.report.index, self.report.model = live.name, live.model
        return live

    def _count(self, plan: ChangePlan, results: list[BulkResult]) -> None:
        report = self.report
        report.encoded += plan.encoded
        report.stale += plan.stale
        report.unchanged += plan.unchanged
        for reject in plan.rejects:
            self._reject(reject)
        for (change, _), result in zip(plan.writes, results, strict=True):
            if result.refusal:
                reason = f"OpenSearch refused the document: {result.refusal}"
                self._reject(Reject(change.line, reason, change.raw, "document"))
            elif result.stale:
                report.stale += 1
            elif change.kind == "upsert":
                report.upserted += 1
            elif change.kind == "update":
                report.updated += 1
            else:
                report.deleted += 1

    def _reject(self, reject: Reject) -> None:
        self._rejects.write(reject)
        self.report.rejected += 1


def _guard(changes: Iterator[Change | Reject], name: str) -> Iterator[Change | Reject]:
    """Yield the changes.

    Raise CatalogueError for any error in reading them: a file must never end the job.
    """
    line = 0
    try:
        for change in changes:
            line = change.line
            yield change
    except AttuneError:
        raise
    except Exception as error:
        raise CatalogueError(
            f"{name} can't be read after line {line}: {type(error).__name__}: {str(error)[:200]}"
        ) from error


def _split_repeats(changes: Iterable[Change]) -> Iterator[list[Change]]:
    """Yield the changes in parts, in order. A second change of a product starts a new part: it must see the
    result of the first.
    """
    part: dict[str, Change] = {}
    for change in changes:
        if change.id in part:
            yield list(part.values())
            part = {}
        part[change.id] = change
    if part:
        yield list(part.values())
