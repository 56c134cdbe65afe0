import gc
import gzip
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from mappings.errors import BadRequest, ClusterDown
from mappings.settings import OpenSearchSettings
from plugin_api.opensearch.client import HttpClient
from plugin_api.opensearch.connection import ONE_PIECE_BYTES
from tests.fakes.http_peer import OK, Conversation, Peer, Script, answering, keeping, peer

CHUNKED = (
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\nTrailer: no\r\n\r\n"
)
CLOSED = b"HTTP/1.1 200 OK\r\nX-Some: thing\r\n\r\nabcde"

Talk = Callable[[Script], tuple[Peer, HttpClient]]


@pytest.fixture
def talk() -> Iterator[Talk]:
    """Start a server that keeps to a script, and return it with a client of it."""
    ends: list[Callable[[], object]] = []

    def start(script: Script) -> tuple[Peer, HttpClient]:
        server = peer(script)
        running = server.__enter__()
        client = HttpClient(OpenSearchSettings(url=running.url))
        ends.extend((client.close, lambda: server.__exit__(None, None, None)))
        return running, client

    yield start
    for end in ends:
        end()


# Requests


def received(talk: Talk, send: Callable[[HttpClient], object]) -> bytes:
    """What the server receives of one request."""
    seen: list[bytes] = []

    def script(conversation: Conversation) -> None:
        seen.append(conversation.read())
        conversation.send(OK)

    _, client = talk(script)
    send(client)
    return seen[0]


def test_a_request_goes_as_it_is_with_its_host_and_length(talk: Talk) -> None:
    headers = {"authorization": "Basic eA==", "x-opaque-id": "Jürgen 7"}
    came = received(talk, lambda up: up.request("POST", "/caf%C3%a9/_search?q=a%20b", headers, b"{}"))
    first, host, *rest = came.decode("latin-1").split("\r\n")
    assert first == "POST /caf%C3%a9/_search?q=a%20b HTTP/1.1"
    assert host.startswith("host: 127.0.0.1:")
    assert rest == [
        *("authorization: Basic eA==", "x-opaque-id: Jürgen 7", "accept-encoding: identity"),
        *("content-length: 2", "", "{}"),
    ]


@pytest.mark.parametrize(
    ("method", "headers", "body", "expected"),
    [
        ("GET", {}, b"", b"\r\n\r\n"),
        ("DELETE", {}, b"", b"\r\n\r\n"),
        ("POST", {}, b"", b"\r\ncontent-length: 0\r\n\r\n"),
        ("GET", {}, b"{}", b"\r\ncontent-length: 2\r\n\r\n{}"),
        ("PUT", {"content-length": "5"}, [b"abc", b"", b"de"], b"\r\ncontent-length: 5\r\n\r\nabcde"),
        ("PUT", {}, [b"abc", b"", b"de"], b"chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"),
    ],
)
def test_a_body_says_how_long_it_is(
    talk: Talk, method: str, headers: dict[str, str], body: bytes | list[bytes], expected: bytes
) -> None:
    sent = body if isinstance(body, bytes) else iter(body)
    came = received(talk, lambda up: list(up.stream(method, "/a", headers, sent).chunks))
    assert came.endswith(expected)
    assert came.lower().count(b"content-length") + came.count(b"chunked") <= 1


def test_a_short_body_goes_in_one_packet_with_its_head(talk: Talk, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []

    class Noting(socket.socket):
        def sendall(self, data: bytes, *flags: int) -> None:  # type: ignore[override]
            if not data.startswith(b"HTTP/"):  # the server's
                sizes.append(len(data))
            super().sendall(data, *flags)

    _, client = talk(keeping(OK))
    monkeypatch.setattr(socket, "socket", Noting)
    for size in (3, ONE_PIECE_BYTES):
        assert client.request("POST", "/shop/_search", {}, b"x" * size).body == b"ok"
        assert len(sizes) == 1
        sizes.clear()
    assert client.request("POST", "/shop/_search", {}, b"x" * (ONE_PIECE_BYTES + 1)).body == b"ok"
    assert sizes[1:] == [ONE_PIECE_BYTES + 1]


@pytest.mark.parametrize(
    ("target", "headers"),
    [
        ("/a HTTP/1.1\r\nx: y\r\n\r\n", {}),
        ("/a b", {}),
        ("/a", {"x": "y\r\nz: 1"}),
        ("/a", {"x": "y\nz"}),
        ("/a", {"x\r": "y"}),
        ("/a", {"x": "商店"}),
    ],
)
def test_what_would_be_two_requests_is_none(talk: Talk, target: str, headers: dict[str, str]) -> None:
    seen: list[bytes] = []
    _, client = talk(lambda conversation: seen.append(conversation.read()))
    with pytest.raises(BadRequest, match="can't be sent on"):
        client.request("GET", target, headers)
    client.close()
    assert seen in ([], [b""])


# Answers


@pytest.mark.parametrize("pieces", [1, 0], ids=["in one piece", "byte by byte"])
@pytest.mark.parametrize(
    ("method", "answer", "body"),
    [
        ("GET", OK, b"ok"),
        ("GET", CHUNKED, b"abcde"),
        ("GET", CLOSED, b"abcde"),
        ("GET", b"HTTP/1.1 100 Continue\r\nX: no\r\n\r\n" + OK, b"ok"),
        ("HEAD", b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n", b""),
        ("GET", b"HTTP/1.1 304 Not Modified\r\nContent-Length: 1000\r\n\r\n", b""),
        ("DELETE", b"HTTP/1.1 204 No Content\r\n\r\n", b""),
        ("GET", b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", b""),
    ],
)
def test_answers_of_every_length(talk: Talk, method: str, answer: bytes, body: bytes, pieces: int) -> None:
    def script(conversation: Conversation) -> None:
        while conversation.read():
            cut = [answer] if pieces else [answer[at : at + 1] for at in range(len(answer))]
            conversation.send(*cut)
            if answer is CLOSED:
                return

    server, client = talk(script)
    for _ in range(3):
        stream = client.stream(method, "/", {})
        assert b"".join(stream.chunks) == body
        assert f" {stream.status} ".encode() in answer
        assert "x" not in dict(stream.headers)
    assert server.connections == (3 if answer is CLOSED else 1)


def test_an_answers_headers_are_its_own_alone(talk: Talk) -> None:
    answer = (
        b"HTTP/1.1 200 OK\r\nWarning: one\r\nWarning: two\r\nConnection: keep-alive, X-Hop\r\n"
        b"X-Hop: 1\r\nKeep-Alive: 5\r\nX-Name:  J\xfcrgen \r\nContent-Length: 0\r\n\r\n"
    )
    _, client = talk(keeping(answer))
    assert client.request("GET", "/", {}).headers == (
        *(("warning", "one"), ("warning", "two"), ("x-name", "Jürgen"), ("content-length", "0")),
    )


def test_a_body_that_was_packed_unasked_is_unpacked(talk: Talk) -> None:
    packed = gzip.compress(b'{"hits": {}}')
    head = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(packed)
    _, client = talk(keeping(head + packed))
    assert client.request("POST", "/_search", {}, b"{}").body == b'{"hits": {}}'
    assert b"".join(client.stream("POST", "/_search", {}, b"{}").chunks) == packed
    _, client = talk(keeping(head.replace(b"gzip", b"br") + packed[::-1]))
    with pytest.raises(ClusterDown, match="no answer to one"):
        client.request("POST", "/_search", {}, b"{}")


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"SSH-2.0-OpenSSH\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Le",
        OK[:-1],
        CHUNKED[:-10],
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    ],
)
def test_half_an_answer_is_none(talk: Talk, answer: bytes) -> None:
    _, client = talk(answering(answer))
    with pytest.raises(ClusterDown, match="broke the connection"):
        client.request("POST", "/_search", {}, b"{}")
    with pytest.raises(ClusterDown, match="broke the connection"):
        b"".join(client.stream("POST", "/_search", {}, b"{}").chunks)


def test_an_answer_that_comes_before_the_whole_body_is_the_answer(talk: Talk) -> None:
    def script(conversation: Conversation) -> None:
        conversation.sock.recv(65536)
        conversation.send(b"HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\nConnection: close\r\n\r\nbig")
        conversation.sock.shutdown(socket.SHUT_WR)
        time.sleep(0.3)

    _, client = talk(script)

    def endless() -> Iterator[bytes]:
        for _ in range(200):
            yield b"x" * 65536
            time.sleep(0.01)

    stream = client.stream("POST", "/_bulk", {}, endless())
    assert (stream.status, b"".join(stream.chunks)) == (413, b"big")


# Connections


@pytest.mark.parametrize(
    "answer",
    [
        OK.replace(b"Content", b"Connection: close\r\nContent"),
        OK.replace(b"1.1", b"1.0"),
        OK + b"more",
        OK + OK,
    ],
)
def test_a_connection_that_can_carry_no_more_is_not_kept(talk: Talk, answer: bytes) -> None:
    server, client = talk(keeping(answer))
    for _ in range(3):
        assert client.request("GET", "/", {}).body == b"ok"
    assert server.connections == 3


def test_a_connection_that_was_closed_meanwhile_is_replaced(talk: Talk) -> None:
    server, client = talk(answering(OK))
    for _ in range(3):
        assert client.request("POST", "/_search", {}, b"{}").body == b"ok"
        time.sleep(0.05)
    assert b"".join(client.stream("POST", "/_bulk", {}, b"{}").chunks) == b"ok"
    assert server.connections == 4


def closing_at_the_second(conversation: Conversation) -> None:
    conversation.read()
    conversation.send(OK)
    conversation.read()


def test_a_search_is_asked_again_where_its_connection_was_closed_just_then(talk: Talk) -> None:
    server, client = talk(closing_at_the_second)
    for _ in range(3):
        assert client.request("POST", "/_search", {}, b"{}").body == b"ok"
    for method, target in (("GET", "/"), ("POST", "/shop/_search?q=a"), ("POST", "/_msearch/template")):
        assert b"".join(client.stream(method, target, {}, b"{}").chunks) == b"ok"
    assert server.connections == 6


@pytest.mark.parametrize(
    "target", ["/_bulk", "/shop/_doc", "/_search/scroll", "/_searching", "/_doc/_search/x"]
)
def test_what_may_change_something_is_sent_once(talk: Talk, target: str) -> None:
    server, client = talk(closing_at_the_second)
    assert b"".join(client.stream("POST", target, {}, b"{}").chunks) == b"ok"
    with pytest.raises(ClusterDown, match="broke the connection"):
        client.stream("POST", target, {}, b"{}")
    assert server.connections == 1


def test_a_search_is_not_asked_again_over_a_connection_that_is_new(talk: Talk) -> None:
    server, client = talk(lambda conversation: [conversation.read(), None][1])
    with pytest.raises(ClusterDown, match="broke the connection"):
        client.request("POST", "/_search", {}, b"{}")
    assert server.connections == 1


def test_no_more_connections_are_kept_than_the_pool_holds(talk: Talk) -> None:
    both = threading.Barrier(3)

    def script(conversation: Conversation) -> None:
        while conversation.read():
            both.wait(10)
            conversation.send(OK)

    server, _ = talk(script)
    client = HttpClient(OpenSearchSettings(url=server.url), pool=2)
    for _ in range(2):
        asking = [threading.Thread(target=client.request, args=("GET", "/", {})) for _ in range(3)]
        for thread in asking:
            thread.start()
        for thread in asking:
            thread.join()
    assert server.connections == 4
    client.close()


def test_every_request_gets_its_own_answer(talk: Talk) -> None:
    def script(conversation: Conversation) -> None:
        while request := conversation.read():
            name = request.split(b" ", 2)[1].strip(b"/")
            conversation.send(b"HTTP/1.1 2%b OK\r\nX-Name: %b\r\nContent-Length: 0\r\n\r\n" % (name, name))

    _, client = talk(script)
    wrong: list[object] = []

    def ask(first: int) -> None:
        for number in range(first, first + 300):
            reply = client.request("GET", f"/{number % 100:02}", {})
            if (reply.status, reply.headers[0]) != (200 + number % 100, ("x-name", f"{number % 100:02}")):
                wrong.append(reply)

    asking = [threading.Thread(target=ask, args=(number,)) for number in range(0, 1616, 101)]
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        for thread in asking:
            thread.start()
        for thread in asking:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    assert wrong == []


def half_an_answer(gone: threading.Event) -> Script:
    """Answer in part, and tell when the client has closed the connection."""

    def script(conversation: Conversation) -> None:
        conversation.read()
        conversation.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\nabc")
        if not conversation.read():
            gone.set()

    return script


def test_a_reader_who_leaves_ends_the_request_in_opensearch(talk: Talk) -> None:
    gone = threading.Event()
    _, client = talk(half_an_answer(gone))
    stream = client.stream("GET", "/", {})
    assert next(stream.chunks) == b"abc"
    stream.chunks.close()  # type: ignore[attr-defined]
    assert gone.wait(10)
    assert list(stream.chunks) == []


def test_who_forgets_them_leaves_no_connection_open(talk: Talk) -> None:
    gone = threading.Event()
    _, client = talk(half_an_answer(gone))
    stream = client.stream("GET", "/", {})
    del stream
    assert gone.wait(10)
    server, _ = talk(closing_at_the_second)
    client = HttpClient(OpenSearchSettings(url=server.url))
    assert client.request("GET", "/", {}).body == b"ok"
    del client  # a socket that was left open would be a warning, and those fail tests
    gc.collect()


def test_a_caller_who_breaks_off_leaves_half_a_request(talk: Talk) -> None:
    seen: list[bytes] = []
    _, client = talk(lambda conversation: seen.append(conversation.read()))

    def broken() -> Iterator[bytes]:
        yield b"abc"
        raise BadRequest("the request's body ended early")

    with pytest.raises(BadRequest, match="ended early"):
        client.stream("POST", "/_bulk", {}, broken())
    deadline = time.monotonic() + 10
    while not seen and time.monotonic() < deadline:
        time.sleep(0.01)
    assert seen == [b""]


# Time


def test_an_answer_in_drips_is_late_all_in_all(talk: Talk) -> None:
    def script(conversation: Conversation) -> None:
        conversation.read()
        conversation.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n")
        for _ in range(100):
            conversation.send(b"x")
            time.sleep(0.05)

    _, client = talk(script)
    began = time.monotonic()
    with pytest.raises(TimeoutError, match="in time"):
        client.request("POST", "/_search", {}, b"{}", timeout_seconds=0.3)
    assert time.monotonic() - began < 3


def test_no_answer_is_late(talk: Talk) -> None:
    done = threading.Event()
    server, client = talk(lambda conversation: [conversation.read(), done.wait(10), None][2])
    with pytest.raises(TimeoutError, match="in time"):
        client.request("POST", "/_search", {}, b"{}", timeout_seconds=0.1)
    assert server.connections == 1  # and is not asked again
    done.set()


def test_what_is_asked_after_silence_goes_over_a_new_connection(talk: Talk) -> None:
    both, done = threading.Barrier(2), threading.Event()

    def script(conversation: Conversation) -> None:
        conversation.read()
        if server.connections <= 2:
            both.wait(10)
        conversation.send(OK)
        done.wait(60)  # as if the network were gone: no answer, and no end

    server, client = talk(script)
    asking = [threading.Thread(target=client.request, args=("GET", "/", {})) for _ in range(2)]
    for thread in asking:
        thread.start()
    for thread in asking:
        thread.join()
    with pytest.raises(TimeoutError, match="in time"):
        client.request("POST", "/_search", {}, b"{}", timeout_seconds=0.1)
    began = time.monotonic()
    assert b"".join(client.stream("POST", "/_search", {}, b"{}").chunks) == b"ok"
    done.set()
    assert server.connections == 3
    assert time.monotonic() - began < 30


def test_nobody_there() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    client = HttpClient(OpenSearchSettings(url=url))
    for ask in (lambda: client.request("GET", "/", {}, b"", 5.0), lambda: client.stream("GET", "/", {})):
        with pytest.raises(ClusterDown, match=f"does not answer at {url}"):
            ask()
