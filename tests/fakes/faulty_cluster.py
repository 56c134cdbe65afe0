"""A cluster on a real socket that fails as it is told to, and a whole sidecar process before it."""

import json
import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from mappings.settings import OpenSearchSettings, SearchSettings, Settings, SidecarSettings
from tests.fakes.echo_server import Server, echo_server
from tests.fakes.shop import Shop
from tests.plugin_api.sidecar.test_through_the_sidecar import PROGRAM

PIECE = b"x" * 65536

OPEN_SECONDS = 1.0
"""How long an index is not reranked in these tests, once that has failed too often."""

_TIMING = f"""
from plugin_api.search.timing import SearchTiming
TIMING = SearchTiming(settle_seconds=0.0, open_seconds={OPEN_SECONDS})
"""


@dataclass(frozen=True, slots=True)
class Fault:
    """How an answer fails: late in its headers, or in its body; broken off; of another status; no JSON."""

    late_headers: float = 0.0
    late_body: float = 0.0
    trickles: bool = False
    breaks_off: bool = False
    cut_short: bool = False
    status: int = 0
    text: bytes = b""


GOOD = Fault()


@dataclass
class FaultyCluster:
    """Answers as `shop` does, unless there is a fault for what is asked.

    That is "gather" (candidates), "fetch" (a page), "cached" (a page of a cached ranking) or "first".
    """

    shop: Shop = field(default_factory=Shop)
    faults: dict[str, Fault] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    port: int = 0
    held: threading.Event = field(default_factory=threading.Event)
    """Candidates are gathered while this is set."""

    def __post_init__(self) -> None:
        self.held.set()

    def settings(self, deadline_ms: int = 600, reranks: int = 16) -> Settings:
        """Settings of a sidecar before this cluster."""
        sidecar = SidecarSettings(port=0, threads=8, deadline_ms=deadline_ms, max_concurrent_reranks=reranks)
        return replace(
            Settings(),
            opensearch=OpenSearchSettings(url=f"http://127.0.0.1:{self.port}"),
            search=SearchSettings(window=10, keyword_weight=0.0, vector_weight_head=0.7),
            sidecar=sidecar,
        )


@contextmanager
def faulty_cluster() -> Iterator[FaultyCluster]:
    """Serve a cluster of three products, whose best by the model is the last by keywords."""
    cluster = FaultyCluster()
    cluster.shop.products = {"a": 51, "b": 102, "c": 255}
    cluster.shop.near = {"c": 255}

    class Handler(_Handler):
        served = cluster

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.handle_error = lambda *_: None  # type: ignore[method-assign]  # callers that give up are tested
    cluster.port = server.server_port
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield cluster
    finally:
        cluster.held.set()
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def sidecar_before(cluster: FaultyCluster, deadline_ms: int = 600, reranks: int = 16) -> Iterator[Server]:
    """Serve with a model of a few lines, in a process of its own."""
    with echo_server(cluster.settings(deadline_ms, reranks), _TIMING + PROGRAM) as server:
        yield server


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    served: FaultyCluster

    def do_GET(self) -> None:
        if self.path.startswith("/long"):
            self._long()
            return
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if "/_field_caps" in self.path or self.path.startswith("/_alias/"):
            known = self.served.shop.request(self.command, self.path, {}, body)
            self._send(GOOD, known.status, known.body)
            return
        gathers, page = "_msearch" in self.path or b'"attune.key"' in body, b'"ids"' in body
        kind = ("cached" if b'"_seq_no"' in body else "fetch") if page else "gather" if gathers else "first"
        self.served.asked.append(kind)
        if kind == "gather":
            self.served.held.wait(30)
        reply = self.served.shop.request(self.command, self.path, {}, body)
        self._send(self.served.faults.get(kind, GOOD), reply.status, reply.body)

    do_POST = do_PUT = do_GET

    def _send(self, fault: Fault, status: int, text: bytes) -> None:
        if fault.status:
            cause = {"type": "fault_exception", "reason": "as told"}
            error = {"error": {"root_cause": [cause], **cause}, "status": fault.status}
            status, text = fault.status, json.dumps(error).encode()
        text = fault.text or (text[: len(text) // 2] if fault.cut_short else text)
        time.sleep(fault.late_headers)
        self.send_response(status)
        self.send_header("content-type", "application/json; charset=UTF-8")
        self.send_header("content-length", str(len(text)))
        self.end_headers()
        half = len(text) // 2
        if fault.trickles:
            for byte in text:
                self.wfile.write(bytes([byte]))
                time.sleep(0.02)
            return
        self.wfile.write(text[:half])
        time.sleep(fault.late_body)
        if fault.breaks_off:
            # Closing with this option sends a reset instead of an end.
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()
            self.close_connection = True
            return
        self.wfile.write(text[half:])

    def _long(self) -> None:
        """Count the bytes that come, and send as many pieces as the path says."""
        left = int(self.headers.get("Content-Length") or 0)
        came = 0
        while left > came and (piece := self.rfile.read(min(len(PIECE), left - came))):
            came += len(piece)
        pieces = int(self.path.rpartition("=")[2])
        self.send_response(200)
        self.send_header("content-length", str(pieces * len(PIECE)))
        self.send_header("x-came", str(came))
        self.end_headers()
        for _ in range(pieces):
            self.wfile.write(PIECE)

    def log_message(self, format: str, *arguments: object) -> None:
        pass
