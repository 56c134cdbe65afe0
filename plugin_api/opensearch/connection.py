"""One connection to OpenSearch, and one request after another on it: HTTP/1.1, as bytes that are passed on.

Searches send short requests and read short answers, hundreds a second. urllib3 and http.client, measured on
those, take 0.15 ms of a core for what takes 0.02 here: httptools parses the answers, and everything else a
client library does for its callers (redirects, retries, codings, cookies) a proxy must not do.
"""

import select
import socket
import ssl
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress

from httptools import HttpParserError, HttpResponseParser

READ_BYTES = 64 * 1024
ONE_PIECE_BYTES = 64 * 1024
"""Bodies up to this size go out in one piece with the request's head."""

WITH_BODY = frozenset({"POST", "PUT", "PATCH"})
"""Methods that say so where they have no body (RFC 9110, 8.6)."""

Headers = tuple[tuple[str, str], ...]


class BrokenOff(OSError):
    """The connection ended, or what came over it is no HTTP."""


class Wire:
    """A connection of one thread at a time. Each call raises OSError, TimeoutError where `ends` passes.

    `ask` raises ValueError, nothing sent, for what would not be one request.
    `ends` is a time.monotonic(); None waits for as long as it takes.
    """

    def __init__(self, sock: socket.socket, host: str) -> None:
        self.used = False
        """Whether a request has been answered on it."""
        self._sock, self._host = sock, host
        self._poll = select.poll()
        self._poll.register(sock, select.POLLIN)
        self._answer = _Answer()

    @property
    def status(self) -> int:
        """The answer's status."""
        return self._answer.status

    @property
    def headers(self) -> list[tuple[str, str]]:
        """The answer's headers, names in lower case."""
        return self._answer.headers

    @property
    def quiet(self) -> bool:
        """Whether nothing came since the last answer: what comes then is the connection's end."""
        return not self._poll.poll(0)

    @property
    def whole(self) -> bool:
        """Whether the answer was read to its end and another request may follow."""
        return self._answer.complete and self._answer.keeps_alive

    def ask(
        self,
        method: str,
        target: str,
        headers: Mapping[str, str],
        body: bytes | Iterable[bytes],
        ends: float | None,
    ) -> None:
        """Send a request and wait for the answer's head: `status` and `headers`."""
        self._answer = _Answer(bodiless=method == "HEAD")
        lines = [f"{method} {target} HTTP/1.1", f"host: {self._host}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        sized = "content-length" in headers
        if isinstance(body, bytes):
            if not sized and (body or method in WITH_BODY):
                lines.append(f"content-length: {len(body)}")
        elif not sized:
            lines.append("transfer-encoding: chunked")
        head = "\r\n".join([*lines, "\r\n"]).encode("latin-1")
        if head.count(b"\n") != len(lines) + 1 or head.count(b"\r") != len(lines) + 1 or " " in target:
            raise ValueError("a line break in a header, or a space in the path")
        # A server may answer, and close, before it has read all: so it refuses a long body.
        with suppress(BrokenPipeError, ConnectionResetError):
            self._send(head, body, sized, ends)
        while not self._answer.headed:
            self._receive(ends)
        self.used = True

    def read(self, ends: float | None) -> bytes:
        """Return what comes next of the answer's body; b"" at its end."""
        while not self._answer.parts and not self._answer.complete:
            self._receive(ends)
        parts, self._answer.parts = self._answer.parts, []
        return b"".join(parts)

    def close(self) -> None:
        """Close it: what is under way ends in OpenSearch too."""
        self._sock.close()

    def _send(self, head: bytes, body: bytes | Iterable[bytes], sized: bool, ends: float | None) -> None:
        if isinstance(body, bytes):
            if len(body) <= ONE_PIECE_BYTES:
                self._send_all(head + body, ends)
                return
            self._send_all(head, ends)
            self._send_all(body, ends)
            return
        self._send_all(head, ends)
        for part in body:
            if part:
                self._send_all(part if sized else b"%x\r\n%b\r\n" % (len(part), part), ends)
        if not sized:
            self._send_all(b"0\r\n\r\n", ends)

    def _send_all(self, data: bytes, ends: float | None) -> None:
        self._sock.settimeout(_left(ends))
        self._sock.sendall(data)

    def _receive(self, ends: float | None) -> None:
        self._sock.settimeout(_left(ends))
        data = self._sock.recv(READ_BYTES)
        if data:
            self._answer.feed(data)
        else:
            self._answer.end()


class _Answer:
    """An answer as far as it was received; httptools calls the `on_` methods."""

    def __init__(self, bodiless: bool = False) -> None:
        self.status = 0
        self.headers: list[tuple[str, str]] = []
        self.parts: list[bytes] = []
        self.headed = self.complete = self.keeps_alive = False
        self._bodiless = bodiless
        self._parser = HttpResponseParser(self)

    def feed(self, data: bytes) -> None:
        """Take what was received. Raises BrokenOff where it is no HTTP."""
        try:
            self._parser.feed_data(data)
        except HttpParserError as error:
            if not self.complete:  # what follows an answer to HEAD is judged by no one
                raise BrokenOff("the answer is no HTTP") from error
            self.keeps_alive = False
        if self.complete:
            del self._parser  # which refers to this: they would wait for the garbage collector

    def end(self) -> None:
        """Take the connection's end, which is that of a body without a length. Raises BrokenOff."""
        named = {name for name, _ in self.headers}
        if not self.headed or named & {"content-length", "transfer-encoding"}:
            raise BrokenOff("the connection ended before the answer")
        self.complete = True

    def on_message_begin(self) -> None:
        """Another answer that nobody asked for ends the connection."""
        self.keeps_alive = self.keeps_alive and not self.complete

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header; what follows the body is none."""
        if not self.headed:
            self.headers.append((name.decode("latin-1").lower(), value.strip(b" \t").decode("latin-1")))

    def on_headers_complete(self) -> None:
        """The head is there, unless it is one that comes before the answer, as 100 Continue."""
        status = self._parser.get_status_code()
        if self.complete:
            return
        if status < 200:
            self.headers.clear()
            return
        self.status, self.headed = status, True
        self.keeps_alive = self._parser.should_keep_alive()
        self.complete = self._bodiless

    def on_body(self, part: bytes) -> None:
        """Take a part of the body."""
        if not self.complete:
            self.parts.append(part)

    def on_message_complete(self) -> None:
        """The answer is whole."""
        self.complete = self.headed


def connected(host: str, port: int, context: ssl.SSLContext | None, name: str, ends: float | None) -> Wire:
    """Connect, over TLS where there is a context; `name` is what the server is called in requests.

    Raises OSError: TimeoutError where `ends` passes, ssl.SSLError.
    """
    sock = socket.create_connection((host, port), _left(ends))
    try:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if context is not None:
            sock.settimeout(_left(ends))
            sock = context.wrap_socket(sock, server_hostname=host)
    except BaseException:
        sock.close()
        raise
    return Wire(sock, name)


def _left(ends: float | None) -> float | None:
    """Seconds until then. Raises TimeoutError when there are none."""
    if ends is None:
        return None
    seconds = ends - time.monotonic()
    if seconds <= 0:
        raise TimeoutError
    return seconds
