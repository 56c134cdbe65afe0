"""Signals to a job: SIGTERM and Ctrl-C set events, which the job checks between its steps."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from queue import SimpleQueue
from types import FrameType


@contextmanager
def stop_on_signals(*stages: threading.Event) -> Iterator[None]:
    """Set the first event at the first SIGTERM or Ctrl-C, the second at the second, and so on.

    A signal after the last stage has its usual effect. An exception raised by the handler could reach the
    main thread anywhere, as while it acquires a lock or starts a thread; an event can't.
    """
    if threading.current_thread() is not threading.main_thread():  # only the main thread receives signals
        yield
        return
    received: SimpleQueue[threading.Event | None] = SimpleQueue()
    remaining = list(stages)

    def handle(signum: int, frame: FrameType | None) -> None:  # noqa: ARG001  signal passes both
        if remaining:
            # `Event.set` here could deadlock: the main thread may hold the event's lock. `put` is reentrant.
            received.put(remaining.pop(0))
        else:
            signal.signal(signum, before[signal.Signals(signum)])
            os.kill(os.getpid(), signum)

    def set_events() -> None:
        while event := received.get():
            event.set()

    thread = threading.Thread(target=set_events, daemon=True)
    thread.start()
    before = {signum: signal.getsignal(signum) for signum in (signal.SIGTERM, signal.SIGINT)}
    try:
        for signum in before:
            signal.signal(signum, handle)
        yield
    finally:
        for signum, handler in before.items():
            signal.signal(signum, handler)
        received.put(None)
        thread.join()
