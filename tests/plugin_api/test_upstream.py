import http.client
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from mappings.settings import OpenSearchSettings
from plugin_api.upstream import ONE_PIECE_BYTES, HttpUpstream


class Echo(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        if "chunked" in self.headers.get("Transfer-Encoding", ""):
            body = b""
            while size := int(self.rfile.readline(), 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
        else:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST

    def log_message(self, *line: Any) -> None:
        """Say nothing."""


@pytest.fixture
def upstream() -> Iterator[HttpUpstream]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Echo)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    upstream = HttpUpstream(OpenSearchSettings(url=f"http://127.0.0.1:{server.server_port}"))
    yield upstream
    upstream.close()
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """What goes to the socket, piece by piece."""
    pieces: list[bytes] = []
    send = http.client.HTTPConnection.send

    def noted(self: http.client.HTTPConnection, data: bytes) -> None:
        pieces.append(bytes(data))
        send(self, data)

    monkeypatch.setattr(http.client.HTTPConnection, "send", noted)
    return pieces


def test_a_short_body_goes_with_its_head(upstream: HttpUpstream, sent: list[bytes]) -> None:
    for body in (b"abc", b"x" * ONE_PIECE_BYTES, b"de"):  # over one connection
        assert upstream.ask("POST", "/shop/_search", {}, body).body == body
        [piece] = sent
        assert piece.startswith(b"POST /shop/_search HTTP/1.1\r\n")
        assert piece.endswith(b"\r\n\r\n" + body)
        sent.clear()


def test_a_long_body_is_not_copied_behind_its_head(upstream: HttpUpstream, sent: list[bytes]) -> None:
    body = b"x" * (ONE_PIECE_BYTES + 1)
    assert upstream.ask("POST", "/_bulk", {}, body).body == body
    assert [len(piece) for piece in sent[1:]] == [len(body)]


def test_bodies_that_are_none_or_come_in_parts(upstream: HttpUpstream, sent: list[bytes]) -> None:
    assert upstream.ask("GET", "/", {}).body == b""
    stream = upstream.stream("POST", "/_bulk", {}, iter([b"abc", b"de"]))
    assert b"".join(stream.chunks) == b"abcde"
    stream = upstream.stream("POST", "/_bulk", {"content-length": "5"}, iter([b"abc", b"de"]))
    assert b"".join(stream.chunks) == b"abcde"
    assert [piece for piece in sent if b"HTTP/1.1" not in piece] == [
        b"3\r\nabc\r\n", b"2\r\nde\r\n", b"0\r\n\r\n", b"abc", b"de",
    ]  # fmt: skip
    assert upstream.ask("POST", "/a", {}, b"after").body == b"after"
