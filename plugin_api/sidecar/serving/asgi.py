"""ASGI's types, and the parts of a request that go on to OpenSearch."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, MutableMapping
from typing import Any, TypeVar

from plugin_api.opensearch.headers import drop_hop_headers, drop_signature
from plugin_api.search.answer import Answer, error_answer

Scope = MutableMapping[str, Any]
AsgiMessage = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[AsgiMessage]]
Send = Callable[[AsgiMessage], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]
RawHeaders = list[tuple[bytes, bytes]]

Result = TypeVar("Result")

_NOT_FORWARDED = frozenset({"host", "expect"})
"""Request headers of this connection: OpenSearch has an address of its own."""

THROUGH = "attune.through"
"""Set in the scope's state where a request goes to OpenSearch as it came."""

_KINDS = {401: "security_exception", 413: "content_too_long_exception", 503: "cluster_down_exception"}
"""OpenSearch's names for what is wrong, by status."""


class ClientGone(Exception):
    """The client has closed its connection, or broken off its request."""


def read_target(scope: Scope) -> str:
    """Return path and query string as they came, percent-encoding and all."""
    path, query = scope["raw_path"].decode("ascii"), scope["query_string"].decode("latin-1")
    return f"{path}?{query}" if query else path


def select_headers(scope: Scope) -> list[tuple[str, str]]:
    """Return the request's headers that go on to OpenSearch, in their order, names in lower case."""
    named = ((name.decode("latin-1"), value) for name, value in scope["headers"])
    came = [(name, value.decode("utf-8", "surrogateescape")) for name, value in named]
    # Clients of HTTP/1.0 can't read chunks, which compressed answers come in.
    unwanted = _NOT_FORWARDED | {"accept-encoding"} if scope["http_version"] == "1.0" else _NOT_FORWARDED
    return [pair for pair in drop_signature(drop_hop_headers(came)) if pair[0] not in unwanted]


def find_header(scope: Scope, name: bytes) -> str:
    """Return the first value of a request's header; empty where it is not there."""
    return next((value.decode("latin-1") for key, value in scope["headers"] if key == name), "")


async def respond(send: Send, answer: Answer, *more: tuple[bytes, bytes]) -> None:
    """Send an answer whose body is there."""
    assert isinstance(answer.body, bytes)
    headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in answer.headers]
    length = (b"content-length", str(len(answer.body)).encode())
    await send({"type": "http.response.start", "status": answer.status, "headers": [*headers, length, *more]})
    await send({"type": "http.response.body", "body": answer.body})


def make_refusal(status: int, reason: str) -> Answer:
    """Return an error in OpenSearch's shape about a request that was not taken up."""
    return error_answer(status, _KINDS.get(status, "illegal_argument_exception"), reason)


async def run_while_connected(work: Coroutine[Any, Any, Result], gone: Coroutine[Any, Any, None]) -> Result:
    """Do the work until `gone` ends first. Raises ClientGone then, the work cancelled."""
    task, watcher = asyncio.create_task(work), asyncio.create_task(gone)
    try:
        await asyncio.wait({task, watcher}, return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            task.cancel()
            await asyncio.wait({task})
            raise ClientGone
        return task.result()
    finally:
        task.cancel()
        watcher.cancel()


async def wait_for_disconnect(receive: Receive) -> None:
    """Wait until the client is gone. Call this once the whole request has been received."""
    while (await receive())["type"] != "http.disconnect":
        pass
