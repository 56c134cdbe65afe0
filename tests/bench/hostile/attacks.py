"""What hostile clients do, each until it is told to stop. Every attack counts what it has sent."""

import gzip
import json
import random
import select
import socket
import struct
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from functools import partial
from threading import Event, Thread
from typing import Protocol

Address = tuple[str, int]

ATTACKED = "shop"
"""The index or alias that hostile clients search."""

SEARCH = {"query": {"match": {"title": "mouse"}}}
HOST = b"Host: shop\r\n"
JSON = b"Content-Type: application/json\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n\r\n"
HUNG = b"GET /_cluster/health?wait_for_nodes=9&timeout=40s HTTP/1.1\r\n" + HOST + b"\r\n"
PACE_SECONDS = 0.002
"""Between the connections of an attack: attackers on the same machine must leave it some time."""

HEAVY_PACE_SECONDS = 0.1
"""Between requests of some megabytes: 100 MB a second are more than most networks bring."""

MANY = 1000


_RECEIVE_BYTES = 65_536
"""Kernel memory of an attacker of this machine: that of another machine would not be missed here."""

_SOURCE = ("127.0.0.2", 0)
"""Where attackers of this machine come from: nginx tells clients apart by their addresses."""


class Count(Protocol):
    """Counts one more hostile request or connection."""

    def __call__(self, requests: int = 1) -> None: ...


Attack = Callable[[Address, Event, Count], None]


def half_heads(address: Address, stop: Event, count: Count) -> None:
    """Open many connections that begin a request and never end it."""
    _hold(address, stop, count, b"GET /shop/_search HTTP/1.1\r\nHost: sh")


def half_heads_of_many_lines(address: Address, stop: Event, count: Count) -> None:
    """Begin requests with thousands of short headers, which never end."""
    _hold(address, stop, count, b"GET /shop/_search HTTP/1.1\r\nHost: sh\r\n" + b"a:b\r\n" * 12_000)


def half_bodies(address: Address, stop: Event, count: Count) -> None:
    """Send many searches whose chunked bodies never end."""
    _hold(address, stop, count, _post(b"/shop/_search") + CHUNKED + b"5\r\nab")


def half_bodies_of_64_kb(address: Address, stop: Event, count: Count) -> None:
    """Send many searches whose bodies end just before the last byte."""
    body = b" " * 65_000
    _hold(address, stop, count, _post(b"/shop/_search") + b"Content-Length: 65001\r\n\r\n" + body)


def half_uploads(address: Address, stop: Event, count: Count) -> None:
    """Send searches of nearly 10 MB whose ends never come."""
    head = _post(b"/shop/_search") + b"Content-Length: 9000000\r\n\r\n"
    with ExitStack() as stack:
        for _ in range(64):
            sock = stack.enter_context(_connected(address))
            sock.settimeout(0.2)
            count()
            with suppress(OSError):
                sock.sendall(head)
                for _ in range(80):
                    if stop.wait(PACE_SECONDS / 2):
                        return
                    sock.sendall(b" " * 100_000)
        stop.wait()


def endless_trailers(address: Address, stop: Event, count: Count) -> None:
    """Send whole bodies, and after them trailers without an end."""
    start = _post(b"/shop/_search") + CHUNKED + b"2\r\n{}\r\n0\r\n"
    _flood(address, stop, count, start, b"a:b\r\n" * 4000)


def endless_heads(address: Address, stop: Event, count: Count) -> None:
    """Send headers without an end."""
    _flood(address, stop, count, b"GET / HTTP/1.1\r\n" + HOST, b"X-A: " + b"b" * 1000 + b"\r\n")


def endless_next_heads(address: Address, stop: Event, count: Count) -> None:
    """Ask what takes OpenSearch long, and send the head of another request without an end meanwhile."""
    _flood(address, stop, count, HUNG + b"GET / HTTP/1.1\r\nX-A: ", b"b" * 16_000)


def pipelines(address: Address, stop: Event, count: Count) -> None:
    """Send thousands of requests at once behind one that takes OpenSearch long."""
    _hold(address, stop, count, HUNG + b"GET / HTTP/1.1\r\n\r\n" * 12_000, connections=400)


def resets(address: Address, stop: Event, count: Count) -> None:
    """Reset connections, many before they are accepted."""
    while not stop.wait(PACE_SECONDS):
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        with suppress(OSError), sock:
            if _is_local(address):
                sock.bind(_SOURCE)
            sock.connect(address)
        count()


def noise(address: Address, stop: Event, count: Count) -> None:
    """Send what is not HTTP."""
    chance = random.Random(1)
    while not stop.wait(PACE_SECONDS):
        with suppress(OSError), _connected(address) as sock:
            sock.sendall(chance.randbytes(chance.randrange(2000)))
        count()


def damaged_requests(address: Address, stop: Event, count: Count) -> None:
    """Send requests in which some bytes are others, and read what comes."""
    chance = random.Random(2)
    body = json.dumps({**SEARCH, "size": 3, "ext": {"attune": {"window": 5}}}).encode()
    undamaged = [
        _whole(b"/shop/_search", body),
        _whole(b"/shop/_msearch", b"{}\n" + body + b"\n"),
        _whole(b"/v1/rerank", b'{"query":"mouse","documents":["a mouse","a cat"]}'),
        _whole(b"/_attune/explain", b'{"index":"shop","id":"a","query":"mouse"}'),
        b"GET /shop/_doc/a?pretty HTTP/1.1\r\nConnection: close\r\n" + HOST + b"\r\n",
    ]
    while not stop.wait(PACE_SECONDS):
        damaged = bytearray(chance.choice(undamaged))
        for _ in range(chance.choice((1, 1, 2, 5, 20))):
            at = chance.randrange(len(damaged))
            damaged[at : at + chance.randrange(3)] = chance.randbytes(chance.randrange(3))
        with suppress(OSError), _connected(address) as sock:
            sock.settimeout(0.2)
            sock.sendall(damaged)
            sock.shutdown(socket.SHUT_WR)
            while sock.recv(1 << 16):
                pass
        count()


def hang_ups(address: Address, stop: Event, count: Count) -> None:
    """Ask what takes OpenSearch long, and hang up at once."""
    while not stop.wait(PACE_SECONDS * 10):
        with suppress(OSError), _connected(address) as sock:
            sock.sendall(HUNG)
        count()


def hang_ups_of_two(address: Address, stop: Event, count: Count) -> None:
    """Ask what takes OpenSearch long, ask for something else on the same connection, and hang up."""
    while not stop.wait(PACE_SECONDS):
        with suppress(OSError), _connected(address) as sock:
            sock.sendall(HUNG + b"GET / HTTP/1.1\r\n" + HOST + b"\r\n")
        count(2)


def long_waits(address: Address, stop: Event, count: Count) -> None:
    """Ask what takes OpenSearch long on thousands of connections, and wait."""
    _hold(address, stop, count, HUNG, connections=2500)


def slow_readers(address: Address, stop: Event, count: Count) -> None:
    """Ask for large answers and read none of them."""
    request = b"PUT /long/_doc?pieces=200 HTTP/1.1\r\n" + HOST + b"Content-Length: 0\r\n\r\n"
    _hold(address, stop, count, request, connections=400)


def slow_readers_of_searches(address: Address, stop: Event, count: Count) -> None:
    """Search for what has large answers, and read none of them."""
    body = json.dumps({**SEARCH, "size": 140}).encode()
    _hold(address, stop, count, _whole(b"/large/_search", body, close=False), connections=400)


def large_answers(address: Address, stop: Event, count: Count) -> None:
    """Search for what has answers of 9 MB, many at a time."""
    body = json.dumps({**SEARCH, "size": 140}).encode()
    _ask_at_once(address, stop, count, [_whole(b"/large/_search", body)], HEAVY_PACE_SECONDS * 5)


def huge_searches(address: Address, stop: Event, count: Count) -> None:
    """Send searches for a text of nearly 10 MB."""
    text = json.dumps({"query": {"match": {"title": "mouse " * 1_600_000}}}).encode()
    _ask(address, stop, count, [_whole(b"/shop/_search", text)], HEAVY_PACE_SECONDS)


def many_clauses(address: Address, stop: Event, count: Count) -> None:
    """Send searches of half a megabyte of small clauses."""
    clause = b'{"term":{"a":[]}},'
    query = b'{"query":{"bool":{"should":[' + clause * 28_000 + b'{"match":{"title":"mouse"}}]}}}'
    _ask(address, stop, count, [_whole(b"/shop/_search", query)], HEAVY_PACE_SECONDS)


def packed_searches(address: Address, stop: Event, count: Count) -> None:
    """Send searches of 10 KB that unpack to nearly 10 MB, many at a time."""
    text = b'{"query":{"match":{"title":"' + b"mouse " * 1_600_000 + b'"}}}'
    lists = b'{"query":{"bool":{"should":[' + b"[]," * 3_000_000 + b"[]]}}}"
    packed = [
        _whole(b"/shop/_search", gzip.compress(body), b"Content-Encoding: gzip\r\n") for body in (text, lists)
    ]
    _ask_at_once(address, stop, count, packed, HEAVY_PACE_SECONDS * 5)


def long_lists(address: Address, stop: Event, count: Count) -> None:
    """Send lists of 1,500 and of 300,000 searches."""
    line = b"{}\n" + json.dumps(SEARCH).encode() + b"\n"
    lists = [_whole(b"/shop/_msearch", line * 1500)] * 9
    _ask(address, stop, count, [*lists, _whole(b"/shop/_msearch", b"{}\n{}\n" * 300_000)], HEAVY_PACE_SECONDS)


def short_times(address: Address, stop: Event, count: Count) -> None:
    """Send searches that can't succeed in the time or with the options that they bring."""
    options: list[dict[str, object]] = [
        {"timeout": "1ms"},
        {"timeout": "0ms"},
        {"ext": {"attune": {"query": " " * 2000}}},
        {"ext": {"attune": {"relevance_weight": 1e-320, "click_weight": 0, "purchase_weight": 0}}},
        {"ext": {"attune": {"model": "0123456789ab"}}},
        {"ext": {"attune": {"window": 1000}}},
    ]
    requests = [_whole(b"/shop/_search", json.dumps({**SEARCH, **more}).encode()) for more in options]
    _ask(address, stop, count, requests, PACE_SECONDS)


def model_texts(address: Address, stop: Event, count: Count) -> None:
    """Send the model routes what takes long to read or to score."""
    names = [str(n) for n in range(1_000_000)]
    bodies: list[tuple[bytes, dict[str, object]]] = [
        (b"/v1/rerank", {"query": "mouse", "rank_fields": names, "documents": [{"0": "a"}] * 1000}),
        (b"/v1/rerank", {"query": "mouse", "documents": [{}] * 3_000_000}),
        (b"/v1/rerank", {"query": "mouse", "documents": [{"a": [[]] * 3_000_000}]}),
        (b"/rerank", {"query": "mouse", "texts": ["a1a1a1"] * 900_000}),
        (b"/rerank", {"query": "a1" * 150_000, "texts": ["a1" * 150_000]}),
        (b"/v1/embeddings", {"input": ["<a" * 20_000] * 100}),
        (b"/_attune/cluster/score", {"search": {}, "window": 10, "models": [], "tokens": ["AA"] * 1_000_000}),
    ]
    encoded = [_whole(path, json.dumps(body, separators=(",", ":")).encode()) for path, body in bodies]
    _ask_at_once(address, stop, count, encoded, 1.0)


ATTACKS: dict[str, Attack] = {
    attack.__name__: attack
    for attack in (
        *(half_heads, half_heads_of_many_lines, half_bodies, half_bodies_of_64_kb, half_uploads),
        *(endless_heads, endless_next_heads, endless_trailers, pipelines, resets, noise, damaged_requests),
        *(hang_ups, hang_ups_of_two, long_waits, slow_readers, slow_readers_of_searches, large_answers),
        *(huge_searches, many_clauses, packed_searches, long_lists, short_times, model_texts),
    )
}


def _post(path: bytes) -> bytes:
    return b"POST " + path + b" HTTP/1.1\r\n" + HOST + JSON


def _whole(path: bytes, body: bytes, more: bytes = b"", close: bool = True) -> bytes:
    more += b"Connection: close\r\n" if close else b""
    return _post(path) + more + b"Content-Length: %d\r\n\r\n" % len(body) + body


def _hold(address: Address, stop: Event, count: Count, start: bytes, connections: int = MANY) -> None:
    """Send the same on many connections, and hold all of them open; those that end are opened again."""
    with ExitStack() as stack:
        socks: list[socket.socket] = []
        while not stop.wait(PACE_SECONDS):
            if len(socks) < connections:
                with suppress(OSError):
                    socks.append(stack.enter_context(_connected(address)))
                    socks[-1].settimeout(0.05)
                    socks[-1].sendall(start)
                count()
            elif stop.wait(0.5):
                return
            else:
                socks = [sock for sock in socks if not _has_ended(sock)]


def _has_ended(sock: socket.socket) -> bool:
    """Whether the other side has closed; the socket is closed then. Waiting bytes are left unread."""
    poll = select.poll()
    poll.register(sock, select.POLLRDHUP | select.POLLERR | select.POLLHUP)
    ended = bool(poll.poll(0))
    if ended:
        sock.close()
    return ended


def _flood(address: Address, stop: Event, count: Count, start: bytes, piece: bytes) -> None:
    """Send a start and then the same piece again and again, on eight connections at a time."""

    def flood() -> None:
        while not stop.wait(PACE_SECONDS):
            count()
            with suppress(OSError), _connected(address) as sock:
                sock.sendall(start)
                while not stop.wait(PACE_SECONDS / 4):
                    sock.sendall(piece)

    _run_all([flood] * 8)


def _ask(address: Address, stop: Event, count: Count, requests: Sequence[bytes], pace: float) -> None:
    """Send whole requests one after another, and read the answers."""
    sent = 0
    while not stop.wait(pace):
        with suppress(OSError), _connected(address) as sock:
            sock.settimeout(30)
            sock.sendall(requests[sent % len(requests)])
            while sock.recv(1 << 20):
                pass
        sent += 1
        count()


def _ask_at_once(address: Address, stop: Event, count: Count, requests: Sequence[bytes], pace: float) -> None:
    """Send whole requests on 32 connections at a time, and read the answers."""
    starts = [n % len(requests) for n in range(32)]
    _run_all([partial(_ask, address, stop, count, [*requests[n:], *requests[:n]], pace) for n in starts])


def _run_all(works: Sequence[Callable[[], None]]) -> None:
    threads = [Thread(target=work) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _connected(address: Address) -> socket.socket:
    source = _SOURCE if _is_local(address) else None
    sock = socket.create_connection(address, timeout=5, source_address=source)
    if _is_local(address):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BYTES)
    return sock


def _is_local(address: Address) -> bool:
    return address[0] == "127.0.0.1"
