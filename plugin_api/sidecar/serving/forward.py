"""Passing a request through: byte for byte, as it comes, both ways, and only while its client is there."""

import asyncio
from collections.abc import AsyncIterator

import aiohttp

from plugin_api.opensearch.session import OpenSearchSession, read_headers
from plugin_api.sidecar.serving.asgi import (
    RawHeaders,
    Receive,
    Scope,
    Send,
    read_target,
    run_while_connected,
    select_headers,
    wait_for_disconnect,
)

_PIECE_BYTES = 32_768
"""Of a long answer, so much is held for a client that reads slowly."""

_SHORT_BYTES = 65_536
"""An answer up to this length is read whole first: should it break off, its reader has had none of it."""


class RequestBody:
    """A request's body as it comes: what has been received of it already, and the rest."""

    def __init__(self, receive: Receive, start: bytes = b"", more: bool = True) -> None:
        self._receive, self._start, self._more = receive, start, more
        self._received = asyncio.Event()

    async def content(self) -> bytes | AsyncIterator[bytes] | None:
        """Return the body where all of it is there, None where there is none, else its parts."""
        if self._more and not self._start:
            message = await self._receive()
            self._start, self._more = message["body"], message["more_body"]
        if self._more:
            return self._parts()
        self._received.set()
        return self._start or None

    async def client_gone(self) -> None:
        """Wait until the client is gone, once its whole request is there."""
        await self._received.wait()
        await wait_for_disconnect(self._receive)

    async def _parts(self) -> AsyncIterator[bytes]:
        yield self._start
        while self._more:
            message = await self._receive()
            self._more = message["more_body"]
            if message["body"]:
                yield message["body"]
        self._received.set()


async def forward_request(
    session: OpenSearchSession, scope: Scope, body: RequestBody, send: Send, more: RawHeaders | None = None
) -> None:
    """Send a request on, and its answer back with `more` headers.

    Raises ClusterDown, BadRequest, ClientGone, and what receiving and sending raise.
    """
    await run_while_connected(_forward(session, scope, body, send, more or []), body.client_gone())


async def _forward(
    session: OpenSearchSession, scope: Scope, body: RequestBody, send: Send, more: RawHeaders
) -> None:
    content = await body.content()
    exchange = session.send(scope["method"], read_target(scope), select_headers(scope), content)
    async with exchange as response:
        headers = [
            (name.encode("latin-1"), value.encode("latin-1")) for name, value in read_headers(response)
        ]
        start = {"type": "http.response.start", "status": response.status, "headers": headers + more}
        length = response.content_length
        try:
            if length is not None and length <= _SHORT_BYTES:
                complete = await response.read()
                await send(start)
                await send({"type": "http.response.body", "body": complete})
                return
            await send(start)
            async for piece in response.content.iter_chunked(_PIECE_BYTES):
                await send({"type": "http.response.body", "body": piece, "more_body": True})
            await send({"type": "http.response.body", "body": b""})
        except (aiohttp.ClientError, OSError) as error:
            raise session.broken(error) from error
