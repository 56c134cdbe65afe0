import multiprocessing
import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest

from indexer.store.jobs_index import JOBS_INDEX, JobsIndex, open_jobs_index
from indexer.store.lock import hold_lock
from indexer.store.retry import RetryPolicy
from mappings.errors import IndexingError, JobRunning, JobStopped
from tests.fakes.memory_opensearch import MemoryOpenSearch, open_memory

KEY = "lock:mugs:rebuild"


@pytest.fixture
def held() -> tuple[JobsIndex, MemoryOpenSearch]:
    client, connection = open_memory()
    return open_jobs_index(client, RetryPolicy(0)), connection


def put(jobs: JobsIndex, **process: Any) -> None:
    """Leave the lock of another job."""
    lock = {"kind": "lock", "owner": "other", "process": process, "since": 0, "at": 0}
    assert jobs.put(KEY, lock, None)


def own_process() -> dict[str, Any]:
    """Return how this process notes itself."""
    client, connection = open_memory()
    with hold_lock(open_jobs_index(client, RetryPolicy(0)), "mugs", "rebuild"):
        found: dict[str, Any] = connection.indexes[JOBS_INDEX].documents[KEY]["process"]
    return found


def test_a_lock_is_there_while_it_is_held(held: tuple[JobsIndex, MemoryOpenSearch]) -> None:
    jobs, connection = held
    with hold_lock(jobs, "mugs", "rebuild") as lock:
        lock.check()
        assert connection.indexes[JOBS_INDEX].documents[KEY]["process"]["pid"] == os.getpid()
        with hold_lock(jobs, "mugs", "changes"), hold_lock(jobs, "cups", "rebuild"):
            pass
        with pytest.raises(
            JobRunning, match=rf"another job \(rebuild\) is at work.*process {os.getpid()} on"
        ):
            hold_lock(jobs, "mugs", "rebuild").__enter__()
    assert connection.indexes[JOBS_INDEX].documents == {}


def test_a_lock_is_given_up_after_an_error(held: tuple[JobsIndex, MemoryOpenSearch]) -> None:
    jobs, _ = held
    with pytest.raises(RuntimeError, match="no"), hold_lock(jobs, "mugs", "rebuild"):
        raise RuntimeError("no")
    with hold_lock(jobs, "mugs", "rebuild"):
        pass


@pytest.mark.parametrize("error", [None, RuntimeError("no")])
def test_a_lock_is_given_up_where_the_answer_to_a_renewal_was_lost(
    held: tuple[JobsIndex, MemoryOpenSearch], error: Exception | None
) -> None:
    jobs, connection = held
    with suppress(RuntimeError), hold_lock(jobs, "mugs", "rebuild"):
        before = jobs.get(KEY)
        assert before is not None
        assert jobs.put(KEY, before.source, before)
        if error:
            raise error
    assert connection.indexes[JOBS_INDEX].documents == {}


def test_a_job_of_this_machine_that_is_gone_is_not_waited_for(
    held: tuple[JobsIndex, MemoryOpenSearch],
) -> None:
    jobs, connection = held
    gone = multiprocessing.get_context("spawn").Process(target=int)
    gone.start()
    gone.join()
    put(jobs, **{**own_process(), "pid": gone.pid})
    with hold_lock(jobs, "mugs", "rebuild", dead_seconds=1000):
        assert connection.indexes[JOBS_INDEX].documents[KEY]["owner"] != "other"


def test_a_living_job_of_this_machine_keeps_its_lock_however_long_it_does_not_renew_it(
    held: tuple[JobsIndex, MemoryOpenSearch],
) -> None:
    jobs, connection = held
    put(jobs, **own_process())
    stop = jobs.retry.stop
    timer = threading.Timer(0.5, stop.set)  # many times what makes a job elsewhere look dead
    timer.start()
    with pytest.raises(JobStopped):
        hold_lock(jobs, "mugs", "rebuild", wait=True, dead_seconds=0.01).__enter__()
    timer.join()
    assert connection.indexes[JOBS_INDEX].documents[KEY]["owner"] == "other"


def test_a_process_number_that_came_again_is_another_job(held: tuple[JobsIndex, MemoryOpenSearch]) -> None:
    jobs, _ = held
    put(jobs, **{**own_process(), "started": "long ago"})
    with hold_lock(jobs, "mugs", "rebuild", dead_seconds=1000):
        pass


def test_a_job_elsewhere_that_has_stopped_beating_is_taken_over(
    held: tuple[JobsIndex, MemoryOpenSearch],
) -> None:
    jobs, connection = held
    put(jobs, machine="elsewhere", pid=1, started="1")
    began = time.monotonic()
    with hold_lock(jobs, "mugs", "rebuild", dead_seconds=0.3):
        assert connection.indexes[JOBS_INDEX].documents[KEY]["owner"] != "other"
    assert time.monotonic() - began > 0.3


def test_a_job_elsewhere_that_beats_is_at_work(held: tuple[JobsIndex, MemoryOpenSearch]) -> None:
    jobs, _ = held
    put(jobs, machine="elsewhere", pid=1, started="1")
    ended = threading.Event()

    def beat() -> None:
        while not ended.wait(0.05):
            now = jobs.get(KEY)
            assert now is not None
            jobs.put(KEY, now.source | {"at": 1}, now)

    thread = threading.Thread(target=beat)
    thread.start()
    try:
        with pytest.raises(JobRunning, match="process 1 on elsewhere"):
            hold_lock(jobs, "mugs", "rebuild", dead_seconds=5).__enter__()
    finally:
        ended.set()
        thread.join()


def test_one_that_waits_gets_the_lock_next(held: tuple[JobsIndex, MemoryOpenSearch]) -> None:
    jobs, connection = held
    order = []

    def second() -> None:
        with hold_lock(jobs, "mugs", "writing", wait=True):
            order.append("second")

    with hold_lock(jobs, "mugs", "writing", wait=True):
        thread = threading.Thread(target=second)
        connection.requests.clear()
        thread.start()
        wait_until(lambda: len(connection.requests) > 2)  # it has looked at the lock
        order.append("first")
    thread.join()
    assert order == ["first", "second"]


def test_a_job_that_was_taken_for_dead_is_told(held: tuple[JobsIndex, MemoryOpenSearch]) -> None:
    jobs, connection = held
    with hold_lock(jobs, "mugs", "rebuild", dead_seconds=0.15) as lock:
        before = jobs.get(KEY)
        assert before is not None
        while not jobs.put(KEY, {**before.source, "owner": "other"}, before):
            before = jobs.get(KEY)
            assert before is not None
        wait_until(lambda: lock.lost)
        with pytest.raises(IndexingError, match="another job has taken over"):
            lock.check()
    assert connection.indexes[JOBS_INDEX].documents[KEY]["owner"] == "other"


def test_it_lives_through_a_cluster_that_is_away(held: tuple[JobsIndex, MemoryOpenSearch]) -> None:
    jobs, connection = held
    with hold_lock(jobs, "mugs", "rebuild", dead_seconds=0.06) as lock:
        connection.fails.append(("_doc", 5))
        wait_until(lambda: connection.fails == [("_doc", 0)])
        lock.check()
    assert connection.indexes[JOBS_INDEX].documents == {}


def wait_until(ready: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not ready():
        assert time.monotonic() < deadline
        time.sleep(0.005)
