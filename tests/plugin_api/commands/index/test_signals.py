import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from plugin_api.commands.index.signals import stop_on_signals

ROOT = Path(__file__).parents[4]

THREE_SIGNALS = """
import os, signal, threading
from plugin_api.commands.index.signals import stop_on_signals

first, second = threading.Event(), threading.Event()
with stop_on_signals(first, second):
    for event in (first, second):
        os.kill(os.getpid(), signal.SIGTERM)
        event.wait()
    print("both set", flush=True)
    os.kill(os.getpid(), signal.SIGTERM)
    threading.Event().wait(60)
"""


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_each_signal_sets_the_next_event(signum: signal.Signals) -> None:
    first, second = threading.Event(), threading.Event()
    before = signal.getsignal(signum)
    with stop_on_signals(first, second):
        os.kill(os.getpid(), signum)
        assert first.wait(60)
        assert not second.is_set()
        os.kill(os.getpid(), signum)
        assert second.wait(60)
    assert signal.getsignal(signum) == before


def test_a_signal_after_the_last_event_has_its_usual_effect() -> None:
    done = subprocess.run(
        [sys.executable, "-c", THREE_SIGNALS],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout) == (-signal.SIGTERM, "both set\n")


def test_a_signal_that_comes_while_an_event_is_waited_for_does_not_lock_up() -> None:
    event = threading.Event()
    with stop_on_signals(event):
        timer = threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGTERM))
        timer.start()
        while not event.wait(1e-6):
            pass
        timer.join()


def test_threads_other_than_the_main_one_leave_signals_alone() -> None:
    before = signal.getsignal(signal.SIGTERM)
    handlers = []

    def run() -> None:
        with stop_on_signals(threading.Event()):
            handlers.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert handlers == [before]
