"""Locks in OpenSearch: of several jobs on one alias, wherever they run, one proceeds.

A lock is a document that its holder renews every few seconds. A lock that is not renewed for longer belongs
to a dead job and is taken over; the taker measures that by its own clock. A lock whose holder was a process
of the same machine is taken over at once where that process is gone, and never while it is alive.
"""

import os
import platform
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

from indexer.store.jobs_index import JobDocument, JobsIndex, now_ms
from mappings.errors import AttuneError, IndexingError, JobRunning

REBUILD = "rebuild"
CHANGES = "changes"
WRITING = "writing"
ATTACHING = "attaching"
"""The locks of an alias: one rebuild, one job of changes, and one writer to the live index at a time. An
index of a shop has one job that attaches or follows it.
"""

_DEAD_SECONDS = 30.0
"""A lock that its holder has not renewed for so long belongs to a dead job."""

_RELEASE_SECONDS = 2.0
"""How long a job that fails waits for a renewal in progress."""


class Lock:
    """A lock that this job holds. Call `check` before each step that must not happen twice."""

    def __init__(self, jobs: JobsIndex, key: str, document: JobDocument, dead_seconds: float) -> None:
        self._jobs = jobs
        self._key = key
        self._document = document
        self._dead_seconds = dead_seconds
        self._confirmed = time.monotonic()
        self._ended = threading.Event()
        self._lost = False
        self._thread = threading.Thread(target=self._renew, daemon=True)
        self._thread.start()

    @property
    def lost(self) -> bool:
        """Whether another job has taken the lock over."""
        return self._lost

    def check(self) -> None:
        """Raise IndexingError where another job has taken the lock over because this one looked dead."""
        now = time.monotonic()
        if not self._lost and now - self._confirmed > self._dead_seconds / 2:  # this job may look dead by now
            self._lost = _find_own(self._jobs, self._key, self._document) is None
            self._confirmed = now
        if self._lost:
            raise IndexingError(
                f"another job has taken over {self._key}: this one did not reach OpenSearch for too long. "
                "Run it again when the other has ended"
            )

    def release(self, retry: bool = True) -> None:
        """Give the lock up.

        Without `retry`, try it once: the job failed, maybe because OpenSearch is away.
        """
        self._ended.set()
        self._thread.join(None if retry else _RELEASE_SECONDS)
        policy = self._jobs.retry
        seconds = policy.seconds if retry and not policy.stop.is_set() else 0.0
        jobs = replace(self._jobs, retry=replace(policy, seconds=seconds, stop=threading.Event()))
        if not self._lost:
            with suppress(AttuneError):  # then it expires
                # A renewal that was under way, or whose answer was lost, may have changed the document.
                if document := _find_own(jobs, self._key, self._document):
                    jobs.delete(self._key, document)

    def _renew(self) -> None:
        while not self._ended.wait(self._dead_seconds / 3):
            began = time.monotonic()
            try:
                renewed = self._jobs.put(self._key, self._document.source | {"at": now_ms()}, self._document)
                renewed = renewed or _find_own(self._jobs, self._key, self._document)
            except AttuneError:  # OpenSearch is away: others can't take the lock either
                continue
            if renewed is None:
                self._lost = True
                return
            self._document, self._confirmed = renewed, began


@contextmanager
def hold_lock(
    jobs: JobsIndex, alias: str, name: str, wait: bool = False, dead_seconds: float = _DEAD_SECONDS
) -> Iterator[Lock]:
    """Hold the lock `name` of an alias while the block runs.

    Where another job holds it: with `wait`, wait until that job ends. Without, watch it long enough to tell
    whether that job is alive, and raise JobRunning where it is.
    """
    lock = _acquire(jobs, _lock_key(alias, name), wait, dead_seconds)
    try:
        yield lock
    except BaseException:
        lock.release(retry=False)
        raise
    lock.release()


def is_locked(jobs: JobsIndex, alias: str, name: str) -> bool:
    """Return whether some job, alive or dead, holds the lock `name` of an alias."""
    return jobs.get(_lock_key(alias, name)) is not None


def _lock_key(alias: str, name: str) -> str:
    return f"lock:{alias}:{name}"


def _acquire(jobs: JobsIndex, key: str, wait: bool, dead_seconds: float) -> Lock:
    own = {"kind": "lock", "owner": uuid.uuid4().hex, "process": _describe_process(), "since": now_ms()}
    watched: JobDocument | None = None
    since = time.monotonic()
    while True:
        other = jobs.get(key)
        if other and watched and other.seq_no != watched.seq_no and not wait and _may_be_alive(other):
            raise JobRunning(_describe_holder(key, other))  # it was renewed
        if watched is None or (other and other.seq_no != watched.seq_no):
            watched, since = other, time.monotonic()
        if other and _is_local(other):
            dead = not _may_be_alive(other)
        else:
            dead = time.monotonic() - since > dead_seconds
        if other is None or dead:
            document = jobs.put(key, own | {"at": now_ms()}, other)
            document = document or _find_own(jobs, key, JobDocument(own, 0, 0))
            if document:
                return Lock(jobs, key, document, dead_seconds)
            watched = None
            continue
        if not wait and _is_local(other):
            raise JobRunning(_describe_holder(key, other))
        jobs.retry.stop.wait(0.05 if wait else min(1.0, dead_seconds / 10))


def _find_own(jobs: JobsIndex, key: str, document: JobDocument) -> JobDocument | None:
    """Return the lock where this job has it after all: the answer that reported so was lost."""
    current = jobs.get(key)
    return current if current and current.source.get("owner") == document.source["owner"] else None


def _describe_holder(key: str, document: JobDocument) -> str:
    process = document.source.get("process", {})
    name = key.rpartition(":")[2]
    minutes = (now_ms() - document.source.get("since", now_ms())) / 60_000
    return (
        f"another job ({name}) is at work on this alias: process {process.get('pid')} on "
        f"{process.get('machine', '').partition('/')[0]}, for {minutes:.0f} minutes. "
        "Wait for it, or end it: a dead job's lock is taken over"
    )


def _describe_process() -> dict[str, object]:
    return {"machine": _machine_name(), "pid": os.getpid(), "started": _start_time(os.getpid())}


def _is_local(document: JobDocument) -> bool:
    """Return whether the holder is a process of this machine."""
    return bool(document.source.get("process", {}).get("machine") == _machine_name())


def _may_be_alive(document: JobDocument) -> bool:
    """Return whether the holder may be alive: False only for a process of this machine that is gone."""
    process = document.source.get("process", {})
    if not _is_local(document):
        return True
    pid = process.get("pid", 0)
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return _start_time(pid) == str(process.get("started"))


def _machine_name() -> str:
    """Return what process ids are unique in: host, boot and, where there are any, the process namespace."""
    parts = [platform.node()]
    with suppress(OSError):
        parts.append(Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip())
    with suppress(OSError):
        parts.append(os.readlink("/proc/self/ns/pid"))
    return "/".join(parts)


def _start_time(pid: int) -> str:
    """Return when a process started, in ticks since boot, because ids are reused.

    Empty for a dead process.
    """
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
    except OSError:
        return ""
    state, *rest = stat.rpartition(")")[2].split()
    return "" if state == "Z" else rest[18]
