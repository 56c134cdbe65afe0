"""HTTP/1.1 as uvicorn speaks it, with limits on what a client may keep waiting for."""

import asyncio
import logging
import select
from collections import deque
from heapq import nsmallest

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from plugin_api.sidecar.serving.asgi import make_refusal

_LOGGER = logging.getLogger("attune.http")

_HEAD_SECONDS = 30.0
"""For the whole of a request's line and headers, from the connection or the request's first byte."""

_LINGER_SECONDS = 30.0
"""For a client to take the end of the last answer of its connection."""

_DRAIN_SECONDS = 1.0
"""For a client to read a refusal while the rest of its request is discarded."""

_HEAD_BYTES = 65_536
"""Most that a request line and its headers may have; OpenSearch takes 4 and 16 KiB by default."""

_HEADERS = 100
"""Most headers of a request, and trailers of its body."""

_PIPELINED = 16
"""Most requests that a client may send before the first of them is answered."""

_LOOK_SECONDS = 1.0
"""Between looks whether a client is gone from whom nothing is read for now."""

_CONNECTIONS = 2000
"""Most connections of a worker. Beyond, those that have waited longest for their clients give way."""


_GONE = getattr(select, "POLLRDHUP", select.POLLHUP) | select.POLLHUP | select.POLLERR

_UNREADABLE = 400, "this is not an HTTP/1.1 request that can be read"


class ClientProtocol(HttpToolsProtocol):
    """One client's connection."""

    head_seconds = _HEAD_SECONDS
    most_connections = _CONNECTIONS

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for a request."""
        super().connection_made(transport)
        self._timer: asyncio.TimerHandle | None = None
        self._paused_timer: asyncio.TimerHandle | None = None
        self._head_bytes = 0
        self._has_progressed = self._is_refused = False
        self._unanswered: deque[RequestResponseCycle] = deque()
        self._refusal = _UNREADABLE
        self._wait_for_head()
        if len(self.connections) > self.most_connections:
            others = self.connections - {self}
            clients = [client for client in others if isinstance(client, ClientProtocol)]
            _make_room(clients, 1 + self.most_connections // 50)

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop waiting, and let all requests under way know that their client is gone."""
        self._stop_waiting()
        if self._paused_timer is not None:
            self._paused_timer.cancel()
        for cycle in self._unanswered:
            cycle.disconnected = True
            cycle.message_event.set()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take what has come, unless a request's head takes too long or is too large."""
        if self._is_refused:
            return
        if self._timer is None and (self.cycle is None or self.cycle.response_complete):
            self._wait_for_head()
        self._has_progressed = False
        try:
            super().data_received(data)
        except httptools.HttpParserError:  # pragma: no cover
            self.send_400_response("")
        self._head_bytes = 0 if self._has_progressed else self._head_bytes + len(data)
        if self._head_bytes > _HEAD_BYTES and not self._is_refused and not self.transport.is_closing():
            self._refuse(431, "the request's line and headers are too long")
        if self.flow.read_paused and self._paused_timer is None:
            self._watch_paused()

    def eof_received(self) -> None:
        """Refuse half a request; a client that has closed after a whole one is gone."""
        if self.cycle is not None and self.cycle.more_body and not self.cycle.response_started:
            self._refuse(400, "the request's body ended early")

    @property
    def waiting(self) -> bool:
        """Whether the next request's head is not there yet."""
        return self._timer is not None

    @property
    def waiting_since(self) -> float:
        """When the connection last began to wait for its client; infinite while it is answered."""
        return float("inf") if self._is_answering else self._began

    @property
    def answering_since(self) -> float:
        """When the request that is answered came; infinite while none is."""
        return self._began if self._is_answering else float("inf")

    @property
    def _is_answering(self) -> bool:
        return bool(self._unanswered) and not self._unanswered[0].more_body

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header or a trailer. Raises ValueError, which makes it a refusal, after too many."""
        if len(self.headers) >= _HEADERS:
            self._refusal = 431, "the request has too many headers"
            raise ValueError
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Hand the request to the application. Raises ValueError, which makes it a refusal."""
        self._stop_waiting()
        self._has_progressed = True
        if len(self._unanswered) >= _PIPELINED:
            self._refusal = 400, f"more than {_PIPELINED} requests came before the first was answered"
            raise ValueError
        if not self._unanswered:
            self._began = self.loop.time()
        method = self.parser.get_method()
        if not self.url.startswith(b"/") or b"#" in self.url or method in (b"CONNECT", b"PRI"):
            raise ValueError("a target of forward proxies, a fragment, or a tunnel")
        if self.parser.get_http_version() not in ("1.0", "1.1"):
            raise ValueError("another version of HTTP")
        self.scope["headers"] = list(self.headers)  # without the trailers of a body
        peer = self.transport.get_extra_info("peercert")
        self.scope["extensions"] = {"tls": {"client_cert_name": peer.get("subject") if peer else None}}
        super().on_headers_complete()
        self._unanswered.append(self.cycle)

    def on_body(self, body: bytes) -> None:
        """Take a piece of a body."""
        self._has_progressed = True
        super().on_body(body)

    def on_response_complete(self) -> None:
        """Go on with the next request; see that the connection ends where there is none."""
        if self._unanswered:
            self._unanswered.popleft()
        self._began = self.loop.time()
        super().on_response_complete()
        if self.transport.is_closing():
            self.loop.call_later(_LINGER_SECONDS, self.transport.abort)

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002
        """Refuse what is not HTTP, or too much of it. Nothing of it is quoted: it may hold a password."""
        self._refuse(*self._refusal)

    def timeout_keep_alive_handler(self) -> None:
        """Close a connection that was idle for long, even one whose client does not take its last answer."""
        self.transport.abort()

    def _refuse(self, status: int, reason: str) -> None:
        """Answer and close, unless another answer is on its way."""
        _LOGGER.warning("refused a request with %s: %s", status, reason)
        if not self._unanswered or not self._unanswered[0].response_started:
            answer = make_refusal(status, reason)
            assert isinstance(answer.body, bytes)
            head = (
                f"HTTP/1.1 {status} \r\ncontent-type: application/json; charset=UTF-8\r\n"
                f"content-length: {len(answer.body)}\r\nconnection: close\r\n\r\n"
            )
            self.transport.write(head.encode() + answer.body)
        self._end_refused()
        self.loop.call_later(_LINGER_SECONDS, self.transport.abort)

    def _end_refused(self) -> None:
        """Close the connection; where more of the request may come, only this side of it at first.

        The kernel resets a connection that is closed with unread bytes, and the client then loses the answer.
        """
        self._is_refused = True
        self._stop_waiting()
        if not self._unanswered and not self.transport.is_closing() and self.transport.can_write_eof():
            self.transport.write_eof()
            self.loop.call_later(_DRAIN_SECONDS, self.transport.close)
        else:
            self.transport.close()

    def _wait_for_head(self) -> None:
        self._began, self._head_bytes = self.loop.time(), 0
        self._timer = self.loop.call_later(self.head_seconds, self._head_is_late)

    def _stop_waiting(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _watch_paused(self) -> None:
        """Look for a client that is gone while the next request waits for its turn and nothing is read."""
        self._paused_timer = None
        if not self.flow.read_paused or self.transport.is_closing():
            return
        poll = select.poll()
        poll.register(self.transport.get_extra_info("socket").fileno(), _GONE)
        if self._is_answering and poll.poll(0):
            self.transport.abort()
        else:
            self._paused_timer = self.loop.call_later(_LOOK_SECONDS, self._watch_paused)

    def _head_is_late(self) -> None:
        self._timer = None
        if self.transport.is_closing():
            return
        if self._head_bytes:
            self._refuse(408, "the request came too slowly")
        else:
            self.transport.abort()


def _make_room(clients: list[ClientProtocol], places: int) -> None:
    """Close the connections that have waited longest for their clients.

    Where all have requests that are answered, as when OpenSearch takes long for them, close those whose
    requests are the oldest: nobody can take all connections for good.
    """
    longest = nsmallest(places, clients, key=lambda client: (client.waiting_since, client.answering_since))
    for client in longest:
        client.transport.abort()
