"""Attach to a shop's index, follow its writers, and detach from it.

All three go by the numbers that OpenSearch gives to writes (`indexer.attach.shards`): attaching looks at the
whole history of each shard, following at what came since, again and again. A document is updated only if the
shop has not written it meanwhile. One that it has is a new change, which is looked at next.
"""

import math
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from indexer.attach.removal import remove_vectors
from indexer.attach.shards import read_positions
from indexer.attach.shop_index import (
    check_attachable,
    check_knn,
    find_shop_indexes,
    make_attachment,
    put_attune_fields,
    put_metadata,
)
from indexer.attach.switching import Switch, finish_switch, replace_by_copy, restore_original
from indexer.attach.updater import AttachReport, IndexUpdater, state_key
from indexer.attach.vocabulary import teach_vocabulary
from indexer.catalogue.field_map import FieldMap
from indexer.store.jobs_index import JobsIndex
from indexer.store.lock import ATTACHING, Lock, hold_lock
from indexer.store.scan import refresh_index
from indexer.store.session import IndexSession
from mappings.errors import IndexingError

_ROUNDS = 5
"""Rounds after which a job that is not to go on leaves what a shop keeps writing to the next job."""

_TEACH_SECONDS = 86_400.0
"""Seconds after which a job that goes on learns the vocabulary anew: products come and go."""

OnReport = Callable[[AttachReport], None]


@dataclass(frozen=True, slots=True)
class FollowJob:
    """How a shop's index is followed: a look every `every` seconds, or `once`.

    `full` begins with a look at every document.
    """

    every: float = 0.25
    once: bool = False
    full: bool = False


@dataclass(frozen=True, slots=True)
class DetachReport:
    """What detaching took out: the vectors of `documents` in `indexes`."""

    name: str
    indexes: tuple[str, ...]
    documents: int
    seconds: float


def attach_index(session: IndexSession, field_map: FieldMap) -> AttachReport:
    """Give every index behind the session's name Attune's fields, and its documents their vectors.

    An index that can't have vectors is replaced by a copy that can. Pictures are encoded where the session
    has any; where it has none, those that documents have stay. A job that is killed is continued by the next
    one. Raises IndexingError where the cluster has no k-NN plugin or an index does not keep all of `_source`,
    JobRunning, JobStopped, ClusterDown and ModelError.
    """
    began = time.monotonic()
    jobs = session.open_jobs()
    with hold_lock(jobs, session.alias, ATTACHING) as lock:
        indexes = find_shop_indexes(session)
        check_knn(session.client, session.retry)
        for index in indexes:
            check_attachable(index)
        report = AttachReport(session.alias)
        for index in indexes:
            attachment = make_attachment(session, index, field_map)
            if index.allows_vectors:
                finish_switch(session, jobs, index, lock)
                put_attune_fields(session, index, attachment)
            else:
                switch = replace_by_copy(session, jobs, index, attachment, report, lock)
                report.kept = (*report.kept, switch.kept)
                report.refusing_seconds = max(report.refusing_seconds, switch.seconds)
        job = FollowJob(once=True)
        _Follower(session, jobs, lock, job, lambda _: None, report).run(threading.Event())
        report.set_time(began)
        return report


def follow_index(
    session: IndexSession, job: FollowJob, stop: threading.Event, on_report: OnReport = lambda _: None
) -> AttachReport:
    """Keep the vectors of an attached index in step with its documents until `stop` is set.

    `on_report` receives the counts after each look that found changes. An index that takes the place of
    another behind the alias is attached by the same field map. Raises as `attach_index` does, and
    IndexingError where nothing behind the name is attached.
    """
    jobs = session.open_jobs()
    with hold_lock(jobs, session.alias, ATTACHING) as lock:
        if not any(index.attachment for index in find_shop_indexes(session, wait=not job.once)):
            raise IndexingError(f"{session.alias} is not attached: attune attach {session.alias}")
        report = AttachReport(session.alias)
        return _Follower(session, jobs, lock, job, on_report, report).run(stop)


def detach_index(session: IndexSession) -> DetachReport:
    """Take Attune's fields out of every document behind the session's name, and the record of attaching.

    The fields stay in the mapping, empty: OpenSearch can't remove them. Raises IndexingError, JobRunning,
    JobStopped and ClusterDown.
    """
    began = time.monotonic()
    jobs = session.open_jobs()
    with hold_lock(jobs, session.alias, ATTACHING) as lock:
        indexes = find_shop_indexes(session)
        if encoding := [index.name for index in indexes if index.is_encoded_at_write_time]:
            raise IndexingError(
                f"documents of {', '.join(encoding)} are encoded as they are written: run "
                "`attune install --uninstall` first"
            )
        documents = 0
        for index in indexes:
            if index.attachment:
                put_metadata(session, index, None)
            documents += remove_vectors(session, index, lock)
            jobs.forget(state_key(index))
            refresh_index(session.client, index.name, session.retry)
    names = tuple(index.name for index in indexes)
    return DetachReport(session.alias, names, documents, round(time.monotonic() - began, 3))


def return_to_originals(session: IndexSession) -> list[Switch]:
    """Put the indexes that copies took the place of back in it. What was written since is copied to them.

    Raises IndexingError where no copy is behind the session's name, JobRunning, JobStopped and ClusterDown.
    """
    jobs = session.open_jobs()
    with hold_lock(jobs, session.alias, ATTACHING) as lock:
        indexes = find_shop_indexes(session)
        copies = [index for index in indexes if index.attachment and index.attachment.copied_from]
        if not copies:
            raise IndexingError(
                f"no index behind {session.alias} is a copy of one of the shop's: `attune detach "
                f"{session.alias}` takes the vectors out"
            )
        return [restore_original(session, jobs, copy, lock) for copy in copies]


class _Follower:
    """One job, with an updater for each index behind the name."""

    def __init__(
        self,
        session: IndexSession,
        jobs: JobsIndex,
        lock: Lock,
        job: FollowJob,
        on_report: OnReport,
        report: AttachReport,
    ) -> None:
        self._session = session
        self._jobs = jobs
        self._lock = lock
        self._job = job
        self._on_report = on_report
        self._updaters: dict[str, IndexUpdater] = {}
        self._field_map: FieldMap | None = None
        self._report = report
        self._teach_at = -math.inf if job.full else time.monotonic() + _TEACH_SECONDS

    def run(self, stop: threading.Event) -> AttachReport:
        began = time.monotonic()
        report = self._report
        try:
            for _ in self._rounds(stop):
                changed = self._catch_up()
                self._teach()
                report.set_time(began)
                if changed:
                    self._on_report(report)
                elif self._job.once:
                    break
            for updater in self._updaters.values():
                updater.save()
        finally:
            for updater in self._updaters.values():
                updater.close()
        return report

    def _rounds(self, stop: threading.Event) -> Iterator[int]:
        """Yield once for each look that is due."""
        number, began = 0, time.monotonic()
        while not stop.is_set() and (number < _ROUNDS or not self._job.once):
            pause = max(0.0, began + self._job.every - time.monotonic())
            if number and not self._job.once and stop.wait(pause):
                return
            number, began = number + 1, time.monotonic()
            yield number

    def _catch_up(self) -> bool:
        """Look at what changed; return whether anything did."""
        session = self._session
        self._lock.check()
        session.retry.check_stop()
        positions = read_positions(session.client, session.alias, session.retry)
        if positions.keys() != self._updaters.keys():
            self._open_updaters()
        documents = self._report.documents
        for uuid, shards in positions.items():
            if updater := self._updaters.get(uuid):
                updater.catch_up(shards, self._report, self._lock)
        return self._report.documents > documents

    def _teach(self) -> None:
        """Have the indexes learn their vocabulary, where they have none yet or an old one."""
        if time.monotonic() < self._teach_at:
            return
        attachment = next(iter(self._updaters.values())).attachment
        teach_vocabulary(self._session, attachment)
        self._teach_at = time.monotonic() + _TEACH_SECONDS

    def _open_updaters(self) -> None:
        """Open an updater for every index that is behind the name now, and close the others."""
        session = self._session
        indexes = find_shop_indexes(session, wait=True)
        attachments = [index.attachment for index in indexes]
        known = next((attachment.field_map for attachment in attachments if attachment), self._field_map)
        if known is None:
            raise IndexingError(f"{session.alias} is not attached: attune attach {session.alias}")
        self._field_map = known
        present = {index.uuid for index in indexes}
        for uuid in self._updaters.keys() - present:
            self._updaters.pop(uuid).close()
        for index, attachment in zip(indexes, attachments, strict=True):
            if index.uuid not in self._updaters:
                if attachment is None:
                    check_attachable(index)
                    attachment = make_attachment(session, index, known)
                    put_attune_fields(session, index, attachment)
                self._updaters[index.uuid] = IndexUpdater(
                    session, self._jobs, index, attachment, self._job.full
                )
        if not all(index.vocabulary for index in indexes):
            self._teach_at = -math.inf
        self._report.indexes = tuple(index.name for index in indexes)
        self._report.model = next(iter(self._updaters.values())).model
