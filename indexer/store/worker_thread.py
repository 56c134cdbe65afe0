"""Threads that may be inside native code when the process ends."""

import threading
from collections.abc import Callable


class WorkerThread:
    """A thread that the interpreter waits for before it exits. `run` has to return soon after `stopping`.

    Only a thread that never runs native C++ or Rust code may be a `daemon`, which is not waited for.

    Python ends daemon threads at the moment they return from native code. Inside ONNX Runtime or tokenizers
    that aborts the whole process (SIGABRT, "terminate called without an active exception"). An interrupt can
    reach the main thread anywhere, even between `start` and the `try` that would close the thread; so the
    thread also stops when the main thread has ended.
    """

    def __init__(self, run: Callable[[], None], daemon: bool = False) -> None:
        self._stop = threading.Event()
        self._thread = threading.Thread(target=run, daemon=daemon)

    @property
    def stopping(self) -> bool:
        """Whether the thread is to end."""
        return self._stop.is_set() or not threading.main_thread().is_alive()

    def start(self) -> None:
        """Start the thread. An interrupt meanwhile ends it again."""
        try:
            self._thread.start()
        except BaseException:
            self._stop.set()
            raise

    def wait(self, seconds: float) -> bool:
        """Wait in the thread; return whether it is to end."""
        return self._stop.wait(seconds) or self.stopping

    def close(self, seconds: float | None = None) -> None:
        """Tell the thread to end, and wait until it has, for at most `seconds` where given."""
        self._stop.set()
        self._thread.join(seconds)
