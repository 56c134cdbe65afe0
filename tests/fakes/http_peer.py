"""A server of raw bytes: what it received, and answers that are written out."""

import re
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

Script = Callable[["Conversation"], None]
"""What the server does on one connection."""


class Conversation:
    """One connection: requests are read whole, answers are sent as they stand."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self._received = b""

    def read(self) -> bytes:
        """Return the next request, head and body, as it came; b"" where the client closed before its end."""
        while b"\r\n\r\n" not in self._received:
            if not self._more():
                return b""
        end = self._received.index(b"\r\n\r\n") + 4
        head = self._received[:end].lower()
        length = re.search(rb"\r\ncontent-length: (\d+)", head)
        chunked = b"\r\ntransfer-encoding: chunked" in head
        while not self._whole(end, int(length[1]) if length else 0, chunked):
            if not self._more():
                return b""
        if chunked:
            end = self._received.index(b"0\r\n\r\n", end) + 5
        elif length:
            end += int(length[1])
        request, self._received = self._received[:end], self._received[end:]
        return request

    def send(self, *pieces: bytes) -> None:
        """Send pieces, each in a packet of its own."""
        for piece in pieces:
            self.sock.sendall(piece)

    def _whole(self, end: int, length: int, chunked: bool) -> bool:
        return b"0\r\n\r\n" in self._received[end:] if chunked else len(self._received) >= end + length

    def _more(self) -> bool:
        data = self.sock.recv(65536)
        self._received += data
        return bool(data)


class Peer:
    """The server: how many `connections` it has had, and its `url`."""

    def __init__(self, script: Script, context: ssl.SSLContext | None = None) -> None:
        self.connections = 0
        self._script, self._context = script, context
        self._listener = socket.create_server(("127.0.0.1", 0))
        scheme = "https" if context else "http"
        self.url = f"{scheme}://127.0.0.1:{self._listener.getsockname()[1]}"
        self._conversing: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def close(self) -> None:
        """Stop accepting, and wait until what came is read: a client may leave its connections open."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._threads[0].join()
        for sock in self._conversing:
            with suppress(OSError):  # it is closed
                sock.shutdown(socket.SHUT_RD)
        for thread in self._threads:
            thread.join()

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            thread = threading.Thread(target=self._converse, args=(sock,))
            self._threads.append(thread)
            thread.start()

    def _converse(self, sock: socket.socket) -> None:
        with suppress(OSError), sock:
            if self._context:
                sock = self._context.wrap_socket(sock, server_side=True)
            self._conversing.append(sock)
            with sock:
                self._script(Conversation(sock))


def answering(*answers: bytes) -> Script:
    """Answer the requests of a connection one after another, and close it after the last."""

    def script(conversation: Conversation) -> None:
        for answer in answers:
            if not conversation.read():
                return
            conversation.send(answer)

    return script


def keeping(answer: bytes) -> Script:
    """Give every request of a connection the same answer."""

    def script(conversation: Conversation) -> None:
        while conversation.read():
            conversation.send(answer)

    return script


@contextmanager
def peer(script: Script, context: ssl.SSLContext | None = None) -> Iterator[Peer]:
    """Run a server while the block runs, over TLS where there is a context."""
    server = Peer(script, context)
    try:
        yield server
    finally:
        server.close()
