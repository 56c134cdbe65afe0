import subprocess
import sys
import threading
from pathlib import Path

import pytest

from indexer.store.worker_thread import WorkerThread

ROOT = Path(__file__).parents[3]

INTERRUPTED = """
import time
from indexer.store.worker_thread import WorkerThread

def run():
    while not thread.wait(0.01):
        pass
    print("ended")

thread = WorkerThread(run)
thread.start()
raise KeyboardInterrupt
"""


def test_a_thread_that_nobody_closed_ends_before_the_interpreter_does() -> None:
    done = subprocess.run(
        [sys.executable, "-c", INTERRUPTED], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stdout == "ended\n"
    assert "KeyboardInterrupt" in done.stderr


def test_an_interrupt_while_a_thread_starts_ends_the_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    ended = threading.Event()

    def run() -> None:
        while not thread.wait(0.01):
            pass
        ended.set()

    thread = WorkerThread(run)
    start = threading.Thread.start

    def interrupted_start(self: threading.Thread) -> None:
        start(self)
        raise KeyboardInterrupt

    monkeypatch.setattr(threading.Thread, "start", interrupted_start)
    with pytest.raises(KeyboardInterrupt):
        thread.start()
    assert ended.wait(60)
    thread.close()
