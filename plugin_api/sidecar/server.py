"""Serving the sidecar with gunicorn: worker processes, each with threads and a model of its own."""

import ctypes
import logging
import os
import resource
import shutil
import signal
import socket
import tempfile
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path

from flask import Flask
from gunicorn.app.base import BaseApplication
from gunicorn.arbiter import Arbiter
from gunicorn.errors import AppImportError, HaltServer

from mappings.errors import AttuneError
from mappings.settings import SidecarSettings
from plugin_api.opensearch.tls import server_context
from plugin_api.sidecar.gunicorn_worker.worker import STOPPING, PatientWorker
from plugin_api.sidecar.telemetry.access_log import configure

MEMORY = Path("/dev/shm")
METRICS_FOLDER = "PROMETHEUS_MULTIPROC_DIR"
"""The variable by which prometheus-client, imported later, learns where workers share their numbers."""

KEEP_ALIVE_SECONDS = 75
"""Longer than load balancers keep idle connections (60 s), so that they, not the sidecar, close them."""

REQUEST_LINE_BYTES = 8190
"""The most that gunicorn takes, and twice what OpenSearch takes unless configured: scroll ids are long."""

OPEN_FILES = 4096
M_ARENA_MAX = -8
"""An option of glibc's mallopt."""

HEADERS = 100
HEADER_BYTES = 16_384
"""Of one header: tokens and Kerberos tickets are long; OpenSearch takes as much of all together."""


def listen(settings: SidecarSettings) -> socket.socket:
    """Bind the sidecar's address. Raises AttuneError when it is taken or can't be had."""
    try:
        family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
        return socket.create_server((settings.host, settings.port), family=family, backlog=1024)
    except OSError as error:
        why = (error.strerror or str(error)).partition(" (")[0]
        raise AttuneError(
            f"can't listen at {settings.host}:{settings.port}: {why}; "
            "choose another with --port or sidecar.port"
        ) from error


def serve(
    listener: socket.socket, settings: SidecarSettings, build: Callable[[], Flask], ready: Callable[[], None]
) -> None:
    """Serve until a signal ends it; exit with 1 when `build` raises an AttuneError.

    Raises SettingsError, before anything is served, for a certificate that can't be used.

    `build` runs in each worker after the fork, because ONNX Runtime's threads don't survive one; `ready` once
    the first takes requests.
    """
    if settings.tls_certificate:
        server_context(settings)
    _allow_open_files()
    _hold_little_memory()
    _hold_signals_while_forking()
    # Files that change with every request; a read-only container has no other place either.
    folder = tempfile.mkdtemp(prefix="attune-metrics-", dir=_memory())
    os.environ[METRICS_FOLDER] = folder
    master = os.getpid()
    try:
        _Server(listener, settings, build, ready).run()
    finally:
        if os.getpid() == master:  # workers leave through here as well
            shutil.rmtree(folder, ignore_errors=True)


class _Server(BaseApplication):  # type: ignore[misc]  # gunicorn is untyped
    def __init__(
        self,
        listener: socket.socket,
        settings: SidecarSettings,
        build: Callable[[], Flask],
        ready: Callable[[], None],
    ) -> None:
        # gunicorn makes the socket its own and closes this number, which must not be closed a second time.
        self._address = f"fd://{listener.detach()}"
        self._sidecar, self._build, self._ready = settings, build, ready
        super().__init__()

    def run(self) -> None:
        master = os.getpid()
        try:
            super().run()
        except SystemExit as stop:
            # Workers leave through here as well, and gunicorn goes by their own codes: never touch those.
            if os.getpid() != master or not stop.code:
                raise
            raise SystemExit(1) from stop
        except HaltServer as halt:
            # A second worker failed to start while gunicorn was stopping for the first; it has said why as
            # well.
            raise SystemExit(1) from halt

    def load_config(self) -> None:
        options: dict[str, object] = {
            "bind": self._address,
            "worker_class": PatientWorker,
            "workers": self._sidecar.workers,
            "threads": self._sidecar.threads,
            "keepalive": KEEP_ALIVE_SECONDS,
            "loglevel": "warning",
            "proc_name": "attune",
            "limit_request_line": REQUEST_LINE_BYTES,
            "limit_request_fields": HEADERS,
            "limit_request_field_size": HEADER_BYTES,
            # WSGI can't tell X_Y from X-Y: what a proxy in front sets as one, callers could say as the other.
            "header_map": "refuse",
            "forwarder_headers": "",
            "secure_scheme_headers": {},
            "on_starting": lambda arbiter: self._log(arbiter.log.error_log),
            "child_exit": lambda _arbiter, worker: _forget(worker.pid),
            "post_worker_init": lambda worker: self._ready() if worker.age == 1 else None,
            "control_socket_disable": True,
            # Heartbeats are files; on a disk they can stall, and a read-only container has no other place.
            "worker_tmp_dir": _memory(),
        }
        if self._sidecar.tls_certificate:
            options |= {
                "certfile": self._sidecar.tls_certificate,
                "keyfile": self._sidecar.tls_key or None,
                "ca_certs": self._sidecar.client_ca or None,
                # Made in each worker: SIGHUP, which replaces them, takes up a renewed certificate.
                "ssl_context": lambda _config, _default: server_context(self._sidecar),
            }
        for name, value in options.items():
            if name in self.cfg.settings:  # the control socket is new in gunicorn 25
                self.cfg.set(name, value)

    def _log(self, errors: logging.Logger) -> None:
        errors.addFilter(_is_news)
        configure(self._sidecar.log_format)

    def load(self) -> Flask:
        try:
            return self._build()
        except AttuneError as error:
            # Told apart by gunicorn from a crash: it prints the line and stops instead of trying again.
            raise AppImportError(f"attune: {error}") from error


def _allow_open_files() -> None:
    """Raise the limit on open files as far as may be: connections of clients alone can be 1,000 a process."""
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


def _hold_signals_while_forking() -> None:
    """Have signals to stop wait until a new worker can take them.

    They would go to the handlers that it has from its parent and be lost: a stop while a worker starts then
    takes the whole of gunicorn's graceful_timeout.
    """
    os.register_at_fork(
        before=partial(signal.pthread_sigmask, signal.SIG_BLOCK, STOPPING),
        after_in_parent=partial(signal.pthread_sigmask, signal.SIG_UNBLOCK, STOPPING),
    )


def _memory() -> str | None:
    return str(MEMORY) if os.access(MEMORY, os.W_OK) else None


def _forget(pid: int) -> None:
    """Take a dead worker's part out of what counts the present, such as requests under way."""
    for path in Path(os.environ[METRICS_FOLDER]).glob(f"gauge_live*_{pid}.db"):
        path.unlink(missing_ok=True)


def _is_news(record: logging.LogRecord) -> bool:
    """False for what gunicorn adds when a worker has already said in one line why it can't start."""
    added = (
        f"exited with code {Arbiter.APP_LOAD_ERROR}.",
        "Shutting down: Master",
        "Reason: App failed to load.",
    )
    return not record.getMessage().endswith(added)
