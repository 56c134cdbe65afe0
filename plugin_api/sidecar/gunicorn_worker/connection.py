"""A client's connection, as a worker keeps it between and during requests."""

import socket
from enum import Enum

RECEIVE_BYTES = 65536
"""Most that is received at a time."""


class State(Enum):
    """What a connection waits for."""

    HANDSHAKE = "the end of its TLS handshake"
    IDLE = "the first byte of a request"
    HEAD = "the rest of a request's line and headers"
    BODY = "the rest of a request's body"
    ANSWERING = "a thread"
    CLOSING = "the client's own end"


class Connection:
    """One client's connection."""

    __slots__ = ("client", "deadline", "received", "server", "sock", "state")

    def __init__(self, sock: socket.socket, client: object, server: object) -> None:
        self.sock, self.client, self.server = sock, client, server
        self.received = bytearray()
        self.state = State.IDLE
        self.deadline = 0.0
