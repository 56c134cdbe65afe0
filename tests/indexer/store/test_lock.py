import multiprocessing
import os
import threading
import time
from typing import Any

import pytest

from indexer.store.jobs_index import JOBS_INDEX, JobsIndex, open_jobs
from indexer.store.lock import locked
from indexer.store.retry import Patience
from mappings.errors import IndexingError, JobRunning
from tests.fakes.shelf import Shelf, shelf

KEY = "lock:mugs:rebuild"


@pytest.fixture
def held() -> tuple[JobsIndex, Shelf]:
    client, connection = shelf()
    return open_jobs(client, Patience(0)), connection


def put(jobs: JobsIndex, **process: Any) -> None:
    """Leave the lock of another job."""
    lock = {"kind": "lock", "owner": "other", "process": process, "since": 0, "at": 0}
    assert jobs.put(KEY, lock, None)


def mine() -> dict[str, Any]:
    """Return how this process notes itself."""
    client, connection = shelf()
    with locked(open_jobs(client, Patience(0)), "mugs", "rebuild"):
        found: dict[str, Any] = connection.indexes[JOBS_INDEX].documents[KEY]["process"]
    return found


def test_a_lock_is_there_while_it_is_held(held: tuple[JobsIndex, Shelf]) -> None:
    jobs, connection = held
    with locked(jobs, "mugs", "rebuild") as lock:
        lock.check()
        assert connection.indexes[JOBS_INDEX].documents[KEY]["process"]["pid"] == os.getpid()
        with locked(jobs, "mugs", "changes"), locked(jobs, "cups", "rebuild"):
            pass
        with pytest.raises(
            JobRunning, match=rf"another job \(rebuild\) is at work.*process {os.getpid()} on"
        ):
            locked(jobs, "mugs", "rebuild").__enter__()
    assert connection.indexes[JOBS_INDEX].documents == {}


def test_a_lock_is_given_up_after_an_error(held: tuple[JobsIndex, Shelf]) -> None:
    jobs, _ = held
    with pytest.raises(RuntimeError, match="no"), locked(jobs, "mugs", "rebuild"):
        raise RuntimeError("no")
    with locked(jobs, "mugs", "rebuild"):
        pass


def test_a_job_of_this_machine_that_is_gone_is_not_waited_for(held: tuple[JobsIndex, Shelf]) -> None:
    jobs, connection = held
    gone = multiprocessing.get_context("spawn").Process(target=int)
    gone.start()
    gone.join()
    put(jobs, **{**mine(), "pid": gone.pid})
    with locked(jobs, "mugs", "rebuild", dead_seconds=1000):
        assert connection.indexes[JOBS_INDEX].documents[KEY]["owner"] != "other"


def test_a_process_number_that_came_again_is_another_job(held: tuple[JobsIndex, Shelf]) -> None:
    jobs, _ = held
    put(jobs, **{**mine(), "started": "long ago"})
    with locked(jobs, "mugs", "rebuild", dead_seconds=1000):
        pass


def test_a_job_elsewhere_that_has_stopped_beating_is_taken_over(held: tuple[JobsIndex, Shelf]) -> None:
    jobs, connection = held
    put(jobs, machine="elsewhere", pid=1, started="1")
    began = time.monotonic()
    with locked(jobs, "mugs", "rebuild", dead_seconds=0.3):
        assert connection.indexes[JOBS_INDEX].documents[KEY]["owner"] != "other"
    assert time.monotonic() - began > 0.3


def test_a_job_elsewhere_that_beats_is_at_work(held: tuple[JobsIndex, Shelf]) -> None:
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
            locked(jobs, "mugs", "rebuild", dead_seconds=5).__enter__()
    finally:
        ended.set()
        thread.join()


def test_one_that_waits_gets_the_lock_next(held: tuple[JobsIndex, Shelf]) -> None:
    jobs, _ = held
    order = []

    def second() -> None:
        with locked(jobs, "mugs", "writing", wait=True):
            order.append("second")

    with locked(jobs, "mugs", "writing", wait=True):
        thread = threading.Thread(target=second)
        thread.start()
        time.sleep(0.2)
        order.append("first")
    thread.join()
    assert order == ["first", "second"]


def test_a_job_that_was_taken_for_dead_is_told(held: tuple[JobsIndex, Shelf]) -> None:
    jobs, connection = held
    with locked(jobs, "mugs", "rebuild", dead_seconds=0.15) as lock:
        before = jobs.get(KEY)
        assert before is not None
        while not jobs.put(KEY, {**before.source, "owner": "other"}, before):
            before = jobs.get(KEY)
            assert before is not None
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            if lock.lost:
                break
            time.sleep(0.01)
        with pytest.raises(IndexingError, match="another job has taken over"):
            lock.check()
    assert connection.indexes[JOBS_INDEX].documents[KEY]["owner"] == "other"


def test_it_lives_through_a_cluster_that_is_away(held: tuple[JobsIndex, Shelf]) -> None:
    jobs, connection = held
    with locked(jobs, "mugs", "rebuild", dead_seconds=0.06) as lock:
        connection.fails.append(("_doc", 5))
        time.sleep(0.4)
        assert connection.fails == [("_doc", 0)]
        lock.check()
    assert connection.indexes[JOBS_INDEX].documents == {}
