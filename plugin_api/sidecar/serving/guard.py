"""What no request gets past: ambiguous framing, limits, a missing certificate, slow clients, errors."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import islice

from mappings.errors import AttuneError
from plugin_api.opensearch.headers import HOP_BY_HOP
from plugin_api.sidecar.serving.asgi import (
    Application,
    AsgiMessage,
    ClientGone,
    Receive,
    Scope,
    Send,
    find_header,
    make_refusal,
    respond,
)

_LOGGER = logging.getLogger("attune.http")

_TARGET_BYTES = 8190
"""Twice what OpenSearch takes unless configured: scroll ids are long."""

_HEADERS = 100
_HEADER_BYTES = 16_384
"""Of one header: tokens and Kerberos tickets are long; OpenSearch takes as much of all together."""

_WITHOUT_CERTIFICATE = ("/_attune/health", "/_attune/ready")
"""What answers a client without a certificate where one is asked for: orchestrators' probes have none."""

PATIENCE_SECONDS = 30.0
"""How long a client may keep the sidecar waiting, all in all, beyond what its bytes have earned."""

_BYTES_A_SECOND = 1024
"""Bytes that earn a client another second: who sends or takes fewer for long is cut off."""

_PIECE_BYTES = 65_536

_SLOW_READERS = 100
"""Most clients that may let the sidecar wait until they take more of an answer: each holds memory."""

_SLOW_SECONDS = 1.0
"""For which a client may let it wait even where there are more."""

_OF_THE_CONNECTION = frozenset(name.encode() for name in (*HOP_BY_HOP, "content-length", "expect", "host"))
_CLOSE = (b"connection", b"close")


class SlowClient(Exception):
    """A client sends or takes its bytes too slowly."""


class Guard:
    """Around the whole application. `certified` asks for client certificates."""

    def __init__(self, application: Application, certified: bool, patience: float = PATIENCE_SECONDS) -> None:
        self._application, self._certified, self._patience = application, certified, patience
        self._readers = SlowReaders()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Have a request answered, or refuse it. Nothing is raised."""
        refused = self._refused(scope)
        if refused:
            _LOGGER.warning("refused a request with %s: %s", *refused)
            await respond(send, make_refusal(*refused), _CLOSE)
            return
        client = _Client(receive, send, self._patience, self._readers)
        try:
            await self._application(scope, client.receive, client.send)
        except ClientGone:
            _LOGGER.debug("a client is gone")
        except SlowClient as slow:
            await client.refuse(408, str(slow))
        except AttuneError as error:
            await client.refuse(503, str(error))
        except Exception as error:
            _LOGGER.error("a request failed", exc_info=error)
            await client.refuse(500, "the sidecar failed to answer; its log has the place")

    def _refused(self, scope: Scope) -> tuple[int, str] | None:
        """Why a request is not taken up: status and reason, which quotes nothing of it."""
        headers = scope["headers"]
        names = [name for name, _ in headers]
        codings = [value.lower() for name, value in headers if name == b"transfer-encoding"]
        if len(scope["raw_path"]) + len(scope["query_string"]) > _TARGET_BYTES:
            return 414, "the request line is too long"
        if len(headers) > _HEADERS or any(len(value) > _HEADER_BYTES for _, value in headers):
            return 431, "the request has too many headers, or one is too long"
        if any(b"_" in name and name.replace(b"_", b"-") in _OF_THE_CONNECTION for name in names):
            return 400, "a header of the connection is written with an underscore"
        if names.count(b"host") > 1 or names.count(b"content-length") > 1:
            return 400, "a header contradicts another"
        if codings and (
            codings != [b"chunked"] or b"content-length" in names or scope["http_version"] != "1.1"
        ):
            return 400, "the only transfer encoding known here is chunked, without a length, in HTTP/1.1"
        if find_header(scope, b"expect").lower() not in ("", "100-continue"):
            return 417, "the only expectation that can be met is 100-continue"
        certificate = scope.get("extensions", {}).get("tls", {}).get("client_cert_name")
        if self._certified and not certificate and scope["raw_path"].decode() not in _WITHOUT_CERTIFICATE:
            return 401, "a client certificate is needed (sidecar.client_ca)"
        return None


class _Client:
    """ASGI's receive and send for one request, within the client's time."""

    def __init__(self, receive: Receive, send: Send, patience: float, readers: "SlowReaders") -> None:
        self._receive, self._send, self._patience, self._readers = receive, send, patience, readers
        self._seconds, self._more = patience, True
        self._started = False

    async def receive(self) -> AsgiMessage:
        """Receive the next part of the body, in time; after the last, wait for the client to go.

        Raises ClientGone where the body breaks off, SlowClient.
        """
        if not self._more:
            return await self._receive()
        began = time.monotonic()
        try:
            async with asyncio.timeout(self._seconds):
                message = await self._receive()
        except TimeoutError as error:
            raise SlowClient("the request's body came too slowly") from error
        if message["type"] == "http.disconnect":
            raise ClientGone
        self._account(began, len(message["body"]))
        self._more = message["more_body"]
        return message

    async def send(self, message: AsgiMessage) -> None:
        """Send, in pieces that wait for the client to take those before. Raises SlowClient."""
        self._started = True
        body = message.get("body", b"")
        if len(body) <= _PIECE_BYTES:
            await self._send_in_time(message, len(body))
            return
        view, more = memoryview(body), message.get("more_body", False)
        for start in range(0, len(body), _PIECE_BYTES):
            piece, last = bytes(view[start : start + _PIECE_BYTES]), start + _PIECE_BYTES >= len(body)
            part = {"type": "http.response.body", "body": piece, "more_body": more or not last}
            await self._send_in_time(part, len(piece))

    async def refuse(self, status: int, reason: str) -> None:
        """Send an error; where an answer is on its way, leave that cut short, which ends the connection."""
        if self._started:
            _LOGGER.warning("an answer was cut short: %s", reason)
            return
        _LOGGER.warning("refused a request with %s: %s", status, reason)
        await respond(self._send, make_refusal(status, reason), _CLOSE)

    async def _send_in_time(self, message: AsgiMessage, size: int) -> None:
        began = time.monotonic()
        try:
            async with asyncio.timeout(self._seconds) as limit, self._readers.wait(limit):
                await self._send(message)
        except TimeoutError as error:
            raise SlowClient("the answer was read too slowly") from error
        self._account(began, size)

    def _account(self, began: float, moved: int) -> None:
        waited = time.monotonic() - began
        self._seconds = min(self._patience, self._seconds - waited + moved / _BYTES_A_SECOND)


class SlowReaders:
    """Clients for which an answer waits: where there are too many, those that began first are cut off."""

    def __init__(self, limit: int = _SLOW_READERS, seconds: float = _SLOW_SECONDS) -> None:
        self._limit, self._seconds = limit, seconds
        self._waiting: dict[asyncio.Timeout, float] = {}

    @asynccontextmanager
    async def wait(self, limit: asyncio.Timeout) -> AsyncIterator[None]:
        """Count a client while the block runs, which may be ended through its time limit."""
        now = asyncio.get_running_loop().time()
        for longest, began in islice(self._waiting.items(), max(0, len(self._waiting) - self._limit + 1)):
            if began < now - self._seconds and not longest.expired():
                longest.reschedule(now)
        self._waiting[limit] = now
        try:
            yield
        finally:
            del self._waiting[limit]
