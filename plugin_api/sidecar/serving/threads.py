"""The Flask app in a bounded number of threads, each request's body and answer whole."""

import asyncio
import gzip
import io
import sys
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote_to_bytes
from wsgiref.types import WSGIApplication

from plugin_api.opensearch.http_client import CALLER, Caller
from plugin_api.opensearch.memory_budget import MemoryAccount
from plugin_api.sidecar.passthrough import FORWARDING, UNDERSCORED, Forwarding
from plugin_api.sidecar.serving.asgi import (
    RawHeaders,
    Receive,
    Scope,
    read_target,
    wait_for_disconnect,
)

_WATCH_AFTER_SECONDS = 1.0
"""Requests that take longer are given up when their client goes."""


_COMPRESS_BYTES = 1024
_GZIP_LEVEL = 3
"""OpenSearch's own, http.compression_level."""


@dataclass(frozen=True, slots=True)
class WholeAnswer:
    """The app's answer; `body` is None where the request is to be passed through instead."""

    status: int
    headers: RawHeaders
    body: bytes | None


class FlaskThreads:
    """Runs a WSGI app in `threads` threads. Use it on one event loop.

    An answer longer than `max_bytes` is not kept: its request is to be passed through.
    """

    def __init__(self, app: WSGIApplication, threads: int, max_bytes: int) -> None:
        self._app, self._max_bytes = app, max_bytes
        self._executor = ThreadPoolExecutor(threads, "attune")

    async def answer(
        self, scope: Scope, body: bytes, receive: Receive, account: MemoryAccount
    ) -> WholeAnswer:
        """Have the app answer. What it asks of OpenSearch is given up when the client goes.

        What it reads of OpenSearch's answers is held on the account.
        """
        loop, caller, context = asyncio.get_running_loop(), Caller(account), copy_context()
        context.run(CALLER.set, caller)
        work = loop.run_in_executor(self._executor, context.run, self._call, make_environ(scope, body))
        watch: list[asyncio.Task[None]] = []
        timer = loop.call_later(
            _WATCH_AFTER_SECONDS, lambda: watch.append(loop.create_task(_leave_with(receive, caller)))
        )
        try:
            return await work
        except asyncio.CancelledError:
            caller.leave()
            raise
        finally:
            timer.cancel()
            for task in watch:
                task.cancel()

    def _call(self, environ: dict[str, Any]) -> WholeAnswer:
        started: list[Any] = []

        def start_response(status: str, headers: list[tuple[str, str]], _exc_info: Any = None) -> Any:
            started[:] = [status, headers]

        forwarding = environ[FORWARDING] = Forwarding()
        parts = self._app(environ, start_response)
        try:
            body = _joined(parts, self._max_bytes)
        finally:
            if hasattr(parts, "close"):
                parts.close()
        status, headers = started
        raw = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers]
        if forwarding.headers is not None:
            raw, body = [(name.encode(), value.encode()) for name, value in forwarding.headers], None
        elif body is not None and len(body) >= _COMPRESS_BYTES and _takes_gzip(environ):
            if not any(name == b"content-encoding" for name, _ in raw):
                body = gzip.compress(body, _GZIP_LEVEL)
                raw = [pair for pair in raw if pair[0] != b"content-length"]
                raw.append((b"content-encoding", b"gzip"))
        elif body is None:
            raw = [pair for pair in raw if pair[0].startswith(b"x-attune-")]
        return WholeAnswer(int(status[:3]), raw, body)


def make_environ(scope: Scope, body: bytes) -> dict[str, Any]:
    """Return the request as WSGI has it.

    A header whose name has an underscore is none of the HTTP_ variables, where X_Y could pass for X-Y.
    """
    server, client = scope.get("server") or ("", 0), scope.get("client") or ("", 0)
    target = read_target(scope)
    environ: dict[str, Any] = {
        "REQUEST_METHOD": scope["method"],
        "SCRIPT_NAME": "",
        "PATH_INFO": unquote_to_bytes(scope["raw_path"]).decode("latin-1"),
        "QUERY_STRING": scope["query_string"].decode("latin-1"),
        "RAW_URI": target,
        "REQUEST_URI": target,
        "SERVER_NAME": server[0],
        "SERVER_PORT": str(server[1]),
        "SERVER_PROTOCOL": f"HTTP/{scope['http_version']}",
        "REMOTE_ADDR": client[0],
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": scope["scheme"],
        "wsgi.input": io.BytesIO(body),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
        UNDERSCORED: [],
    }
    for name, value in scope["headers"]:
        if b"_" in name:
            environ[UNDERSCORED].append((name.decode("latin-1"), value.decode("latin-1")))
            continue
        key = f"HTTP_{name.decode('latin-1').upper().replace('-', '_')}"
        text = value.decode("latin-1")
        environ[key] = f"{environ[key]},{text}" if key in environ else text
    environ["CONTENT_TYPE"] = environ.pop("HTTP_CONTENT_TYPE", "")
    environ.pop("HTTP_TRANSFER_ENCODING", None)
    environ.pop("HTTP_CONTENT_LENGTH", None)
    if body:
        environ["CONTENT_LENGTH"] = str(len(body))
    return environ


def _takes_gzip(environ: dict[str, Any]) -> bool:
    """Whether the client accepts gzip (RFC 9110, 12.5.3)."""
    for coding in environ.get("HTTP_ACCEPT_ENCODING", "").lower().split(","):
        name, _, quality = coding.replace(" ", "").partition(";q=")
        if name in ("gzip", "x-gzip"):
            return quality.strip("0.") != "" or not quality
    return False


def _joined(parts: Iterable[bytes], limit: int) -> bytes | None:
    """Return the whole body, or None where it is longer than `limit`."""
    pieces, size = [], 0
    for piece in parts:
        pieces.append(piece)
        size += len(piece)
        if size > limit:
            return None
    return b"".join(pieces)


async def _leave_with(receive: Receive, caller: Caller) -> None:
    """Have the caller leave when the client does."""
    await wait_for_disconnect(receive)
    caller.leave()
