"""Write the log without ever holding up a request: whoever reads it may be slow, or not read at all."""

import logging
import os
import queue
import threading
import time

_MOST_LINES = 10_000
"""Lines that wait to be written, some 3 MB; more are dropped."""

_FLUSH_SECONDS = 1.0
_LOOK_SECONDS = 0.01


class LogWriter(logging.Handler):
    """Writes to a file descriptor in a thread of its own, one in each process.

    A line that finds `most_lines` waiting is dropped. How many were is logged once there is room again.
    """

    def __init__(self, descriptor: int, most_lines: int = _MOST_LINES) -> None:
        super().__init__()
        self._descriptor, self._most_lines = descriptor, most_lines
        self._process = 0
        self._dropped = 0
        self._lines: queue.Queue[str] = queue.Queue()

    def emit(self, record: logging.LogRecord) -> None:
        """Have a record written, or drop it."""
        if self._process != os.getpid():  # threads don't survive a fork
            self._process, self._lines = os.getpid(), queue.Queue(self._most_lines)
            threading.Thread(target=self._write, args=(self._lines,), name="attune-log", daemon=True).start()
        try:
            if self._dropped:
                self._lines.put_nowait(self.format(_tell_dropped(self._dropped)))
                self._dropped = 0
            self._lines.put_nowait(self.format(record))
        except queue.Full:
            self._dropped += 1
        except Exception:  # noqa: BLE001
            self.handleError(record)

    def flush(self) -> None:
        """Wait until all lines are written, for a second at most."""
        end = time.monotonic() + _FLUSH_SECONDS
        while self._process == os.getpid() and self._lines.unfinished_tasks and time.monotonic() < end:
            time.sleep(_LOOK_SECONDS)

    def _write(self, lines: "queue.Queue[str]") -> None:
        while True:
            rest = f"{lines.get()}\n".encode("utf-8", "backslashreplace")
            try:
                while rest:
                    rest = rest[os.write(self._descriptor, rest) :]
            except OSError:  # nobody reads it any more
                pass
            lines.task_done()


def _tell_dropped(number: int) -> logging.LogRecord:
    message = "%d lines of the log were dropped: it was not read in time"
    return logging.LogRecord("attune.log", logging.WARNING, __file__, 0, message, (number,), None)
