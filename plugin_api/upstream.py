"""OpenSearch as the sidecar's callers reach it: bytes in, bytes out, with each caller's own credentials.

opensearch-py, which the commands use, reads answers whole, parses them and signs in as one user: a proxy may
do none of that.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import urlencode, urlsplit

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import HTTPError, NewConnectionError, ProtocolError, SSLError
from urllib3.exceptions import TimeoutError as LateAnswer
from urllib3.util import SKIP_HEADER, Timeout, make_headers

from mappings.errors import ClusterDown
from mappings.settings import OpenSearchSettings

HOP_BY_HOP = frozenset({
    "connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "proxy-connection", "te",
    "trailer", "transfer-encoding", "upgrade",
})  # fmt: skip
"""Headers that speak of one connection alone (RFC 9110, 7.6.1)."""

CHUNK_BYTES = 64 * 1024
READ_BYTES = 64 * 1024
ONE_PIECE_BYTES = 64 * 1024
LATE = "OpenSearch did not answer in time"
NO_ANSWER = "OpenSearch, or what stands before it, answered a search with what is no answer to one"

Headers = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Reply:
    """A whole answer. `headers` are end-to-end, names in lower case."""

    status: int
    headers: Headers
    body: bytes


@dataclass(frozen=True, slots=True)
class Stream:
    """An answer whose body comes as it is read; closing `chunks` early ends the request in OpenSearch too.

    Reading them raises ClusterDown where OpenSearch breaks off.
    """

    status: int
    headers: Headers
    chunks: Iterator[bytes]


class Upstream(Protocol):
    """What searching and passing through need of a cluster; HttpUpstream is one."""

    def ask(
        self,
        method: str,
        target: str,
        headers: Mapping[str, str],
        body: bytes = b"",
        timeout_seconds: float | None = None,
    ) -> Reply:
        """Send one request, again where a kept connection turns out to be closed, and read its answer.

        `target` is path and query string, percent-encoded. Raises ClusterDown, and TimeoutError when
        `timeout_seconds` pass.
        """

    def stream(
        self, method: str, target: str, headers: Mapping[str, str], body: bytes | Iterable[bytes] = b""
    ) -> Stream:
        """Send one request, its body as it comes, and return once the answer's headers are there.

        Waits for as long as OpenSearch takes: how long is the caller's to say. Raises ClusterDown.
        """


class _InOnePiece(HTTPConnection):
    """Sends a request's head and a short body together: urllib3 makes two packets of them."""

    _waits_for_body = False
    _head = b""

    def request(self, method: str, url: str, body: Any = None, *args: Any, **options: Any) -> None:
        """Send a request, as urllib3 does."""
        self._head = b""
        self._waits_for_body = isinstance(body, bytes) and 0 < len(body) <= ONE_PIECE_BYTES
        super().request(method, url, body, *args, **options)

    def send(self, data: Any) -> None:
        """Send a head or a body; a head that waits for its body is kept."""
        if self._waits_for_body:
            self._waits_for_body, self._head = False, data
            return
        head, self._head = self._head, b""
        super().send(head + data if head else data)


class _SecureInOnePiece(_InOnePiece, HTTPSConnection):
    """The same over TLS."""


class HttpUpstream:
    """OpenSearch over HTTP. Thread-safe; share one among all requests of a process."""

    def __init__(self, settings: OpenSearchSettings, pool: int = 16) -> None:
        self._url = settings.url
        parts = urlsplit(settings.url)
        self._prefix = parts.path.rstrip("/")
        secure: dict[str, Any] = {
            "cert_reqs": "CERT_REQUIRED" if settings.verify_certificates else "CERT_NONE",
            "assert_hostname": None if settings.verify_certificates else False,
            "ca_certs": settings.ca_file or None,
            "cert_file": settings.client_certificate or None,
            "key_file": settings.client_key or None,
        }
        options: dict[str, Any] = {"maxsize": pool, "block": False, "retries": False}
        host, port = parts.hostname or "localhost", parts.port
        self._pool: urllib3.HTTPConnectionPool = (
            urllib3.HTTPSConnectionPool(host, port or 443, **options, **secure)
            if parts.scheme == "https"
            else urllib3.HTTPConnectionPool(host, port or 80, **options)
        )
        self._pool.ConnectionCls = _SecureInOnePiece if parts.scheme == "https" else _InOnePiece

    def ask(
        self,
        method: str,
        target: str,
        headers: Mapping[str, str],
        body: bytes = b"",
        timeout_seconds: float | None = None,
    ) -> Reply:
        """See Upstream."""
        came = {**headers, "accept-encoding": "identity"}
        ends = None if timeout_seconds is None else time.monotonic() + timeout_seconds
        answer = self._open(method, target, came, body, Timeout(total=timeout_seconds), again=True)
        try:
            return Reply(answer.status, _end_to_end(answer), _read(answer, ends))
        except LateAnswer as error:
            raise TimeoutError(LATE) from error
        except HTTPError as error:
            raise self._down(error) from error
        finally:
            answer.release_conn()

    def stream(
        self, method: str, target: str, headers: Mapping[str, str], body: bytes | Iterable[bytes] = b""
    ) -> Stream:
        """See Upstream."""
        again = isinstance(body, bytes) and method in ("GET", "HEAD")
        answer = self._open(method, target, headers, body, Timeout(total=None), again)
        return Stream(answer.status, _end_to_end(answer), _Chunks(answer, self._down))

    def close(self) -> None:
        """Close all connections."""
        self._pool.close()

    def _open(
        self,
        method: str,
        target: str,
        headers: Mapping[str, str],
        body: bytes | Iterable[bytes],
        timeout: Timeout,
        again: bool,
    ) -> urllib3.BaseHTTPResponse:
        # urllib3 would add these two of its own where the caller sent none.
        came = {"accept-encoding": SKIP_HEADER, "user-agent": SKIP_HEADER, **headers}
        chunked = not isinstance(body, bytes) and "content-length" not in came
        try:
            return self._pool.urlopen(
                method,
                self._prefix + target,
                body=body or None,
                headers=came,
                timeout=timeout,
                redirect=False,
                preload_content=False,
                decode_content=False,
                chunked=chunked,
            )
        except LateAnswer as error:
            if isinstance(error, NewConnectionError):
                raise self._down(error) from error
            raise TimeoutError(LATE) from error
        except ProtocolError as error:
            if again:  # OpenSearch, or a load balancer before it, had closed the connection that was kept
                return self._open(method, target, headers, body, timeout, again=False)
            raise self._down(error) from error
        except HTTPError as error:
            raise self._down(error) from error

    def _down(self, error: Exception) -> ClusterDown:
        if isinstance(error, SSLError):
            return ClusterDown(
                f"the certificate of OpenSearch at {self._url} can't be trusted: {error}; "
                "opensearch.ca_file names its certificate authority"
            )
        how = "does not answer" if isinstance(error, NewConnectionError) else "broke the connection"
        return ClusterDown(
            f"OpenSearch {how} at {self._url}: start one with `attune up`, "
            "or set opensearch.url (ATTUNE_OPENSEARCH_URL)"
        )


class _Chunks:
    """A body as it is read. Not a generator: closing one of those before its first chunk runs none of it."""

    def __init__(self, answer: urllib3.BaseHTTPResponse, down: Callable[[Exception], ClusterDown]) -> None:
        self._answer, self._down = answer, down
        self._stream = answer.stream(CHUNK_BYTES, decode_content=False)

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        try:
            return next(self._stream)
        except StopIteration:
            self._answer.release_conn()
            raise
        except HTTPError as error:
            self.close()
            raise self._down(error) from error

    def close(self) -> None:
        """Close the connection unless all was read: OpenSearch learns that nobody waits any more."""
        self._answer.close()


def identity(settings: OpenSearchSettings) -> dict[str, str]:
    """Headers by which Attune's own commands sign in; callers of the sidecar bring their own."""
    return make_headers(basic_auth=f"{settings.user}:{settings.password}") if settings.user else {}


def with_query(path: str, params: Mapping[str, str]) -> str:
    """A request's target: path, and the parameters where there are any."""
    return f"{path}?{urlencode(params)}" if params else path


def end_to_end(headers: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Headers that go on to another server, names in lower case: less those of this connection alone."""
    kept = {name.lower(): value for name, value in headers}
    named = {name.strip().lower() for name in kept.get("connection", "").split(",")}
    return {name: value for name, value in kept.items() if name not in HOP_BY_HOP | named}


def _read(answer: urllib3.BaseHTTPResponse, ends: float | None) -> bytes:
    """The whole body. Raises TimeoutError when it is not there in time: urllib3 minds each part alone."""
    # Attune's own searches ask for no coding; to be ready to undo one costs three copies of the body.
    coded = answer.headers.get("content-encoding", "identity") != "identity"
    if ends is None or coded:
        return answer.read(decode_content=coded)
    parts = []
    while part := answer.read1(READ_BYTES, decode_content=False):
        parts.append(part)
        if time.monotonic() > ends:
            answer.close()
            raise TimeoutError(LATE)
    return b"".join(parts)


def _end_to_end(answer: urllib3.BaseHTTPResponse) -> Headers:
    named = {name.strip().lower() for name in answer.headers.get("connection", "").split(",")}
    return tuple(
        (name.lower(), value)
        for name, value in answer.headers.iteritems()
        if name.lower() not in HOP_BY_HOP | named
    )
