"""Worker processes: as many as are wanted, those that die started again, all of them ended together."""

import multiprocessing
import os
import signal
import socket
import time
from collections.abc import Callable
from multiprocessing import connection
from multiprocessing.context import ForkProcess

from plugin_api.sidecar.serving.worker import GRACEFUL_SECONDS, START_FAILED, STOP_SIGNALS

_KILL_SECONDS = GRACEFUL_SECONDS + 5.0
"""After which a worker that was told to end is killed."""

_PAUSE_SECONDS = 1.0
"""At least between the starts of workers that die at once."""

Work = Callable[[Callable[[], None]], None]
"""What a worker does; it calls its argument once requests are taken."""


class Workers:
    """Keeps `count` processes at `work`.

    The processes are forks: all that `work` needs is there, and what it imports is its own.
    """

    def __init__(self, count: int, work: Work, ended: Callable[[int], None]) -> None:
        """`ended` is called with the id of each process that has ended."""
        self._count, self._work, self._ended = count, work, ended
        self._context = multiprocessing.get_context("fork")
        self._processes: dict[int, ForkProcess] = {}
        self._ending: set[int] = set()
        self._successors: dict[int, int] = {}
        """Processes that are starting, and those whose places they will take."""
        self._started, self._tell_started = self._context.Pipe(duplex=False)
        self._signals, self._wake = socket.socketpair()
        self._last_start = 0.0

    def run(self) -> int:
        """Run until a signal ends it; return the exit status, which is 1 where the workers can't start.

        SIGHUP replaces all workers: each goes on until another has taken its place.
        """
        self._wake.setblocking(False)
        for number in (*STOP_SIGNALS, signal.SIGHUP):
            signal.signal(number, lambda *_: None)
        signal.set_wakeup_fd(self._wake.fileno())
        for _ in range(self._count):
            self._start()
        while True:
            sentinels = [process.sentinel for process in self._processes.values()]
            ready = connection.wait([self._signals, self._started, *sentinels])
            if self._started in ready:
                self._retire(self._successors.pop(self._started.recv(), 0))
            if not self._replace_dead():
                self._stop()
                return 1
            received = set(self._signals.recv(4096)) if self._signals in ready else set()
            if received.intersection(STOP_SIGNALS):
                self._stop()
                return 0
            if signal.SIGHUP in received:
                for pid in set(self._processes) - self._ending - set(self._successors):
                    self._successors[self._start()] = pid

    def _start(self) -> int:
        """Start a process; return its id."""
        self._last_start = time.monotonic()
        process = self._context.Process(target=self._run)
        # Signals wait until the new process has handlers of its own: a stop at its start is not lost.
        signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
        process.start()
        signal.pthread_sigmask(signal.SIG_UNBLOCK, STOP_SIGNALS)
        assert process.pid is not None
        self._processes[process.pid] = process
        return process.pid

    def _run(self) -> None:
        self._work(lambda: self._tell_started.send(os.getpid()))

    def _retire(self, pid: int) -> None:
        """Have a process end once its requests are answered; 0 is none."""
        if pid in self._processes:
            self._ending.add(pid)
            self._processes[pid].terminate()

    def _replace_dead(self) -> bool:
        """Start a process for each that has died; return False where processes can't start at all."""
        for pid, process in list(self._processes.items()):
            if process.is_alive():
                continue
            del self._processes[pid]
            self._ended(pid)
            if pid in self._ending or self._successors.pop(pid, None) is not None:
                self._ending.discard(pid)
            elif process.exitcode == START_FAILED:
                return False
            else:
                time.sleep(max(0.0, self._last_start + _PAUSE_SECONDS - time.monotonic()))
                self._start()
        return True

    def _stop(self) -> None:
        """End all processes, those that don't end in time by force."""
        for process in self._processes.values():
            process.terminate()
        end = time.monotonic() + _KILL_SECONDS
        for pid, process in self._processes.items():
            process.join(max(0.0, end - time.monotonic()))
            process.kill()
            process.join()
            self._ended(pid)
