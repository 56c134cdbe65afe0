"""Encode in the background: in the processors' idle time, but never much slower than other work leaves
possible.

Searches that share a machine with a rebuild go first. On Linux a thread with the policy SCHED_IDLE loses its
core to whatever else wakes up: searches straight to OpenSearch, on two cores that encoded, had a p95 1.6
times that without a rebuild; beside threads of nice 15, whose turns last some milliseconds, 1.8 to 2.1 times.
But other work that keeps the cores busy leaves such a thread nothing: 15 products a second where 446 are
possible. So the processor time that idle threads get is measured, and where it is less than a third of what
they could use, encoding competes as a batch job for a while.
"""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from indexer.store.encoder import ProductEncoder
from mappings.types import Product
from reranker.types import EncodedProduct

LEAST_SHARE = 1 / 3
"""Share of the usable processor time below which encoding is held back too much."""

_CHUNK_PER_THREAD = 16
"""Products of a chunk, for each thread: about 0.1 s of work. The priority is chosen for each chunk."""

_IDLE_CHUNK_PER_THREAD = 4
"""The same in idle time, where a chunk that other work overtakes takes 300 times as long: some seconds."""

_REST_SECONDS = 10.0
"""Time as a batch job before idle time is measured again."""

_PROBE_SECONDS = 0.25

_IDLE_NICE = 15
"""Niceness in place of SCHED_IDLE, where there is no such policy."""

_BATCH_NICE = 4
"""Niceness of the batch job: beside two busy processes on two cores 110 products a second, and a p95 of
searches 1.5 times that without a rebuild. At niceness 0 they are 145 and 2.1 times, at 7 they are 62 and 1.3.
"""


@dataclass(frozen=True, slots=True)
class EncodingSpeed:
    """How encoding was held back: `share` of the usable processor time that it got, 0..1.

    `raised_share` is the share of the time that it spent as a batch job, 0 where idle time was enough.
    """

    share: float
    raised_share: float


def measure_idle_share() -> float:
    """Return the share of a processor, 0..1, that a process gets now in idle time.

    It is near 1 on a machine at rest, and near 0 where other work keeps all cores busy.
    """
    before, began = os.times().children_user, time.perf_counter()
    with subprocess.Popen([sys.executable, "-I", "-S", "-c", "while True: pass"]) as spinner:
        _lower_priority(True, spinner.pid)
        time.sleep(_PROBE_SECONDS)
        seconds = time.perf_counter() - began
        spinner.kill()
    return min(1.0, (os.times().children_user - before) / seconds)


class BackgroundEncoder:
    """A `ProductEncoder` that encodes in idle time, on threads whose priority it sets.

    `threads` is how many the encoder uses, 0 for all cores. `check` is called before each chunk and may
    raise. `on_change` receives a line when the priority changes. The clocks return seconds, and `probe` the
    share of a processor that idle threads get.
    """

    def __init__(
        self,
        encoder: ProductEncoder,
        threads: int = 0,
        check: Callable[[], None] = lambda: None,
        on_change: Callable[[str], None] = lambda _: None,
        clock: Callable[[], float] = time.perf_counter,
        cpu_clock: Callable[[], float] = time.process_time,
        probe: Callable[[], float] = measure_idle_share,
    ) -> None:
        self._encoder = encoder
        self._threads = min(threads or usable_cores(), usable_cores())
        self._check = check
        self._on_change = on_change
        self._clock = clock
        self._cpu_clock = cpu_clock
        self._probe = probe
        self._idle = True
        self._measured_at: float | None = None
        self._seconds = self._raised_seconds = self._cpu_seconds = 0.0

    @property
    def version(self) -> str:
        """The version of the encoder."""
        return self._encoder.version

    @property
    def dimension(self) -> int:
        """The number of components of a product's vector."""
        return self._encoder.dimension

    @property
    def speed(self) -> EncodingSpeed:
        """How encoding was held back so far."""
        seconds = max(self._seconds, 1e-9)
        share = min(1.0, self._cpu_seconds / seconds / self._threads) if self._seconds else 1.0
        return EncodingSpeed(round(share, 3), round(self._raised_seconds / seconds, 3))

    def encode_products(self, products: Sequence[Product]) -> list[EncodedProduct]:
        """Encode products, in the order given, each chunk at the priority that the last ones call for."""
        encoded: list[EncodedProduct] = []
        while len(encoded) < len(products):
            self._check()
            self._probe_where_due()
            size = (_IDLE_CHUNK_PER_THREAD if self._idle else _CHUNK_PER_THREAD) * self._threads
            encoded += self._encode_chunk(products[len(encoded) : len(encoded) + size])
        return encoded

    def _probe_where_due(self) -> None:
        """Measure idle time before the first chunk, and as a batch job now and then.

        By a process that does nothing else: a product that is tried in idle time hangs where there is none,
        and so does loading the model.
        """
        now = self._clock()
        if self._measured_at is None or (not self._idle and now - self._measured_at >= _REST_SECONDS):
            self._judge(self._probe())
            self._measured_at = now

    def _encode_chunk(self, chunk: Sequence[Product]) -> list[EncodedProduct]:
        began, cpu_began = self._clock(), self._cpu_clock()
        encoded = _run_in_thread(lambda: self._encoder.encode_products(chunk), self._idle)
        seconds, cpu_seconds = self._clock() - began, self._cpu_clock() - cpu_began
        self._seconds += seconds
        self._cpu_seconds += cpu_seconds
        self._raised_seconds += 0.0 if self._idle else seconds
        if self._idle:
            # A chunk of few products can't use all threads.
            usable = seconds * min(self._threads, len(chunk))
            self._judge(cpu_seconds / max(usable, 1e-9))
        return encoded

    def _judge(self, share: float) -> None:
        """Choose the priority of the next chunks by the share of processor time that idle time gives."""
        idle = share >= LEAST_SHARE
        if idle and not self._idle:
            self._on_change("the processors have idle time again: encoding uses that")
        elif self._idle and not idle:
            self._on_change("other work keeps the processors busy: encoding takes a share of its own")
            self._measured_at = self._clock()
        self._idle = idle


def usable_cores() -> int:
    """Return how many cores this process may use, by its affinity and its container's limit."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    with suppress(OSError, ValueError):
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text(encoding="ascii").split()
        cores = min(cores, max(1, round(int(quota) / int(period))))
    return cores


def _run_in_thread(encode: Callable[[], list[EncodedProduct]], idle: bool) -> list[EncodedProduct]:
    """Encode in a new thread of the priority; the encoder's own threads inherit it.

    A thread can lower its priority, but without privileges never raise it again, so each chunk gets a new
    one.
    """
    results: list[list[EncodedProduct]] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            _lower_priority(idle)
            results.append(encode())
        except BaseException as error:  # noqa: BLE001  raised again in the caller
            errors.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    if errors:
        raise errors[0]
    return results[0]


def _lower_priority(idle: bool, task: int = 0) -> None:
    """Lower the priority of a thread or process as far as the system allows it; 0 is this thread."""
    niceness = 0 if idle else _BATCH_NICE
    try:
        policy = os.SCHED_IDLE if idle else os.SCHED_BATCH
        os.sched_setscheduler(task, policy, os.sched_param(0))
    except (AttributeError, OSError):  # another system, or a container that forbids it
        niceness = _IDLE_NICE if idle else _BATCH_NICE
    with suppress(AttributeError, OSError):
        who = task or threading.get_native_id()
        os.setpriority(os.PRIO_PROCESS, who, max(niceness, os.getpriority(os.PRIO_PROCESS, who)))
