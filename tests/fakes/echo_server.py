"""A real server process, worker and all, around an application that says what reached it."""

import json
import os
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from mappings.settings import Settings

ROOT = Path(__file__).parents[2]

PROGRAM = """
import os
from mappings.settings import load_settings
from plugin_api.sidecar.server import listen, run_sidecar

settings = load_settings(None, os.environ)
listener = listen(settings.sidecar)
port = listener.getsockname()[1]

def build(stack):
    from tests.fakes.echo_app import echo_app

    return echo_app(settings.sidecar, stack)

run_sidecar(listener, settings.sidecar, build, lambda: print(port, flush=True))
"""


@dataclass(frozen=True)
class Server:
    """A serving process and where it listens."""

    process: subprocess.Popen[str]
    port: int


@contextmanager
def echo_server(settings: Settings, program: str = PROGRAM, quiet: bool = False) -> Iterator[Server]:
    """Serve the echo application, or another program's, with the settings while the block runs.

    Its log is for `communicate`, or, where it is `quiet`, for nobody.
    """
    process = subprocess.Popen(
        [sys.executable, "-c", program],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL if quiet else subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), **settings.as_environment()},
    )
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        if not line:
            raise RuntimeError(process.communicate()[1])
        yield Server(process, int(line))
    finally:
        process.terminate()
        process.communicate(timeout=60)


PROMPT_SECONDS = 15.0
"""Half of what a client may hold a connection for: who waits for such a client gets no answer within it."""


def talk(port: int, sent: bytes, seconds: float = 10.0, context: ssl.SSLContext | None = None) -> bytes:
    """Send bytes and return everything that comes until the server closes. Raises TimeoutError."""
    with connected(port, seconds, context) as sock:
        sock.sendall(sent)
        return rest_of(sock)


def in_flight(server: Server) -> float:
    """Return how many requests a sidecar answers now, this question among them, as its metrics say."""
    request = b"GET /_attune/metrics HTTP/1.1\r\nHost: shop\r\nConnection: close\r\n\r\n"
    lines = talk(server.port, request).decode().splitlines()
    return float(next(line for line in lines if line.startswith("attune_in_flight ")).split()[1])


def wait_until(is_done: Callable[[], bool], seconds: float = 20.0) -> None:
    """Wait until something is so. Raises AssertionError where it is not within the time."""
    end = time.monotonic() + seconds
    while not is_done():
        assert time.monotonic() < end
        time.sleep(0.02)


def rest_of(sock: socket.socket) -> bytes:
    """Everything that still comes."""
    return b"".join(iter(lambda: sock.recv(1 << 20), b""))


@contextmanager
def connected(
    port: int, seconds: float = 10.0, context: ssl.SSLContext | None = None
) -> Iterator[socket.socket]:
    """A connection, through TLS where a context is given."""
    with socket.create_connection(("127.0.0.1", port), timeout=seconds) as sock:
        if context is None:
            yield sock
            return
        with context.wrap_socket(sock, server_hostname="localhost") as secure:
            yield secure


def status_of(response: bytes) -> int:
    """The status in the response's first line."""
    return int(response.split(b" ", 2)[1])


def error_of(response: bytes) -> dict[str, object]:
    """The body of an error in OpenSearch's shape."""
    body = json.loads(response.partition(b"\r\n\r\n")[2])
    assert set(body) == {"error", "status"}
    assert body["error"]["root_cause"] == [{"type": body["error"]["type"], "reason": body["error"]["reason"]}]
    assert body["status"] == status_of(response)
    error: dict[str, object] = body["error"]
    return error
