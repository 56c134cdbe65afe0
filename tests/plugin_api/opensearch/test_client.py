import gzip
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from mappings.errors import BadRequest, ClusterDown
from mappings.settings import OpenSearchSettings
from plugin_api.opensearch.http_client import CALLER, AnswerTooLarge, Caller, HttpClient
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
    first, host, *rest = came.decode().split("\r\n")
    assert first == "POST /caf%C3%a9/_search?q=a%20b HTTP/1.1"
    assert host.startswith("Host: 127.0.0.1:")
    assert rest == [
        *("accept-encoding: identity", "authorization: Basic eA==", "x-opaque-id: Jürgen 7"),
        *("Content-Length: 2", "", "{}"),
    ]


@pytest.mark.parametrize(
    ("method", "headers", "body", "expected"),
    [
        ("GET", {}, b"", b"\r\n\r\n"),
        ("DELETE", {}, b"", b"\r\n\r\n"),
        ("POST", {}, b"", b"\r\nContent-Length: 0\r\n\r\n"),
        ("GET", {}, b"{}", b"\r\nContent-Length: 2\r\n\r\n{}"),
    ],
)
def test_a_body_says_how_long_it_is(
    talk: Talk, method: str, headers: dict[str, str], body: bytes, expected: bytes
) -> None:
    came = received(talk, lambda up: up.request(method, "/a", headers, body))
    assert came.endswith(expected)
    assert came.lower().count(b"content-length") + came.count(b"chunked") <= 1


@pytest.mark.parametrize(
    ("target", "headers"),
    [
        ("/a HTTP/1.1\r\nx: y\r\n\r\n", {}),
        ("/a b", {}),
        ("/a", {"x": "y\r\nz: 1"}),
        ("/a", {"x": "y\nz"}),
        ("/a", {"x\r": "y"}),
        ("/a", {"x": "J\udcfcrgen"}),
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
        found = client.request(method, "/", {})
        assert found.body == body
        assert f" {found.status} ".encode() in answer
        assert "x" not in dict(found.headers)
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


# Connections


@pytest.mark.parametrize(
    "answer",
    [
        OK.replace(b"Content", b"Connection: close\r\nContent"),
        OK.replace(b"1.1", b"1.0"),
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
    assert server.connections == 3


def closing_at_the_second(conversation: Conversation) -> None:
    conversation.read()
    conversation.send(OK)
    conversation.read()


def test_a_search_is_asked_again_where_its_connection_was_closed_just_then(talk: Talk) -> None:
    server, client = talk(closing_at_the_second)
    for _ in range(3):
        assert client.request("POST", "/_search", {}, b"{}").body == b"ok"
    assert server.connections == 3


def test_a_search_is_not_asked_again_over_a_connection_that_is_new(talk: Talk) -> None:
    server, client = talk(lambda conversation: [conversation.read(), None][1])
    with pytest.raises(ClusterDown, match="broke the connection"):
        client.request("POST", "/_search", {}, b"{}")
    assert server.connections == 1


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


def test_a_caller_who_leaves_ends_the_request_in_opensearch(talk: Talk) -> None:
    arrived, gone, caller = threading.Event(), threading.Event(), Caller()

    def script(conversation: Conversation) -> None:
        conversation.read()
        arrived.set()
        if not conversation.read():
            gone.set()

    def ask() -> None:
        CALLER.set(caller)
        with pytest.raises(ClusterDown, match="caller is gone"):
            client.request("GET", "/", {})

    _, client = talk(script)
    asking = threading.Thread(target=ask)
    asking.start()
    assert arrived.wait(10)
    caller.leave()
    asking.join(10)
    assert gone.wait(10)


def test_an_answer_that_is_too_large_is_not_read(talk: Talk) -> None:
    server, _ = talk(keeping(b"HTTP/1.1 200 OK\r\nContent-Length: 2000\r\n\r\n" + b"x" * 2000))
    client = HttpClient(OpenSearchSettings(url=server.url), max_bytes=1000)
    with pytest.raises(AnswerTooLarge, match="more than 1000 bytes"):
        client.request("GET", "/", {})
    client.close()


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
    done = threading.Event()

    def script(conversation: Conversation) -> None:
        conversation.read()
        conversation.send(OK)
        done.wait(60)  # as if the network were gone: no answer, and no end

    server, client = talk(script)
    with ThreadPoolExecutor(1) as other:
        assert other.submit(client.request, "GET", "/", {}).result().body == b"ok"
        assert client.request("GET", "/", {}).body == b"ok"
        with pytest.raises(TimeoutError, match="in time"):
            client.request("POST", "/_search", {}, b"{}", timeout_seconds=0.1)
        assert other.submit(client.request, "GET", "/", {}).result().body == b"ok"
        assert client.request("GET", "/", {}).body == b"ok"
    done.set()
    assert server.connections == 4


def test_nobody_there() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    client = HttpClient(OpenSearchSettings(url=url))
    for seconds in (5.0, None):
        with pytest.raises(ClusterDown, match=f"does not answer at {url}"):
            client.request("GET", "/", {}, timeout_seconds=seconds)
