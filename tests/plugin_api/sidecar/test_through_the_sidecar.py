"""The whole sidecar between a real client's socket and a real server in OpenSearch's place."""

import json
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from mappings.settings import OpenSearchSettings, Settings, SidecarSettings
from tests.fakes.certificates import Authority
from tests.fakes.echo_server import Server, connected, echo_server, error_of, rest_of, status_of, talk

PROGRAM = """
import os
from mappings.settings import load_settings
from plugin_api.sidecar.server import listen, run_sidecar

settings = load_settings(None, os.environ)
listener = listen(settings.sidecar)
port = listener.getsockname()[1]

def build(stack):
    from plugin_api.sidecar.wiring import build_application
    from tests.fakes.shop import StandInModel

    return build_application(settings, stack, StandInModel(), timing=globals().get("TIMING"))

run_sidecar(listener, settings.sidecar, build, lambda: print(port, flush=True))
"""


@dataclass
class Cluster:
    """What stands in OpenSearch's place: records what comes, answers the same to everything."""

    url: str = ""
    heads: list[tuple[str, list[tuple[str, str]]]] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)

    @property
    def headers(self) -> dict[str, str]:
        """Headers of the last request, names in lower case."""
        return {name.lower(): value for name, value in self.heads[-1][1]}


@contextmanager
def a_cluster(context: ssl.SSLContext | None = None) -> Iterator[Cluster]:
    cluster = Cluster()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            cluster.heads.append((self.requestline, list(self.headers.items())))
            body = self._body()
            if body is None:
                self.close_connection = True
                return
            cluster.bodies.append(body)
            text = b'{"found": true}'
            self.send_response(200)
            for name, value in (
                ("content-type", "application/json"),
                ("content-length", str(len(text))),
                ("connection", "x-internal"),
                ("x-internal", "hop"),
                ("keep-alive", "timeout=5"),
                ("x-kept", "yes"),
            ):
                self.send_header(name, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(text)

        do_POST = do_PUT = do_DELETE = do_HEAD = do_OPTIONS = do_GET

        def _body(self) -> bytes | None:
            if self.headers.get("Transfer-Encoding") == "chunked":
                parts = []
                while line := self.rfile.readline():
                    size = int(line.strip(), 16)
                    part = self.rfile.read(size + 2)
                    if not size:
                        return b"".join(parts)
                    parts.append(part[:-2])
                cluster.broken.append(self.path)
                return None
            length = int(self.headers.get("Content-Length") or 0)
            body = self.rfile.read(length)
            if len(body) < length:
                cluster.broken.append(self.path)
                return None
            return body

        def log_message(self, format: str, *arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.handle_error = lambda *_: None  # type: ignore[method-assign]  # failed handshakes are tested
    if context:
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    cluster.url = f"{'https' if context else 'http'}://localhost:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield cluster
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with a_cluster() as cluster:
        yield cluster


def before(cluster: Cluster, **opensearch: str) -> Settings:
    """Settings of a sidecar before the cluster."""
    return replace(
        Settings(),
        opensearch=replace(OpenSearchSettings(url=cluster.url), **opensearch),
        sidecar=SidecarSettings(port=0, threads=4),
    )


@pytest.fixture(scope="module")
def sidecar(cluster: Cluster) -> Iterator[Server]:
    with echo_server(before(cluster), PROGRAM) as server:
        yield server


CLOSE = b"Host: shop\r\nConnection: close\r\n\r\n"


def test_headers_of_the_hop_stay_on_it(sidecar: Server, cluster: Cluster) -> None:
    response = talk(
        sidecar.port,
        b"GET /shop/_doc/1 HTTP/1.1\r\nConnection: close, X-Mine, Upgrade, HTTP2-Settings\r\nX-Mine: a\r\n"
        b"Upgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\nKeep-Alive: timeout=9\r\nTE: trailers\r\nTrailer: X\r\n"
        b"Proxy-Authorization: Basic eA==\r\nProxy-Connection: keep-alive\r\nAuthorization: Basic YQ==\r\n"
        b"X-Other: kept\r\nHost: shop\r\n\r\n",
    )
    assert status_of(response) == 200
    gone = {"x-mine", "upgrade", "http2-settings", "keep-alive", "te", "trailer", "proxy-authorization"}
    assert not {*gone, "proxy-connection", "connection"} & cluster.headers.keys()
    assert cluster.headers["authorization"] == "Basic YQ=="
    assert cluster.headers["x-other"] == "kept"
    head = response.partition(b"\r\n\r\n")[0].lower()
    assert b"x-kept: yes" in head
    assert b"x-internal" not in head
    assert b"keep-alive" not in head


def test_bodies_arrive_as_they_were_framed_or_not_at_all(sidecar: Server, cluster: Cluster) -> None:
    chunks = b"Transfer-Encoding: chunked\r\n" + CLOSE + b"3\r\nabc\r\n4;x=y\r\ndefg\r\n0\r\nX-T: 1\r\n\r\n"
    assert status_of(talk(sidecar.port, b"POST /shop/_doc HTTP/1.1\r\n" + chunks)) == 200
    assert cluster.bodies[-1] == b"abcdefg"
    assert "x-t" not in cluster.headers
    large = b"z" * 3_000_000
    head = b"PUT /shop/_doc/2 HTTP/1.1\r\nContent-Length: %d\r\n" % len(large)
    assert status_of(talk(sidecar.port, head + CLOSE + large, 30)) == 200
    assert cluster.bodies[-1] == large


@pytest.mark.parametrize(
    "cut",
    [
        b"PUT /cut/_doc HTTP/1.1\r\nContent-Length: 300000\r\n" + CLOSE + b"z" * 200_000,
        b"PUT /cut/_doc HTTP/1.1\r\nTransfer-Encoding: chunked\r\n" + CLOSE + b"30000\r\n" + b"z" * 90_000,
        b"PUT /cut/_doc HTTP/1.1\r\nTransfer-Encoding: chunked\r\n" + CLOSE + b"3\r\nabc\r\nx\r\n\r\n",
    ],
    ids=["of a length", "in a chunk", "by a broken chunk"],
)
def test_half_a_body_is_no_whole_one_to_opensearch(sidecar: Server, cluster: Cluster, cut: bytes) -> None:
    whole = len(cluster.bodies)
    with connected(sidecar.port) as sock:
        sock.sendall(cut)
        sock.shutdown(socket.SHUT_WR)
        assert status_of(rest_of(sock)) == 400
    time.sleep(0.3)
    assert len(cluster.bodies) == whole
    assert cluster.broken[-1] == "/cut/_doc"


def test_a_request_is_one_request(sidecar: Server, cluster: Cluster) -> None:
    count = len(cluster.heads)
    smuggled = b"GET /secret/_search HTTP/1.1\r\nHost: shop\r\n\r\n"
    for framing in (
        b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n",
        b"Content-Length: 0\r\nContent-Length: 4\r\n",
        b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
        b"Transfer-Encoding : chunked\r\n",
        b"Transfer-Encoding:\x0bchunked\r\n",
        b"Transfer_Encoding: chunked\r\nContent-Length: 4\r\n",
    ):
        response = talk(
            sidecar.port, b"POST /a/_doc HTTP/1.1\r\n" + framing + CLOSE + b"0\r\n\r\n" + smuggled
        )
        assert status_of(response) == 400
        error_of(response)
    assert len(cluster.heads) == count


def test_paths_reach_opensearch_as_they_were_written(sidecar: Server, cluster: Cluster) -> None:
    for path in ("/a%2Fb/_doc/1?x=%20y&z=a+b", "//a//_doc", "/a/../b", "/%5Fattune/none%3F"):
        talk(sidecar.port, f"GET {path} HTTP/1.1\r\n".encode() + CLOSE)
        if "attune" not in path:
            assert cluster.heads[-1][0] == f"GET {path} HTTP/1.1"


def test_an_opensearch_that_is_gone_is_an_error_in_its_shape_and_no_secret_is_logged() -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    with echo_server(before(Cluster(url=f"http://localhost:{port}")), PROGRAM) as server:
        for path in (b"/shop/_search?token=geheim", b"/shop/_doc/1?token=geheim", b"/_msearch?token=geheim"):
            request = b"POST " + path + b" HTTP/1.1\r\nAuthorization: Basic geheim\r\nCookie: a=geheim\r\n"
            body = b'{"query": {"match": {"title": "geheim"}}}'
            typed = b"Content-Type: application/json\r\nContent-Length: %d\r\n" % len(body)
            response = talk(server.port, request + typed + CLOSE + body)
            assert status_of(response) == 503
            assert error_of(response)["type"] == "cluster_down_exception"
        server.process.terminate()
        _, logged = server.process.communicate(timeout=60)
    assert "503" in logged
    assert "geheim" not in logged


def test_tls_to_opensearch_both_ways(tmp_path: Path) -> None:
    authority = Authority(tmp_path, "cluster")
    node, attune = authority.sign("node"), authority.sign("attune")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(authority.certificate))
    context.load_cert_chain(node.certificate, node.key)
    context.verify_mode = ssl.CERT_REQUIRED
    mine = {"client_certificate": str(attune.certificate), "client_key": str(attune.key)}
    request = b"GET /shop/_doc/1 HTTP/1.1\r\n" + CLOSE
    with a_cluster(context) as cluster:
        trusted = {"ca_file": str(authority.certificate)}
        with echo_server(before(cluster, **trusted, **mine), PROGRAM) as server:
            response = talk(server.port, request)
            assert json.loads(response.partition(b"\r\n\r\n")[2]) == {"found": True}
        for without in (trusted, mine):
            with echo_server(before(cluster, **without), PROGRAM) as server:
                response = talk(server.port, request)
                assert status_of(response) == 503
                assert "certificate" in str(error_of(response)["reason"]) or without is trusted
