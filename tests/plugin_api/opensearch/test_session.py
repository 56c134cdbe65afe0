"""Passing through: what goes out, what comes back, and what is sent a second time."""

import asyncio
import socket
import threading
from collections.abc import AsyncIterator, Callable, Iterator

import pytest

from mappings.errors import BadRequest, ClusterDown
from mappings.settings import OpenSearchSettings
from plugin_api.opensearch.session import Body, OpenSearchSession, read_headers
from tests.fakes.http_peer import OK, Conversation, Peer, Script, answering, keeping, peer

Answer = tuple[int, tuple[tuple[str, str], ...], bytes]
Headers = tuple[tuple[str, str], ...]


@pytest.fixture
def serve() -> Iterator[Callable[[Script], Peer]]:
    ends: list[Callable[[], object]] = []

    def start(script: Script) -> Peer:
        server = peer(script)
        ends.append(lambda: server.__exit__(None, None, None))
        return server.__enter__()

    yield start
    for end in ends:
        end()


def send(
    server: Peer,
    *requests: tuple[str, str, Headers, Callable[[], Body]],
    closed: threading.Event | None = None,
) -> list[Answer]:
    """Send requests over one session and return their answers.

    The server sets `closed` when the connection is closed: until then, what is left of a body is sent.
    """

    async def run() -> list[Answer]:
        session = OpenSearchSession(OpenSearchSettings(url=server.url))
        answers = []
        try:
            for method, target, headers, body in requests:
                async with session.send(method, target, headers, body()) as response:
                    answers.append((response.status, read_headers(response), await response.read()))
        finally:
            await session.close()
            if closed:
                assert await asyncio.to_thread(closed.wait, 10)
        return answers

    return asyncio.run(run())


def nothing() -> None:
    return None


async def parts() -> AsyncIterator[bytes]:
    for part in (b"abc", b"de"):
        yield part


@pytest.mark.parametrize(
    ("headers", "framing"),
    [
        ((("content-length", "5"),), b"\r\n\r\nabcde"),
        ((), b"\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"),
    ],
)
def test_a_body_is_framed_as_it_came(
    serve: Callable[[Script], Peer], headers: Headers, framing: bytes
) -> None:
    seen: list[bytes] = []

    def script(conversation: Conversation) -> None:
        seen.append(conversation.read())
        conversation.send(OK)

    send(serve(script), ("PUT", "/a", headers, parts))
    assert seen[0].endswith(framing)
    assert seen[0].lower().count(b"content-length") + seen[0].lower().count(b"chunked") == 1


def test_targets_and_headers_go_out_as_they_are(serve: Callable[[Script], Peer]) -> None:
    seen: list[bytes] = []

    def script(conversation: Conversation) -> None:
        while request := conversation.read():
            seen.append(request)
            conversation.send(OK)

    server = serve(script)
    headers = (("x-a", "1"), ("x-a", "2"), ("session_id", "3"), ("x-opaque-id", "Jürgen"))
    targets = ("/a%2Fb/../_doc/a%0Ab?x=%20;y=a+b&z", "//a//_doc", '/a|b"')
    send(server, *(("GET", target, headers, nothing) for target in targets))
    assert [request.split(b" ")[1].decode() for request in seen] == list(targets)
    lines = seen[0].decode().split("\r\n")
    assert [line for line in lines[1:] if line and not line.lower().startswith("host:")] == [
        "x-a: 1", "x-a: 2", "session_id: 3", "x-opaque-id: Jürgen",
    ]  # fmt: skip
    with pytest.raises(BadRequest, match="header 'x' is not UTF-8"):
        send(server, ("GET", "/", (("x", "J\udcfcrgen"),), nothing))


def test_an_answers_headers_are_its_own_alone(serve: Callable[[Script], Peer]) -> None:
    answer = (
        b"HTTP/1.1 200 OK\r\nWarning: one\r\nWarning: two\r\nConnection: keep-alive, X-Hop\r\n"
        b"X-Hop: 1\r\nKeep-Alive: 5\r\nX-Name:  J\xfcrgen \r\nContent-Encoding: gzip\r\n"
        b"Content-Length: 2\r\n\r\nok"
    )
    ((_, headers, body),) = send(serve(keeping(answer)), ("GET", "/", (), nothing))
    assert headers == (
        *(("warning", "one"), ("warning", "two"), ("x-name", "Jürgen")),
        *(("content-encoding", "gzip"), ("content-length", "2")),
    )
    assert body == b"ok"


def closing_at_the_second(conversation: Conversation) -> None:
    conversation.read()
    conversation.send(OK)
    conversation.read()


@pytest.mark.parametrize(
    ("method", "target"),
    [
        ("GET", "/_cat/indices"),
        ("POST", "/shop/_search?q=a"),
        ("POST", "/_msearch/template"),
    ],
)
def test_what_only_reads_is_sent_again_over_a_new_connection(
    serve: Callable[[Script], Peer], method: str, target: str
) -> None:
    server = serve(closing_at_the_second)
    first, second = send(server, ("GET", "/", (), nothing), (method, target, (), nothing))
    assert (first[0], second[0]) == (200, 200)
    assert server.connections == 2


@pytest.mark.parametrize(
    ("method", "target"),
    [
        *(("POST", path) for path in ("/_bulk", "/shop/_doc", "/_search/scroll", "/_searching")),
        *(("POST", "/_doc/_search/x"), ("PUT", "/shop/_doc/1"), ("DELETE", "/shop/_doc/1")),
        *(
            ("GET", "/_search/scroll?scroll_id=a"),
            ("GET", "/_search/scrol%6C"),
            ("GET", "/a/_search?scroll=1m"),
        ),
    ],
)
def test_what_may_change_something_is_sent_once(
    serve: Callable[[Script], Peer], method: str, target: str
) -> None:
    server = serve(closing_at_the_second)
    with pytest.raises(ClusterDown, match="broke the connection"):
        send(server, ("GET", "/", (), nothing), (method, target, (), nothing))
    assert server.connections == 1


def test_a_request_is_not_sent_again_over_a_connection_that_is_new(serve: Callable[[Script], Peer]) -> None:
    server = serve(answering(b""))
    with pytest.raises(ClusterDown, match="broke the connection"):
        send(server, ("GET", "/", (), nothing))
    assert server.connections == 1


def test_an_answer_that_comes_before_the_whole_body_is_the_answer(serve: Callable[[Script], Peer]) -> None:
    def script(conversation: Conversation) -> None:
        conversation.sock.recv(65536)
        conversation.send(b"HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\nConnection: close\r\n\r\nbig")
        conversation.sock.shutdown(socket.SHUT_WR)
        try:
            while conversation.sock.recv(1 << 20):
                pass
        finally:
            closed.set()

    closed = threading.Event()

    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield b"x" * 65536
            await asyncio.sleep(0)

    ((status, _, body),) = send(serve(script), ("POST", "/_bulk", (), endless), closed=closed)
    assert (status, body) == (413, b"big")


def test_half_a_body_never_looks_whole(serve: Callable[[Script], Peer]) -> None:
    seen: list[bytes] = []
    done = threading.Event()

    def script(conversation: Conversation) -> None:
        seen.append(conversation.read())
        done.set()

    async def broken() -> AsyncIterator[bytes]:
        yield b"abc"
        raise BadRequest("the request's body ended early")

    with pytest.raises(ClusterDown):
        send(serve(script), ("POST", "/_bulk", (), broken))
    assert done.wait(10)
    assert seen == [b""]
