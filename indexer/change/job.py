"""Changes → the index that searches use: upserts, partial updates and deletes, as they come.

Each batch is looked up, encoded as far as its text is new, and written in parts: one is looked up while those
before are written. Nothing is remembered beside the index but tombstones: changes that come again after a
crash find themselves applied.
"""

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

from opensearchpy import OpenSearch

from indexer.catalogue.field_map import FieldMap
from indexer.catalogue.records import Reject
from indexer.change.changes import Change, Kind, read_changes
from indexer.change.plan import Plan, Planner
from indexer.rebuild.job import REBUILD, WRITING, settled
from indexer.sources.change_stream import ChangeStream, batch_by_time
from indexer.sources.rejects import RejectFile
from indexer.store.alias import Aliases, MadeIndex
from indexer.store.bulk import AT_A_TIME, Written, in_order, write
from indexer.store.encoder import ProductEncoders
from indexer.store.jobs_index import JobsIndex, open_jobs
from indexer.store.lock import Lock, is_locked, locked
from indexer.store.retry import Patience
from mappings import fields
from mappings.errors import CatalogueError, IndexingError
from mappings.settings import IndexSettings

CHANGES = "changes"
"""What the lock of a job of changes is on."""

PAUSE_SECONDS = 0.5
"""A change waits at most this long for others to share its batch."""

PARTS = 4
"""Parts of a batch: `index.batch` changes each."""

HOLD_SECONDS = 2.0
"""A batch that takes longer lets others write in between, at the end of a part."""

YIELD_SECONDS = 0.1
"""How long a rebuild, which looks every 50 ms, is let in before the next changes are written."""


@dataclass(frozen=True, slots=True)
class ChangeJob:
    """Where changes go, and how records are read. `default` is what a record without an operation is.

    A `dry` run counts what would be done, each change judged by itself, and writes nothing.
    """

    alias: str
    field_map: Callable[[ChangeStream], FieldMap]
    rejects: Path
    settings: IndexSettings
    default: Kind = "upsert"
    simplified: bool = False
    dry: bool = False


@dataclass(slots=True)
class ChangesReport:
    """What a run did: changes that came, and how many of each kind were applied.

    `encoded` products had new text, or vectors of another model. `stale` changes came after newer ones and
    `unchanged` ones were there already; neither was applied.
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
    streams: int = 0
    seconds: float = 0.0
    changes_per_second: float = 0.0


def run_changes(
    job: ChangeJob,
    client: OpenSearch,
    models: ProductEncoders,
    streams: Iterable[ChangeStream],
    on_progress: Callable[[ChangesReport, float], None] = lambda _, __: None,
    patience: Patience | None = None,
    stop: threading.Event | None = None,
) -> ChangesReport:
    """Apply every change of `streams`, in their order, to the index behind the alias.

    Setting `stop` ends it after the current batch; an unfinished stream is delivered again. Changes go on
    during a full rebuild, which fetches them before it moves the alias.

    Raises JobRunning where another job of changes is at work on the alias, IndexingError where there is no
    index of Attune's, ModelMismatch where its model is not at hand, ClusterDown, and CatalogueError.
    """
    patience = patience or Patience(job.settings.retry_seconds)
    aliases = Aliases(client, job.alias, patience)
    aliases.check()
    jobs = JobsIndex(client, patience) if job.dry else open_jobs(client, patience)
    began = time.monotonic()
    alone = nullcontext() if job.dry else locked(jobs, job.alias, CHANGES)
    with alone as lock, RejectFile(job.rejects) as rejects:
        applying = _Applying(job, client, models, aliases, jobs, lock, patience, rejects)
        report = applying.report
        for stream in streams:
            try:
                applying.apply(stream, on_progress, stop or threading.Event())
            except CatalogueError as error:
                stream.nack(error)
                continue
            if stop and stop.is_set():
                break
            if not job.dry:
                stream.ack()
            report.streams += 1
            report.seconds = round(time.monotonic() - began, 3)
            report.changes_per_second = round(report.changes / max(report.seconds, 1e-3), 1)
            on_progress(report, 1.0)
    return report


class _Applying:
    """One run, with all that its steps share."""

    def __init__(
        self,
        job: ChangeJob,
        client: OpenSearch,
        models: ProductEncoders,
        aliases: Aliases,
        jobs: JobsIndex,
        lock: Lock | None,
        patience: Patience,
        rejects: RejectFile,
    ) -> None:
        self._job = job
        self._client = client
        self._models = models
        self._aliases = aliases
        self._jobs = jobs
        self._lock = lock
        self._patience = patience
        self._rejects = rejects
        self._live: MadeIndex | None = None
        self._planner = Planner(client, jobs, job.alias, job.settings.vectors, job.dry, patience)
        self.report = ChangesReport(alias=job.alias)

    def apply(
        self, stream: ChangeStream, on_progress: Callable[[ChangesReport, float], None], stop: threading.Event
    ) -> None:
        """Apply one stream to its end, or until `stop` is set."""
        field_map = self._job.field_map(stream)
        records = stream.source.records()
        changes = read_changes(records, field_map, self._job.default, self._job.simplified)
        share = 0.0
        for batch in batch_by_time(changes, self._job.settings.batch * PARTS, PAUSE_SECONDS):
            moment = stream.source.moment_ms
            for part in _without_repeats(self._accepted(batch)):
                if self._lock is None:
                    self._rehearse(part, moment)
                else:
                    self._apply(part, moment, self._lock)
                share = part[-1].share
            on_progress(self.report, share)
            if stop.is_set():
                return

    def _accepted(self, batch: list[Change | Reject]) -> Iterator[Change]:
        for change in batch:
            self.report.changes += 1
            if isinstance(change, Reject):
                self._reject(change)
            else:
                yield change

    def _apply(self, changes: list[Change], moment_ms: int, lock: Lock) -> None:
        """Write changes of different products."""
        while changes:
            lock.check()
            if is_locked(self._jobs, self._job.alias, REBUILD):
                time.sleep(YIELD_SECONDS)
            with locked(self._jobs, self._job.alias, WRITING, wait=True):
                changes = self._write(changes, moment_ms)

    def _write(self, changes: list[Change], moment_ms: int) -> list[Change]:
        """Write what can be written in `HOLD_SECONDS`, at least one part; return the rest."""
        live = self._index()
        encoder = self._models.of(live.model)
        size = self._job.settings.batch
        left = list(changes)
        until = time.monotonic() + HOLD_SECONDS

        def planned() -> Iterator[Plan]:
            while left:
                part = left[:size]
                del left[:size]
                yield self._planner.plan(part, live, encoder, moment_ms)
                if time.monotonic() > until:
                    return

        def written(plan: Plan) -> list[Written]:
            self._jobs.bury(self._job.alias, plan.deletes)
            actions = [action for _, action in plan.writes]
            return write(self._client, live.name, actions, self._patience)

        for plan, outcomes in in_order(written, planned(), AT_A_TIME + 1):
            self._count(plan, outcomes)
        return left

    def _rehearse(self, changes: list[Change], moment_ms: int) -> None:
        """Count what writing the changes would do."""
        live = self._index()
        plan = self._planner.plan(changes, live, self._models.of(live.model), moment_ms)
        self._count(plan, [Written(action.id) for _, action in plan.writes])

    def _index(self) -> MadeIndex:
        """Return the index that searches use now, ready for marks of change."""
        live = settled(self._aliases)
        if live is None:
            raise IndexingError(
                f"alias {self._job.alias} has no index of Attune's to change: make one first by "
                f"`attune index FILE --alias {self._job.alias}`"
            )
        if (self._live is None or live.name != self._live.name) and not self._job.dry:
            mark = {"properties": {fields.ATTUNE: {"properties": {"changed": {"type": "boolean"}}}}}
            self._patience.call(
                f"preparing index {live.name}",
                lambda: self._client.indices.put_mapping(index=live.name, body=mark),
            )
            self._live = live
        self.report.index, self.report.model = live.name, live.model
        return live

    def _count(self, plan: Plan, outcomes: list[Written]) -> None:
        report = self.report
        report.encoded += plan.encoded
        report.stale += plan.stale
        report.unchanged += plan.unchanged
        for reject in plan.rejects:
            self._reject(reject)
        for (change, _), of in zip(plan.writes, outcomes, strict=True):
            if of.refusal:
                reason = f"OpenSearch refused the document: {of.refusal}"
                self._reject(Reject(change.line, reason, change.raw, "document"))
            elif of.stale:
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


def _without_repeats(changes: Iterable[Change]) -> Iterator[list[Change]]:
    """Yield the changes in parts, in order, none with two of one product: the second must see the first."""
    part: dict[str, Change] = {}
    for change in changes:
        if change.id in part:
            yield list(part.values())
            part = {}
        part[change.id] = change
    if part:
        yield list(part.values())
