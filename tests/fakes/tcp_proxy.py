"""A wire between a job and OpenSearch that can be cut, or held up as a network does that loses packets."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from urllib.parse import urlsplit


class TcpProxy:
    """A TCP proxy on a free port of localhost to the address `url`.

    Cut, it resets every connection at once. Held, it takes connections and passes nothing on until it is
    whole again, then all of it: so requests come late that their sender has given up.
    """

    def __init__(self, url: str) -> None:
        to = urlsplit(url)
        self._to = (to.hostname or "localhost", to.port or 9200)
        self._whole = threading.Event()
        self._whole.set()
        self._cut = False
        self._ended = False
        self._open: set[socket.socket] = set()
        self._server = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._server.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    @contextmanager
    def cut(self) -> Iterator[None]:
        """Reset connections while the block runs."""
        self._cut = True
        for end in list(self._open):
            _reset(end)
        try:
            yield
        finally:
            self._cut = False

    @contextmanager
    def held(self) -> Iterator[None]:
        """Pass nothing on while the block runs."""
        self._whole.clear()
        try:
            yield
        finally:
            self._whole.set()

    def close(self) -> None:
        """End it, with all connections."""
        self._ended = True
        self._whole.set()
        self._server.close()
        for end in list(self._open):
            _reset(end)

    def __enter__(self) -> "TcpProxy":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _accept(self) -> None:
        while not self._ended:
            try:
                near, _ = self._server.accept()
            except OSError:
                return
            if self._cut:
                near.close()
                continue
            try:
                far = socket.create_connection(self._to, timeout=5)
            except OSError:
                near.close()
                continue
            far.settimeout(None)
            threading.Thread(target=self._join, args=(near, far), daemon=True).start()

    def _join(self, near: socket.socket, far: socket.socket) -> None:
        """Pass on what comes from either side until both have ended."""
        with near, far:
            self._open |= {near, far}
            back = threading.Thread(target=self._pump, args=(far, near), daemon=True)
            back.start()
            self._pump(near, far)
            back.join()
            self._open -= {near, far}

    def _pump(self, source: socket.socket, target: socket.socket) -> None:
        try:
            while data := source.recv(65_536):
                self._whole.wait()
                target.sendall(data)
            self._whole.wait()
            target.shutdown(socket.SHUT_WR)
        except OSError:
            _reset(source)
            _reset(target)


def _reset(end: socket.socket) -> None:
    with suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)
