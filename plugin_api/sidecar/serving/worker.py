"""One worker process: uvicorn around the sidecar, from its start to its end."""

import asyncio
import logging
import os
import resource
import signal
import socket
import sys
import traceback
from collections.abc import Callable
from contextlib import AsyncExitStack
from multiprocessing import parent_process
from typing import Any

import uvicorn
import uvloop

from mappings.errors import AttuneError
from mappings.settings import SidecarSettings
from plugin_api.opensearch.tls import create_server_context
from plugin_api.sidecar.serving.asgi import Application
from plugin_api.sidecar.serving.guard import Guard
from plugin_api.sidecar.serving.protocol import ClientProtocol

_IDLE_SECONDS = 75
"""Longer than load balancers keep idle connections (60 s), so that they, not the sidecar, close them."""

GRACEFUL_SECONDS = 30
"""For requests under way when the worker is told to end."""

HANDSHAKE_SECONDS = 10.0
"""For a client to agree on TLS. By default it has 60, and its connection holds some 50 kB so long."""

_MOST_FILES = 6000
"""Open files, connections among them, of a worker. A TLS handshake that a client leaves open holds 50 kB, and
is no connection yet that could give way. Beyond, new connections are closed at once.
"""

_SWITCH_SECONDS = 0.0005
"""For which a thread goes on while others wait for the interpreter; Python's own is 5 ms. A search waits for
it after each answer of OpenSearch's, behind every thread that reads a large request.
"""

START_FAILED = 3
"""Exit status of a worker that could not start: another would fail in the same way."""

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT)

Build = Callable[[AsyncExitStack], Application]
"""Makes the application, on the worker's event loop. What the stack is given is closed at the end."""


def run_worker(
    listener: socket.socket, settings: SidecarSettings, build: Build, started: Callable[[], None]
) -> None:
    """Serve until a signal or the parent's end; call `started`, in a thread, once requests are taken.

    The process ends with START_FAILED where `build` raises.
    """
    sys.setswitchinterval(_SWITCH_SECONDS)
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (_MOST_FILES if most < 0 else min(_MOST_FILES, most), most))
    signal.set_wakeup_fd(-1)
    for number in STOP_SIGNALS:
        signal.signal(number, lambda *_: os._exit(0))
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, STOP_SIGNALS)
    with asyncio.Runner(loop_factory=_Loop) as runner:
        status = runner.run(_serve(listener, settings, build, started))
        for handler in logging.getLogger().handlers:
            handler.flush()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)  # threads that still wait for OpenSearch would hold the process up


class _Loop(uvloop.Loop):
    """An event loop whose servers give TLS handshakes little time: uvicorn has no setting for that."""

    async def create_server(self, *args: Any, **options: Any) -> asyncio.AbstractServer:  # type: ignore[override]
        """See asyncio."""
        if options.get("ssl") is not None:
            options.setdefault("ssl_handshake_timeout", HANDSHAKE_SECONDS)
        return await super().create_server(*args, **options)


async def _serve(
    listener: socket.socket, settings: SidecarSettings, build: Build, started: Callable[[], None]
) -> int:
    async with AsyncExitStack() as stack:
        try:
            application = build(stack)
        except AttuneError as error:
            sys.stderr.write(f"attune: {error}\n")
            return START_FAILED
        except Exception:  # noqa: BLE001
            traceback.print_exc()
            return START_FAILED
        await _run(uvicorn.Server(_config(settings, application)), listener, started)
    return 0


async def _run(server: uvicorn.Server, listener: socket.socket, started: Callable[[], None]) -> None:
    for number in STOP_SIGNALS:
        signal.signal(number, lambda *_: setattr(server, "should_exit", True))
    parent = parent_process()
    if parent is not None:
        loop = asyncio.get_running_loop()

        def orphaned() -> None:
            loop.remove_reader(parent.sentinel)
            server.should_exit = True

        loop.add_reader(parent.sentinel, orphaned)
    serving = asyncio.create_task(server.serve([listener]))
    while not server.started and not serving.done():
        await asyncio.sleep(0.01)
    if server.started:
        await asyncio.to_thread(started)
    await serving


def _config(settings: SidecarSettings, application: Application) -> uvicorn.Config:
    logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)  # the guard tells of errors
    secure = bool(settings.tls_certificate)
    return uvicorn.Config(
        Guard(application, certified=secure and bool(settings.client_ca)),
        http=ClientProtocol,
        ws="none",
        lifespan="off",
        interface="asgi3",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        date_header=False,
        backlog=1024,
        timeout_keep_alive=_IDLE_SECONDS,
        timeout_graceful_shutdown=GRACEFUL_SECONDS,
        ssl_context_factory=(lambda *_: create_server_context(settings)) if secure else None,
    )
