"""Locks in OpenSearch: of several jobs on one alias, in whatever places they run, one goes on.

A lock is a document that its holder writes anew every few seconds. One that stays as it is for longer is
a dead job's and is taken over; whose clock says what does not matter, the taker watches it by its own.
Where the holder was a process of the same machine that is gone, nothing has to be waited for.
"""

import os
import platform
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from indexer.store.jobs_index import Held, JobsIndex, now_ms
from indexer.store.retry import Patience
from mappings.errors import AttuneError, IndexingError, JobRunning

DEAD_SECONDS = 30.0
"""A lock that its holder has not written anew for so long is a dead job's."""

FAREWELL_SECONDS = 2.0
"""A job that fails waits this long for what its lock is about to write."""


class Lock:
    """A lock that is held. Its holder asks `check` before each step that must not happen twice."""

    def __init__(self, jobs: JobsIndex, key: str, held: Held, dead_seconds: float) -> None:
        self._jobs = jobs
        self._key = key
        self._held = held
        self._dead_seconds = dead_seconds
        self._confirmed = time.monotonic()
        self._ended = threading.Event()
        self._lost = False
        self._thread = threading.Thread(target=self._beat, daemon=True)
        self._thread.start()

    @property
    def lost(self) -> bool:
        """Whether another job has taken it over."""
        return self._lost

    def check(self) -> None:
        """Raise IndexingError where another job has taken the lock over, as from one that looked dead."""
        now = time.monotonic()
        if not self._lost and now - self._confirmed > self._dead_seconds / 2:  # it may look so by now
            self._lost = _mine(self._jobs, self._key, self._held) is None
            self._confirmed = now
        if self._lost:
            raise IndexingError(
                f"another job has taken over {self._key}: this one did not reach OpenSearch for too long. "
                "Run it again when the other has ended"
            )

    def release(self, patient: bool = True) -> None:
        """Give the lock up; without patience where OpenSearch may be away, and the job is to end."""
        self._ended.set()
        self._thread.join(None if patient else FAREWELL_SECONDS)
        jobs = self._jobs if patient else JobsIndex(self._jobs.client, Patience(0))
        if not self._lost:
            with suppress(AttuneError):  # then it dies of age
                jobs.drop(self._key, self._held)

    def _beat(self) -> None:
        while not self._ended.wait(self._dead_seconds / 3):
            began = time.monotonic()
            try:
                again = self._jobs.put(self._key, self._held.source | {"at": now_ms()}, self._held)
                again = again or _mine(self._jobs, self._key, self._held)
            except AttuneError:  # OpenSearch is away: others can't take the lock either
                continue
            if again is None:
                self._lost = True
                return
            self._held, self._confirmed = again, began


@contextmanager
def locked(
    jobs: JobsIndex, alias: str, what: str, wait: bool = False, dead_seconds: float = DEAD_SECONDS
) -> Iterator[Lock]:
    """Hold the lock on `what` is done to `alias`.

    Where another job holds it: with `wait`, waits for its end; else watches long enough to tell whether that
    job is alive, and raises JobRunning where it is.
    """
    lock = _taken(jobs, _key(alias, what), wait, dead_seconds)
    try:
        yield lock
    except BaseException:
        lock.release(patient=False)
        raise
    lock.release()


def is_locked(jobs: JobsIndex, alias: str, what: str) -> bool:
    """Tell whether some job, alive or dead, holds the lock on `what`."""
    return jobs.get(_key(alias, what)) is not None


def _key(alias: str, what: str) -> str:
    return f"lock:{alias}:{what}"


def _taken(jobs: JobsIndex, key: str, wait: bool, dead_seconds: float) -> Lock:
    mine = {"kind": "lock", "owner": uuid.uuid4().hex, "process": _process(), "since": now_ms()}
    seen: Held | None = None
    since = time.monotonic()
    while True:
        other = jobs.get(key)
        if other and seen and other.seq_no != seen.seq_no and not wait and _alive(other):
            raise JobRunning(_running(key, other))  # it beats
        if seen is None or (other and other.seq_no != seen.seq_no):
            seen, since = other, time.monotonic()
        if other is None or not _alive(other) or time.monotonic() - since > dead_seconds:
            held = jobs.put(key, mine | {"at": now_ms()}, other)
            held = held or _mine(jobs, key, Held(mine, 0, 0))
            if held:
                return Lock(jobs, key, held, dead_seconds)
            seen = None
            continue
        if not wait and _here(other):
            raise JobRunning(_running(key, other))  # its process runs on this machine
        time.sleep(0.05 if wait else min(1.0, dead_seconds / 10))


def _mine(jobs: JobsIndex, key: str, held: Held) -> Held | None:
    """Return the lock where it is ours after all: an answer that got lost said so."""
    now = jobs.get(key)
    return now if now and now.source.get("owner") == held.source["owner"] else None


def _running(key: str, held: Held) -> str:
    process = held.source.get("process", {})
    what = key.rpartition(":")[2]
    minutes = (now_ms() - held.source.get("since", now_ms())) / 60_000
    return (
        f"another job ({what}) is at work on this alias: process {process.get('pid')} on "
        f"{process.get('machine', '').partition('/')[0]}, for {minutes:.0f} minutes. "
        "Wait for it, or end it: a dead job's lock is taken over"
    )


def _process() -> dict[str, object]:
    return {"machine": _machine(), "pid": os.getpid(), "started": _started(os.getpid())}


def _here(held: Held) -> bool:
    return bool(held.source.get("process", {}).get("machine") == _machine())


def _alive(held: Held) -> bool:
    """Whether the holder may be alive: False only for a process of this machine that is gone."""
    process = held.source.get("process", {})
    if not _here(held):
        return True
    pid = process.get("pid", 0)
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return _started(pid) == str(process.get("started"))


def _machine() -> str:
    """Name this machine as process numbers mean it: host, boot and, where there are any, namespace."""
    parts = [platform.node()]
    with suppress(OSError):
        parts.append(Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip())
    with suppress(OSError):
        parts.append(os.readlink("/proc/self/ns/pid"))
    return "/".join(parts)


def _started(pid: int) -> str:
    """Return when a process started, in ticks since boot: its number comes again. A dead one's is empty."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
    except OSError:
        return ""
    state, *rest = stat.rpartition(")")[2].split()
    return "" if state == "Z" else rest[18]
