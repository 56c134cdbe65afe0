"""Serving the sidecar: its address, and worker processes, each with a model of its own."""

import ctypes
import multiprocessing
import os
import resource
import shutil
import socket
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from mappings.errors import AttuneError
from mappings.settings import SidecarSettings
from plugin_api.opensearch.tls import create_server_context
from plugin_api.sidecar.serving.worker import Build, run_worker
from plugin_api.sidecar.serving.workers import Workers
from plugin_api.sidecar.telemetry.access_log import configure

MEMORY = Path("/dev/shm")
METRICS_FOLDER = "PROMETHEUS_MULTIPROC_DIR"
"""The variable by which prometheus-client, imported later, learns where workers share their numbers."""

_UNSENT_BYTES = 131_072
"""Of an answer that the kernel holds although its client takes no more. By default that is 4 MB, and a few
hundred slow clients use up the memory for the connections of all others."""

OPEN_FILES = 16_384
"""Of a worker: its clients' connections, as many to OpenSearch, and handshakes that are under way."""

M_ARENA_MAX = -8
"""An option of glibc's mallopt."""


def listen(settings: SidecarSettings) -> socket.socket:
    """Bind the sidecar's address. Raises AttuneError when it is taken or can't be had."""
    try:
        family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
        listener = socket.create_server((settings.host, settings.port), family=family, backlog=1024)
    except OSError as error:
        why = (error.strerror or str(error)).partition(" (")[0]
        raise AttuneError(
            f"can't listen at {settings.host}:{settings.port}: {why}; "
            "choose another with --port or sidecar.port"
        ) from error
    if hasattr(socket, "TCP_NOTSENT_LOWAT"):  # connections have it from their listener
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, _UNSENT_BYTES)
    return listener


def run_sidecar(
    listener: socket.socket, settings: SidecarSettings, build: Build, ready: Callable[[], None]
) -> None:
    """Serve until a signal ends it; exit with 1 when `build` raises.

    Raises SettingsError, before anything is served, for a certificate that can't be used.

    `build` runs in each worker after the fork, because ONNX Runtime's threads don't survive one; `ready` once
    the first takes requests.
    """
    if settings.tls_certificate:
        create_server_context(settings)
    _allow_open_files()
    _hold_little_memory()
    configure(settings.log_format)
    # Files that change with every request; a read-only container has no other place either.
    folder = tempfile.mkdtemp(prefix="attune-metrics-", dir=_memory())
    os.environ[METRICS_FOLDER] = folder
    said = multiprocessing.get_context("fork").Semaphore(1)

    def work(started: Callable[[], None]) -> None:
        def first() -> None:
            started()
            if said.acquire(block=False):
                ready()

        run_worker(listener, settings, build, first)

    try:
        status = Workers(settings.workers, work, _forget).run()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    if status:
        raise SystemExit(status)


def _allow_open_files() -> None:
    """Raise the limit on open files as far as may be."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = OPEN_FILES if hard == resource.RLIM_INFINITY else min(OPEN_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _hold_little_memory() -> None:
    """Have all threads share two heaps, where glibc would give each of 32 one that keeps its largest use.

    Measured over 30,000 searches, many of them huge: 274 MB became 312 and stayed there, instead of 427.
    """
    with suppress(AttributeError, OSError):  # another C library
        ctypes.CDLL(None).mallopt(M_ARENA_MAX, 2)


def _memory() -> str | None:
    return str(MEMORY) if os.access(MEMORY, os.W_OK) else None


def _forget(pid: int) -> None:
    """Take a dead worker's part out of what counts the present, such as requests under way."""
    for path in Path(os.environ[METRICS_FOLDER]).glob(f"gauge_live*_{pid}.db"):
        path.unlink(missing_ok=True)
