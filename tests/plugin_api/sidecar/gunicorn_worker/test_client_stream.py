import socket
import threading
import time
from collections.abc import Iterator

import pytest

from plugin_api.sidecar.gunicorn_worker import client_stream
from plugin_api.sidecar.gunicorn_worker.client_stream import ClientStream, SlowClient


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    left, right = socket.socketpair()
    with left, right:
        left.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        yield left, right


@pytest.fixture(autouse=True)
def little_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_stream, "PATIENCE_SECONDS", 0.4)
    monkeypatch.setattr(client_stream, "HOLD_SECONDS", 0.1)


def test_a_silent_sender_is_given_up(pair: tuple[socket.socket, socket.socket]) -> None:
    with pytest.raises(SlowClient):
        ClientStream(pair[0], patient=True).recv(10)


def test_a_sender_of_single_bytes_is_given_up(pair: tuple[socket.socket, socket.socket]) -> None:
    def trickle() -> None:
        for _ in range(20):
            time.sleep(0.1)
            pair[1].send(b"x")

    sender = threading.Thread(target=trickle)
    sender.start()
    stream, began = ClientStream(pair[0], patient=True), time.monotonic()
    with pytest.raises(SlowClient):
        [stream.recv(10) for _ in range(6)]
    assert time.monotonic() - began < 1
    sender.join()


def test_a_sender_that_keeps_up_is_served_for_as_long_as_it_takes(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    def steady() -> None:
        for _ in range(10):
            time.sleep(0.1)
            pair[1].send(b"x" * 1024)

    sender = threading.Thread(target=steady)
    sender.start()
    stream, received = ClientStream(pair[0], patient=True), 0
    while received < 10 * 1024:
        received += len(stream.recv(1024))
    sender.join()


def test_what_a_slow_reader_leaves_is_kept_and_sent_later(pair: tuple[socket.socket, socket.socket]) -> None:
    stream = ClientStream(pair[0], patient=False)
    data = bytes(range(256)) * 1000
    began = time.monotonic()
    stream.sendall(data)
    stream.sendall(b"end")
    assert time.monotonic() - began < 0.3
    assert stream.pending.endswith(b"end")
    received = bytearray()

    def read() -> None:
        while len(received) < len(data) + 3:
            received.extend(pair[1].recv(65536))

    reader = threading.Thread(target=read)
    reader.start()
    stream.flush()
    reader.join()
    assert received == data + b"end"
    assert stream.pending == b""


def test_a_reader_that_stops_is_given_up(pair: tuple[socket.socket, socket.socket]) -> None:
    stream = ClientStream(pair[0], patient=False)
    stream.sendall(b"x" * 1_000_000)
    with pytest.raises(SlowClient):
        stream.flush()
