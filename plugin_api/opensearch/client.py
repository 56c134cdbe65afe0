"""OpenSearch as the sidecar's callers reach it: bytes in, bytes out, with each caller's own credentials.

opensearch-py, which the commands use, reads answers whole, parses them and signs in as one user: a proxy may
do none of that.
"""

import re
import ssl
import time
import weakref
import zlib
from base64 import b64encode
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol
from urllib.parse import urlencode, urlsplit

from mappings.errors import BadRequest, ClusterDown
from mappings.settings import OpenSearchSettings
from plugin_api.opensearch.connection import Headers, Wire, connected
from plugin_api.opensearch.tls import client_context

HOP_BY_HOP = frozenset({
    "connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "proxy-connection", "te",
    "trailer", "transfer-encoding", "upgrade",
})  # fmt: skip
"""Headers that speak of one connection alone (RFC 9110, 7.6.1)."""

SEARCH = re.compile(r"(/[^/?]+)?/_m?search(/template)?(\?|$)")
"""Targets that change nothing, though they are POSTed."""

CHUNK_BYTES = 64 * 1024
LATE = "OpenSearch did not answer in time"
NO_ANSWER = "OpenSearch, or what stands before it, answered a search with what is no answer to one"


@dataclass(frozen=True, slots=True)
class OpenSearchResponse:
    """A whole answer. `headers` are end-to-end, names in lower case."""

    status: int
    headers: Headers
    body: bytes


@dataclass(frozen=True, slots=True)
class StreamedResponse:
    """An answer whose body comes as it is read; closing `chunks` early ends the request in OpenSearch too.

    Reading them raises ClusterDown where OpenSearch breaks off.
    """

    status: int
    headers: Headers
    chunks: Iterator[bytes]


class OpenSearchClient(Protocol):
    """What searching and passing through need of a cluster; HttpClient is one."""

    def request(
        self,
        method: str,
        target: str,
        headers: Mapping[str, str],
        body: bytes = b"",
        timeout_seconds: float | None = None,
    ) -> OpenSearchResponse:
        """Send one request, again where a kept connection turns out to be closed, and read its answer.

        `target` is path and query string, percent-encoded. Raises ClusterDown, and TimeoutError when
        `timeout_seconds` pass.
        """

    def stream(
        self, method: str, target: str, headers: Mapping[str, str], body: bytes | Iterable[bytes] = b""
    ) -> StreamedResponse:
        """Send one request, its body as it comes, and return once the answer's headers are there.

        What only reads, and is there whole, is sent again where a kept connection turns out to be closed.
        Waits for as long as OpenSearch takes: how long is the caller's to say. Raises ClusterDown.
        """


class HttpClient:
    """OpenSearch over HTTP. Thread-safe; share one among all requests of a process.

    It keeps up to `pool` connections for the next requests, and makes as many as are asked for at a time.
    Raises SettingsError for certificates that can't be used.
    """

    def __init__(self, settings: OpenSearchSettings, pool: int = 16) -> None:
        self._settings = settings
        parts = urlsplit(settings.url)
        self._prefix = parts.path.rstrip("/")
        secure = parts.scheme == "https"
        self._context = client_context(settings) if secure else None
        self._host, self._port = parts.hostname or "localhost", parts.port or (443 if secure else 80)
        self._name = parts.netloc.rpartition("@")[2]
        self._kept: deque[Wire] = deque()
        self._pool = pool
        weakref.finalize(self, _close, self._kept)

    def request(
        self,
        method: str,
        target: str,
        headers: Mapping[str, str],
        body: bytes = b"",
        timeout_seconds: float | None = None,
    ) -> OpenSearchResponse:
        """See OpenSearchClient."""
        ends = None if timeout_seconds is None else time.monotonic() + timeout_seconds
        wire = self._asked(method, target, {**headers, "accept-encoding": "identity"}, body, ends, again=True)
        parts = []
        try:
            while part := wire.read(ends):
                parts.append(part)
        except OSError as error:
            wire.close()
            raise self._failed(error, ends, connecting=False) from error
        status, came = wire.status, wire.headers
        self._keep(wire)  # from here on it is another request's
        return OpenSearchResponse(status, _end_to_end(came), _decoded(b"".join(parts), came))

    def stream(
        self, method: str, target: str, headers: Mapping[str, str], body: bytes | Iterable[bytes] = b""
    ) -> StreamedResponse:
        """See OpenSearchClient."""
        reads = method in ("GET", "HEAD") or (method == "POST" and SEARCH.match(target))
        again = isinstance(body, bytes) and bool(reads)
        wire = self._asked(method, target, headers, body, None, again)
        return StreamedResponse(
            wire.status, _end_to_end(wire.headers), _Chunks(wire, self._keep, self._failed)
        )

    def close(self) -> None:
        """Close all connections that no request is using."""
        _close(self._kept)

    def _asked(
        self,
        method: str,
        target: str,
        headers: Mapping[str, str],
        body: bytes | Iterable[bytes],
        ends: float | None,
        again: bool,
    ) -> Wire:
        """Send a request; return the connection, the answer's head read."""
        wire = self._idle() or self._connected(ends)
        kept = wire.used
        try:
            wire.ask(method, self._prefix + target, headers, body, ends)
        except TimeoutError as error:
            wire.close()
            raise self._failed(error, ends, connecting=False) from error
        except OSError as error:
            wire.close()
            if again and kept:  # OpenSearch, or a load balancer before it, had closed the connection
                return self._asked(method, target, headers, body, ends, again)
            raise self._failed(error, ends, connecting=False) from error
        except ValueError as error:
            wire.close()
            raise BadRequest(f"the request can't be sent on: {error}") from error
        except BaseException:
            wire.close()  # half a body must not look like a whole
            raise
        return wire

    def _idle(self) -> Wire | None:
        """Return a connection that was kept and is still open, the last one used first."""
        with suppress(IndexError):
            while True:
                wire = self._kept.pop()
                if wire.quiet:
                    return wire
                wire.close()
        return None

    def _connected(self, ends: float | None) -> Wire:
        try:
            return connected(self._host, self._port, self._context, self._name, ends)
        except OSError as error:
            raise self._failed(error, ends, connecting=True) from error

    def _keep(self, wire: Wire) -> None:
        if wire.whole and len(self._kept) < self._pool:
            self._kept.append(wire)
        else:
            wire.close()

    def _failed(self, error: OSError, ends: float | None, connecting: bool) -> ClusterDown | TimeoutError:
        _close(self._kept)  # where one is dead, or silent because the network is gone, so are the others
        url = self._settings.url
        if isinstance(error, TimeoutError) and ends is not None:
            return TimeoutError(LATE)
        if isinstance(error, ssl.SSLError) and connecting:
            return ClusterDown(
                f"the certificate of OpenSearch at {url} can't be trusted: {error}; "
                "opensearch.ca_file names its certificate authority"
            )
        how = "does not answer" if connecting else "broke the connection"
        if isinstance(error, ssl.SSLError):  # a client certificate is refused so
            how += f" ({error.reason or error})"
        return ClusterDown(
            f"OpenSearch {how} at {url}: start one with `attune up`, "
            "or set opensearch.url (ATTUNE_OPENSEARCH_URL)"
        )


class _Chunks:
    """A body as it is read, a short one whole: should it break off, its reader has had none of it.

    Not a generator: closing one of those before its first chunk runs none of it.
    """

    def __init__(
        self,
        wire: Wire,
        keep: Callable[[Wire], None],
        failed: Callable[[OSError, float | None, bool], Exception],
    ) -> None:
        self._wire: Wire | None = wire
        length = _value(wire.headers, "content-length")
        self._short = length.isdigit() and int(length) <= CHUNK_BYTES
        self._keep, self._failed = keep, failed

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        if self._wire is None:
            raise StopIteration
        try:
            part = self._wire.read(None)
            while part and self._short and (more := self._wire.read(None)):
                part += more
        except OSError as error:
            self.close()
            raise self._failed(error, None, False) from error
        if not part:
            wire, self._wire = self._wire, None
            self._keep(wire)
            raise StopIteration
        return part

    def close(self) -> None:
        """Close the connection unless all was read: OpenSearch learns that nobody waits any more."""
        if self._wire is not None:
            wire, self._wire = self._wire, None
            wire.close()

    __del__ = close


def _close(wires: deque[Wire]) -> None:
    with suppress(IndexError):
        while True:
            wires.pop().close()


def identity(settings: OpenSearchSettings) -> dict[str, str]:
    """Headers by which Attune's own commands sign in; callers of the sidecar bring their own."""
    if not settings.user:
        return {}
    said = b64encode(f"{settings.user}:{settings.password}".encode()).decode()
    return {"authorization": f"Basic {said}"}


def with_query(path: str, params: Mapping[str, str]) -> str:
    """A request's target: path, and the parameters where there are any."""
    return f"{path}?{urlencode(params)}" if params else path


def end_to_end(headers: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Headers that go on to another server, names in lower case: less those of this connection alone."""
    kept = {name.lower(): value for name, value in headers}
    hop = _of_the_hop(kept.get("connection", ""))
    return {name: value for name, value in kept.items() if name not in hop}


def _decoded(body: bytes, headers: Iterable[tuple[str, str]]) -> bytes:
    """The body, unpacked where it was packed although nobody asked for that. Raises ClusterDown."""
    if _value(headers, "content-encoding").lower() in ("", "identity"):
        return body
    try:
        return zlib.decompress(body, zlib.MAX_WBITS | 32)  # gzip or deflate, as it says itself
    except zlib.error as error:
        raise ClusterDown(NO_ANSWER) from error


def _end_to_end(headers: Iterable[tuple[str, str]]) -> Headers:
    hop = _of_the_hop(_value(headers, "connection"))
    return tuple(header for header in headers if header[0] not in hop)


def _of_the_hop(connection: str) -> frozenset[str]:
    """Names of the headers of one connection alone, those with it that its `connection` header names."""
    if not connection:
        return HOP_BY_HOP
    return HOP_BY_HOP.union(name.strip().lower() for name in connection.split(","))


def _value(headers: Iterable[tuple[str, str]], wanted: str) -> str:
    """A header's first value; empty where it is not there."""
    return next((value for name, value in headers if name == wanted), "")
