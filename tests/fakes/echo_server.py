"""A real server process, worker and all, around an application that says what reached it."""

import json
import os
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from mappings.settings import Settings

ROOT = Path(__file__).parents[2]

PROGRAM = """
import os, time
from flask import Flask, Response, jsonify, request
from mappings.settings import load_settings
from plugin_api.sidecar.api_keys import require_key
from plugin_api.sidecar.server import listen, serve
from plugin_api.sidecar.telemetry.tracing import Tracing
from werkzeug.exceptions import HTTPException

sidecar = load_settings(None, os.environ).sidecar
listener = listen(sidecar)
port = listener.getsockname()[1]

def build():
    from plugin_api.sidecar.telemetry.metrics import Metrics
    from plugin_api.sidecar.telemetry.middleware import Observer
    from plugin_api.search.reasons import RerankStatus
    from plugin_api.search.report import RerankReport, StageTimes

    app = Flask("echo")
    tracing = Tracing(sidecar.tracing_endpoint) if sidecar.tracing_endpoint else None
    observer = Observer(Metrics(["v1"]), tracing)
    require_key(app, sidecar.api_keys, "echo")

    @app.route("/<path:path>", methods=["GET", "POST", "PUT", "HEAD", "OPTIONS", "DELETE"])
    def echo(path):
        if path == "big":
            return Response((b"x" * 65536 for _ in range(int(request.args["blocks"]))))
        if path == "whole":
            return b"y" * int(request.args["size"])
        if path == "searched":
            took = StageTimes(1.0, 5.0, 2.0, 3.0)
            observer.searched(RerankReport(RerankStatus.RERANKED, "v1", window=100, took_ms=took), 0.012)
        if path == "unread":
            return "not read"
        if path == "count":
            total = 0
            while piece := request.stream.read(65536):
                total += len(piece)
            return str(total)
        if path == "crash":
            raise SystemError("secret in a message")
        body = request.get_data()
        return jsonify(
            method=request.method, uri=request.environ["RAW_URI"], body=body.decode("latin-1"),
            headers=dict(request.headers), scheme=request.scheme, pid=os.getpid(),
        )

    @app.errorhandler(HTTPException)
    def refused(error):
        cause = {"type": "status_exception", "reason": error.description}
        return {"error": {"root_cause": [cause], **cause}, "status": error.code}, error.code

    observer.watch(app, "echo", int)
    return app

serve(listener, sidecar, build, lambda: print(port, flush=True))
"""


@dataclass(frozen=True)
class Server:
    """A serving process and where it listens."""

    process: subprocess.Popen[str]
    port: int


@contextmanager
def echo_server(settings: Settings, program: str = PROGRAM) -> Iterator[Server]:
    """Serve the echo application, or another program's, with the settings while the block runs."""
    process = subprocess.Popen(
        [sys.executable, "-c", program],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
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


def talk(port: int, sent: bytes, seconds: float = 10.0, context: ssl.SSLContext | None = None) -> bytes:
    """Send bytes and return everything that comes until the server closes. Raises TimeoutError."""
    with connected(port, seconds, context) as sock:
        sock.sendall(sent)
        return rest_of(sock)


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
