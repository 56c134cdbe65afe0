"""The worker through real sockets: what is refused, and what slow clients can't do."""

import json
import re
import resource
import signal
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace

import psutil
import pytest

from mappings.settings import Settings, SidecarSettings
from tests.fakes.echo_server import (
    PROGRAM,
    PROMPT_SECONDS,
    Server,
    connected,
    echo_server,
    error_of,
    rest_of,
    status_of,
    talk,
)

TWO_THREADS = replace(Settings(), sidecar=SidecarSettings(port=0, threads=2))
HOST = b"Host: shop\r\n"
CLOSE = HOST + b"Connection: close\r\n\r\n"


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with echo_server(TWO_THREADS) as server:
        yield server


def echoed(response: bytes) -> dict[str, object]:
    assert status_of(response) == 200, response
    body = response.partition(b"\r\n\r\n")[2]
    echo: dict[str, object] = json.loads(body)
    return echo


LENGTH = re.compile(rb"(?i)content-length: (\d+)\r\n.*?\r\n\r\n", re.DOTALL)


def next_echo(sock: socket.socket) -> dict[str, object]:
    """Read one answer, whose end its length tells."""
    response = b""
    while not (head := LENGTH.search(response)) or len(response) < head.end() + int(head[1]):
        received = sock.recv(65536)
        assert received, response
        response += received
    return echoed(response)


def answers(port: int, seconds: float = PROMPT_SECONDS) -> bool:
    return echoed(talk(port, b"GET /still HTTP/1.1\r\n" + CLOSE, seconds))["uri"] == "/still"


CHUNKED = b"POST /a HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n"
TRICKS = {
    "length and chunks": b"POST /a HTTP/1.1\r\n" + HOST + b"Content-Length: 4\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\n\r\n",
    "two lengths": b"POST /a HTTP/1.1\r\n" + HOST + b"Content-Length: 4\r\nContent-Length: 5\r\n\r\nabcde",
    "two equal lengths": b"POST /a HTTP/1.1\r\n"
    + HOST
    + b"Content-Length: 4\r\nContent-Length: 4\r\n\r\nabcd",
    "lengths in a list": b"POST /a HTTP/1.1\r\n" + HOST + b"Content-Length: 4, 4\r\n\r\nabcd",
    "a signed length": b"POST /a HTTP/1.1\r\n" + HOST + b"Content-Length: +4\r\n\r\nabcd",
    "a negative length": b"POST /a HTTP/1.1\r\n" + HOST + b"Content-Length: -4\r\n\r\nabcd",
    "a length of 5,000 digits": b"POST /a HTTP/1.1\r\n"
    + HOST
    + b"Content-Length: "
    + b"9" * 5000
    + b"\r\n\r\n",
    "folded header": b"GET /a HTTP/1.1\r\n" + HOST + b"X-A: b\r\n c\r\n\r\n",
    "space before the colon": b"GET /a HTTP/1.1\r\n" + HOST + b"Content-Length : 4\r\n\r\nabcd",
    "space in a name": b"GET /a HTTP/1.1\r\n" + HOST + b"X A: b\r\n\r\n",
    "a name too few": b"GET /a HTTP/1.1\r\n" + HOST + b": b\r\n\r\n",
    "no colon": b"GET /a HTTP/1.1\r\n" + HOST + b"Authorization Basic c2VjcmV0\r\n\r\n",
    "control character": b"GET /a HTTP/1.1\r\n" + HOST + b"X-A: b\x00c\r\n\r\n",
    "bare line feeds": b"GET /a HTTP/1.1\nHost: shop\n\n",
    "a bare line feed": b"GET /a HTTP/1.1\r\nHost: shop\nX-A: b\r\n\r\n",
    "a bare carriage return": b"GET /a HTTP/1.1\r\n" + HOST + b"X-A: b\rX-B: c\r\n\r\n",
    "absolute form": b"GET http://other/a HTTP/1.1\r\n" + HOST + b"\r\n",
    "a tunnel": b"CONNECT other:443 HTTP/1.1\r\n" + HOST + b"\r\n",
    "a tunnel to a path": b"CONNECT /a HTTP/1.1\r\n" + HOST + b"\r\n",
    "a fragment": b"GET /a#b HTTP/1.1\r\n" + HOST + b"\r\n",
    "HTTP/2 without asking": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "HTTP/0.9": b"GET /a\r\n\r\n",
    "HTTP/1.2.3": b"GET /a HTTP/1.2.3\r\n" + HOST + b"\r\n",
    "spaces in the target": b"GET /a b HTTP/1.1\r\n" + HOST + b"\r\n",
    "raw bytes in the target": b"GET /\xff HTTP/1.1\r\n" + HOST + b"\r\n",
    "two hosts": b"GET /a HTTP/1.1\r\n" + HOST + HOST + b"\r\n",
    "chunks in HTTP/1.0": CHUNKED.replace(b"1.1", b"1.0") + b"0\r\n\r\n",
    "another coding": CHUNKED.replace(b": chunked", b": xchunked") + b"0\r\n\r\n",
    "chunked twice": CHUNKED.replace(b": chunked", b": chunked, chunked") + b"0\r\n\r\n",
    "chunked and then not": CHUNKED.replace(b": chunked", b": chunked, identity") + b"0\r\n\r\n",
    "a coding without chunks": CHUNKED.replace(b": chunked", b": gzip") + b"0\r\n\r\n",
    "a chunk of size x": CHUNKED + b"x\r\nabc\r\n0\r\n\r\n",
    "a chunk of size 0x3": CHUNKED + b"0x3\r\nabc\r\n0\r\n\r\n",
    "a negative chunk": CHUNKED + b"-3\r\nabc\r\n0\r\n\r\n",
    "a chunk without its end": CHUNKED + b"3\r\nabcdef\r\n0\r\n\r\n",
    "a chunk size ended by a line feed": CHUNKED + b"3\nabc\r\n0\r\n\r\n",
    "a forbidden trailer": CHUNKED + b"3\r\nabc\r\n0\r\nContent-Length: 3\r\n\r\n",
}


@pytest.mark.parametrize("trick", TRICKS)
def test_ambiguous_requests_are_refused_and_the_connection_closed(server: Server, trick: str) -> None:
    response = talk(server.port, TRICKS[trick] + b"GET /smuggled HTTP/1.1\r\n" + HOST + b"\r\n")
    assert status_of(response) == 400
    assert b"smuggled" not in response
    assert len(re.findall(rb"HTTP/1.1 \d", response)) == 1
    assert b"\r\nconnection: close\r\n" in response
    assert "c2VjcmV0" not in str(error_of(response))


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\n" + CLOSE, 414),
        (b"GET /a HTTP/1.1\r\n" + b"X-A: b\r\n" * 101 + CLOSE, 431),
        (b"GET /a HTTP/1.1\r\nX-A: " + b"b" * 20_000 + b"\r\n" + CLOSE, 431),
        (b"GET /a HTTP/1.1\r\n" + (b"X-A: " + b"b" * 10_000 + b"\r\n") * 10, 431),
        (b"a" * 100_000, 400),
        (b"GET /a HTTP/1.1\r\n" + b"a" * 100_000, 431),
        (b"POST /a HTTP/1.1\r\nExpect: miracles\r\nContent-Length: 3\r\n" + CLOSE, 417),
    ],
)
def test_limits_of_the_head(server: Server, request_bytes: bytes, status: int) -> None:
    response = talk(server.port, request_bytes)
    assert status_of(response) == status
    error_of(response)


def test_long_urls_and_headers_pass(server: Server) -> None:
    scroll = b"/_search/scroll?scroll_id=" + b"A" * 8000
    answer = echoed(
        talk(server.port, b"GET " + scroll + b" HTTP/1.1\r\nX-Token: " + b"t" * 16_000 + b"\r\n" + CLOSE)
    )
    assert answer["uri"] == scroll.decode()
    assert isinstance(answer["headers"], dict)
    assert answer["headers"]["X-Token"] == "t" * 16_000


def test_an_upgrade_is_not_taken_up(server: Server) -> None:
    """Java's HTTP client asks for HTTP/2 at first, Apache's for TLS, and both go on with HTTP/1.1."""
    asked = b"GET /a HTTP/1.1\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA\r\n"
    response = talk(server.port, asked + b"Connection: Upgrade, HTTP2-Settings, close\r\n" + HOST + b"\r\n")
    assert echoed(response)["uri"] == "/a"
    assert response.startswith(b"HTTP/1.1 200")


def test_pipelined_requests_are_answered_in_order(server: Server) -> None:
    first = b"POST /one HTTP/1.1\r\n" + HOST + b"Content-Length: 3\r\n\r\nabc"
    second = CHUNKED.replace(b"/a", b"/two") + b"3\r\ndef\r\n0\r\n\r\n"
    response = talk(server.port, first + second + b"GET /three HTTP/1.1\r\n" + CLOSE)
    answers = [json.loads(part.partition(b"\r\n\r\n")[2]) for part in response.split(b"HTTP/1.1 200 OK")[1:]]
    assert [(answer["uri"], answer["body"]) for answer in answers] == [
        ("/one", "abc"),
        ("/two", "def"),
        ("/three", ""),
    ]


def test_a_connection_is_kept_for_the_next_request(server: Server) -> None:
    with connected(server.port) as sock:
        for number in range(3):
            sock.sendall(b"HEAD /%d HTTP/1.1\r\n" % number + HOST + b"\r\n")
            head = sock.recv(65536)
            assert head.startswith(b"HTTP/1.1 200")
            assert b"connection: close" not in head


def test_requests_follow_each_other_soon_and_late(server: Server) -> None:
    request = b"POST /%d HTTP/1.1\r\n" + HOST + b"Content-Length: 3\r\n\r\nabc"
    with connected(server.port) as sock:
        for number, seconds in enumerate((0.0, 0.002, 0.02, 0.0, 0.2, 0.0)):
            time.sleep(seconds)
            sock.sendall(request % number)
            assert next_echo(sock)["uri"] == f"/{number}"


@pytest.mark.parametrize("split", [1, 20, 40, 53])
def test_half_a_request_that_comes_with_the_one_before_waits_for_its_end(server: Server, split: int) -> None:
    request = b"POST /a HTTP/1.1\r\n" + HOST + b"Content-Length: 3\r\n\r\nabc"
    with connected(server.port) as sock:
        sock.sendall(request + request[:split])
        assert next_echo(sock)["body"] == "abc"
        time.sleep(0.05)
        sock.sendall(request[split:])
        assert next_echo(sock)["body"] == "abc"


def test_busy_connections_leave_threads_to_all_others() -> None:
    request = b"GET /a HTTP/1.1\r\n" + HOST + b"\r\n"
    with echo_server(TWO_THREADS) as server, ExitStack() as stack:
        stop = threading.Event()
        answered = [0] * 6

        def busy(number: int) -> None:
            with connected(server.port, 30) as sock:
                while not stop.is_set():
                    sock.sendall(request)
                    assert next_echo(sock)["uri"] == "/a"
                    answered[number] += 1

        stack.callback(stop.set)
        with ThreadPoolExecutor(len(answered)) as clients:
            running = [clients.submit(busy, number) for number in range(len(answered))]
            for _ in range(20):
                assert answers(server.port)
            stop.set()
            for of in running:
                of.result(30)
        assert min(answered) > 0


def test_an_expected_continue_is_said_when_the_body_is_wanted(server: Server) -> None:
    head = b"POST %s HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 3\r\n" + CLOSE
    with connected(server.port) as sock:
        sock.sendall(head % b"/a")
        assert sock.recv(65536) == b"HTTP/1.1 100 Continue\r\n\r\n"
        sock.sendall(b"abc")
        assert echoed(rest_of(sock))["body"] == "abc"
    with connected(server.port) as sock:
        sock.sendall(head % b"/unread")
        assert rest_of(sock).endswith(b"not read")


def test_an_answer_does_not_wait_for_a_body_that_nobody_reads(server: Server) -> None:
    head = b"POST /unread HTTP/1.1\r\n" + HOST + b"Content-Length: 1000000\r\n\r\n"
    with connected(server.port) as sock:
        sock.sendall(head + b"x" * 1000)
        response = b""
        while not response.endswith(b"not read"):
            response += sock.recv(65536)


def test_what_the_application_lets_through_is_a_bare_500(server: Server) -> None:
    response = talk(server.port, b"GET /crash HTTP/1.1\r\n" + CLOSE)
    assert status_of(response) == 500
    assert b"secret" not in response


@pytest.mark.parametrize(
    "started",
    [
        b"",
        b"GET /slow HTTP/1.1\r\nHost: sh",
        b"POST /slow HTTP/1.1\r\n" + HOST + b"Content-Length: 100\r\n\r\nabc",
        b"POST /count HTTP/1.1\r\n" + HOST + b"Content-Length: 1000000\r\n\r\nabc",
        CHUNKED + b"3\r\nab",
        b"POST /slow HTTP/1.1\r\n" + HOST + b"Expect: 100-continue\r\nContent-Length: 3\r\n\r\n",
    ],
    ids=["silent", "in the head", "in a short body", "in a long body", "in a chunk", "before a body"],
)
def test_stalled_senders_hold_nobody_up(server: Server, started: bytes) -> None:
    with ExitStack() as stack:
        for _ in range(20):
            sock = stack.enter_context(connected(server.port))
            sock.sendall(started)
        assert answers(server.port)


@pytest.mark.parametrize("path", [b"/big?blocks=1000", b"/whole?size=60000000"], ids=["streamed", "whole"])
def test_slow_readers_hold_nobody_up_and_get_their_answers(server: Server, path: bytes) -> None:
    with ExitStack() as stack:
        readers = [stack.enter_context(connected(server.port, 30)) for _ in range(4)]
        for reader in readers:
            reader.sendall(b"GET " + path + b" HTTP/1.1\r\n" + CLOSE)
        time.sleep(0.2)
        assert answers(server.port)
        time.sleep(2)
        body = rest_of(readers[0]).partition(b"\r\n\r\n")[2]
        assert max(body.count(b"x"), body.count(b"y")) in (65_536_000, 60_000_000)


def test_a_client_that_never_closes_holds_nobody_up(server: Server) -> None:
    with ExitStack() as stack:
        for _ in range(10):
            sock = stack.enter_context(connected(server.port))
            sock.sendall(b"GET /a HTTP/1.1\r\n" + CLOSE)
        assert answers(server.port)


def test_a_slow_head_is_given_up() -> None:
    little_time = """
from plugin_api.sidecar.serving.protocol import ClientProtocol
ClientProtocol.head_seconds = 0.3
"""
    with echo_server(TWO_THREADS, little_time + PROGRAM) as server:
        with connected(server.port, 30) as sock:
            sock.sendall(b"GET /slow HTTP/1.1\r\n")
            response = rest_of(sock)
            assert status_of(response) == 408
            error_of(response)
        with connected(server.port, 30) as silent:
            assert rest_of(silent) == b""


def test_a_truncated_upload_is_no_whole_one(server: Server) -> None:
    with connected(server.port) as sock:
        sock.sendall(b"POST /count HTTP/1.1\r\n" + HOST + b"Content-Length: 1000000\r\n\r\n" + b"x" * 1000)
        sock.shutdown(socket.SHUT_WR)
        assert status_of(rest_of(sock)) == 400


def test_long_uploads_and_downloads_arrive_whole(server: Server) -> None:
    size = 30_000_000
    upload = b"POST /count HTTP/1.1\r\n" + HOST + b"Content-Length: %d\r\n" % size
    assert talk(server.port, upload + b"Connection: close\r\n\r\n" + b"z" * size, 30).endswith(b"%d" % size)
    chunks = b"".join(b"10000\r\n" + b"c" * 65536 + b"\r\n" for _ in range(100)) + b"0\r\n\r\n"
    head = CHUNKED.replace(b"/a", b"/count").replace(b"Host", b"Connection: close\r\nHost")
    assert talk(server.port, head + chunks, 30).endswith(b"6553600")


def test_idle_connections_give_way_to_new_ones() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(2048, hard)), hard))
    with echo_server(TWO_THREADS) as server, ExitStack() as stack:
        for _ in range(1010):
            stack.enter_context(connected(server.port))
        assert answers(server.port)


@pytest.mark.skipif(not hasattr(psutil.Process, "rlimit"), reason="this system does not tell")
def test_open_files_of_a_worker_are_bounded(server: Server) -> None:
    (worker,) = psutil.Process(server.process.pid).children()
    assert worker.rlimit(psutil.RLIMIT_NOFILE)[0] <= 6000


def test_requests_in_hand_end_when_the_server_is_told_to_stop() -> None:
    with (
        echo_server(TWO_THREADS) as server,
        connected(server.port, 30) as sock,
        connected(server.port),
    ):
        sock.sendall(b"GET /big?blocks=1000 HTTP/1.1\r\n" + CLOSE)
        time.sleep(1)
        server.process.send_signal(signal.SIGTERM)
        assert rest_of(sock).partition(b"\r\n\r\n")[2].count(b"x") == 65_536_000
        out, err = server.process.communicate(timeout=60)
        assert (server.process.returncode, out, len(err.splitlines())) == (0, "", 1)


def test_a_stop_while_a_worker_starts_is_not_lost() -> None:
    slow_start = """
import time
from plugin_api.sidecar.serving import workers

class Late(workers.Workers):
    started = 0

    def _run(self):
        time.sleep(1.5 if self.started == 2 else 0)  # it has no handlers of its own yet
        super()._run()

    def _start(self):
        self.started += 1
        return super()._start()

import plugin_api.sidecar.server
plugin_api.sidecar.server.Workers = Late
"""
    two = replace(Settings(), sidecar=SidecarSettings(port=0, workers=2))
    with echo_server(two, slow_start + PROGRAM) as server:
        began = time.monotonic()
        server.process.terminate()
        server.process.communicate(timeout=60)
        assert time.monotonic() - began < 10
        assert server.process.returncode == 0
