"""Requests to OpenSearch on an event loop: connections are shared, bytes stay as they are."""

import asyncio
import re
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from types import SimpleNamespace
from urllib.parse import unquote

import aiohttp
from yarl import URL

from mappings.errors import BadRequest, ClusterDown
from mappings.settings import OpenSearchSettings
from plugin_api.opensearch.client import Headers
from plugin_api.opensearch.headers import drop_hop_headers
from plugin_api.opensearch.http_client import (
    CONNECT_SECONDS,
    check_target,
    cluster_down,
    make_untrusted,
    watch_peer,
)
from plugin_api.opensearch.tls import client_context

_KEEP_ALIVE_SECONDS = 30.0
_RECEIVE_BYTES = 32_768
"""Of an answer that waits for its reader: so much of each is held, in the kernel and in the process."""

_HEAD_BYTES = 1 << 20
"""The longest header of an answer that is read. OpenSearch's warnings grow with the indexes of a search."""

SEARCH = re.compile(r"(/[^/?]+)?/_m?search(/template)?(\?|$)")
"""Targets that change nothing although they are POSTed."""

Body = bytes | AsyncIterator[bytes] | None
_Handler = Callable[[aiohttp.ClientRequest], Awaitable[aiohttp.ClientResponse]]


class BrokenConnection(Exception):
    """OpenSearch, or a load balancer before it, has closed the connection before it answered."""


class OpenSearchSession:
    """OpenSearch as one event loop reaches it. Use it on that loop alone.

    Raises SettingsError for certificates that can't be used.
    """

    def __init__(self, settings: OpenSearchSettings) -> None:
        self._settings = settings
        self._base = settings.url.rstrip("/").rpartition("@")[2]
        if "://" not in self._base:
            self._base = f"{settings.url.partition('://')[0]}://{self._base}"
        secure = settings.url.startswith("https://")
        self._context: ssl.SSLContext | bool = client_context(settings) if secure else True
        self._pool: _Pool | None = None

    @asynccontextmanager
    async def send(
        self,
        method: str,
        target: str,
        headers: Iterable[tuple[str, str]],
        body: Body,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """Send a request; the block has the answer, its body not read yet. Leaving the block ends both.

        It is sent a second time where a connection that was kept open turns out to be closed, and the
        request only reads. Raises ClusterDown, BadRequest.
        """
        check_target(target)
        again = isinstance(body, bytes | None) and only_reads(method, target)
        pool = self._pool = self._pool or _Pool(self._context)
        pool.users += 1
        try:
            url = URL(self._base + target, encoded=True)
            response = await self._response(pool, method, url, list(headers), body, again)
            try:
                yield response
            finally:
                if not response.content.at_eof():
                    response.close()
                response.release()
        finally:
            pool.users -= 1
            await pool.close_if_retired()

    async def _response(
        self, pool: "_Pool", method: str, url: URL, headers: list[tuple[str, str]], body: Body, again: bool
    ) -> aiohttp.ClientResponse:
        reuse = SimpleNamespace(reused=False)
        try:
            _check(headers)
            return await pool.session.request(
                method, url, headers=headers, data=body, trace_request_ctx=reuse, allow_redirects=False
            )
        except BrokenConnection as error:
            if again and reuse.reused:
                return await self._response(pool, method, url, headers, body, again=False)
            raise self.broken(error.__cause__ or error, pool) from error
        except (aiohttp.ClientError, OSError) as error:
            raise self.broken(error, pool) from error
        except ValueError as error:
            raise BadRequest(f"the request can't be sent on: {error}") from error

    def broken(self, error: BaseException, pool: "_Pool | None" = None) -> ClusterDown:
        """Return what to raise for an error of the connection. No other connection is trusted after it."""
        self._distrust(pool or self._pool)
        url = self._settings.url
        if isinstance(error, aiohttp.ClientConnectorCertificateError | aiohttp.ClientConnectorSSLError):
            return make_untrusted(url, error)
        connecting = isinstance(error, aiohttp.ClientConnectorError | aiohttp.ConnectionTimeoutError)
        # A client certificate is refused so.
        detail = str(error.reason or error) if isinstance(error, ssl.SSLError) else ""
        return cluster_down(url, connecting, detail)

    async def close(self) -> None:
        """Close all connections."""
        if self._pool:
            await self._pool.session.close()
            self._pool = None

    def _distrust(self, pool: "_Pool | None") -> None:
        """Use new connections from here on: where one is dead, or the network is gone, so are the others."""
        if pool is not None:
            pool.retired = True
            if self._pool is pool:
                self._pool = None
            if not pool.users:
                pool.closing = asyncio.create_task(pool.session.close())


class _Pool:
    """Connections that are used for as long as none of them fails."""

    def __init__(self, context: ssl.SSLContext | bool) -> None:
        self.users, self.retired = 0, False
        self.closing: asyncio.Task[None] | None = None
        reuse = aiohttp.TraceConfig()
        reuse.on_connection_reuseconn.append(_note_reuse)
        self.session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                ssl=context, limit=0, keepalive_timeout=_KEEP_ALIVE_SECONDS, socket_factory=_open_socket
            ),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS),
            auto_decompress=False,
            cookie_jar=aiohttp.DummyCookieJar(),
            read_bufsize=_RECEIVE_BYTES,
            max_line_size=_HEAD_BYTES,
            max_field_size=_HEAD_BYTES,
            max_headers=1000,
            middlewares=(_send_once,),
            skip_auto_headers=("accept", "accept-encoding", "content-type", "user-agent"),
            trace_configs=[reuse],
        )

    async def close_if_retired(self) -> None:
        """Close the connections once nobody uses them any more and others have taken their place."""
        if self.retired and not self.users:
            await self.session.close()


def only_reads(method: str, target: str) -> bool:
    """Whether a request may be sent twice.

    A scroll moves on with each request, and the start of one is kept by OpenSearch.
    """
    reads = method in ("GET", "HEAD") or (method == "POST" and SEARCH.match(target) is not None)
    return reads and "scroll" not in unquote(target).lower()


async def _send_once(request: aiohttp.ClientRequest, handler: _Handler) -> aiohttp.ClientResponse:
    """Raise BrokenConnection where aiohttp would send a request again: it does not know what only reads."""
    try:
        return await handler(request)
    except aiohttp.ClientConnectorError:
        raise
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
        raise BrokenConnection from error


async def _note_reuse(_session: object, context: SimpleNamespace, _params: object) -> None:
    context.trace_request_ctx.reused = True


def _open_socket(address: tuple[int, int, int, str, tuple[object, ...]]) -> socket.socket:
    sock = socket.socket(*address[:3])
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BYTES)
    watch_peer(sock)
    return sock


def read_headers(response: aiohttp.ClientResponse) -> Headers:
    """Return the end-to-end headers of an answer, names in lower case, values in Latin-1 as WSGI has them."""
    came = ((name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in response.raw_headers)
    return tuple(drop_hop_headers(came))


def _check(headers: Iterable[tuple[str, str]]) -> None:
    """Raise ValueError for headers that can't be sent byte for byte."""
    for name, value in headers:
        try:
            (name + value).encode()
        except UnicodeEncodeError as error:
            raise ValueError(f"header {name!r} is not UTF-8") from error
