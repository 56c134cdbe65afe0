"""A stand-in for OpenSearch in a process of its own, which spends next to nothing on an answer.

    /_cluster/health      answered after the seconds that its parameter `timeout` has
    /long/…?pieces=N      N pieces of 64 KiB
    /large/_search        N pieces of 64 KiB within one hit; N is the search's `size`
    /shop/_search         three products, ranked by a model of a few lines

Answers to searches are remembered by their bodies: what is measured is the sidecar.
"""

import asyncio
import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import get_context
from multiprocessing.connection import Connection
from typing import Any
from urllib.parse import parse_qs

import uvicorn
import uvloop
from cachetools import LRUCache

from plugin_api.sidecar.serving.asgi import Receive, Scope, Send
from tests.fakes.shop import Shop

PIECE = b"x" * 65_536
_SPAWN = get_context("spawn")


@contextmanager
def cheap_cluster() -> Iterator[int]:
    """Yield the port at which the stand-in listens."""
    ours, theirs = _SPAWN.Pipe()
    process = _SPAWN.Process(target=_serve, args=(theirs,), daemon=True)
    process.start()
    try:
        yield int(ours.recv())
    finally:
        process.kill()
        process.join()


def _serve(started: Connection) -> None:
    listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
    started.send(listener.getsockname()[1])
    config = uvicorn.Config(_Cluster(), lifespan="off", log_config=None, log_level="critical", ws="none")
    uvloop.run(uvicorn.Server(config).serve([listener]))


class _Cluster:
    """The ASGI application."""

    def __init__(self) -> None:
        self._shop = Shop()
        self._shop.products = {"a": 51, "b": 102, "c": 255}
        self._shop.near = {"c": 255}
        self._answers: LRUCache[bytes, bytes] = LRUCache(1000)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = await _receive_whole(receive)
        path, parameters = scope["path"], parse_qs(scope["query_string"].decode())
        if path.startswith("/long"):
            await _send(send, [PIECE] * int(parameters["pieces"][0]))
            return
        if path.startswith("/large"):
            pieces = max(map(int, re.findall(rb'"size":\s*(\d+)', body)), default=0)
            await _send(send, [b'{"took":1,"hits":{"hits":[]},"long":"', *[PIECE] * pieces, b'"}'])
            return
        if "timeout" in parameters:
            await asyncio.sleep(float(parameters["timeout"][0].rstrip("s")))
        await _send(send, [self._answer(scope["method"], path, body)])

    def _answer(self, method: str, path: str, body: bytes) -> bytes:
        if path.endswith("_msearch") and body.count(b"\n") > 200:
            return b'{"took":1,"responses":[]}'
        if len(body) > 100_000:
            return b'{"took":1,"hits":{"hits":[]}}'
        key = b"%s %s\n%s" % (method.encode(), path.encode(), body)
        if key not in self._answers:
            self._shop.sent.clear()
            self._shop.requests.clear()
            self._answers[key] = self._shop.request(method, path, {}, body).body
        return self._answers[key]


async def _receive_whole(receive: Receive) -> bytes:
    parts: list[bytes] = []
    while True:
        message = await receive()
        parts.append(message.get("body", b""))
        if not message.get("more_body"):
            return b"".join(parts)


async def _send(send: Send, pieces: list[bytes]) -> None:
    length = str(sum(map(len, pieces))).encode()
    headers: list[Any] = [(b"content-type", b"application/json; charset=UTF-8"), (b"content-length", length)]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    for piece in pieces[:-1]:
        await send({"type": "http.response.body", "body": piece, "more_body": True})
    await send({"type": "http.response.body", "body": pieces[-1]})
