"""Signals to a job: what ends it at once, and what ends it at the next batch."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any


@contextmanager
def terminated() -> Iterator[None]:
    """Take a SIGTERM for a Ctrl-C, so that locks are given up."""

    def interrupt(signum: int, frame: FrameType | None) -> None:  # noqa: ARG001  signal passes them
        raise KeyboardInterrupt

    with _handling(interrupt, signal.SIGTERM):
        yield


@contextmanager
def stopping(stop: threading.Event) -> Iterator[None]:
    """End at the next batch on the first SIGTERM or Ctrl-C, at once on the second."""

    def end(signum: int, frame: FrameType | None) -> None:  # noqa: ARG001  signal passes them
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()

    with _handling(end, signal.SIGTERM, signal.SIGINT):
        yield


@contextmanager
def _handling(handler: Any, *signals: signal.Signals) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():  # the only one that gets signals
        yield
        return
    before = {of: signal.signal(of, handler) for of in signals}
    try:
        yield
    finally:
        for of, old in before.items():
            signal.signal(of, old)
