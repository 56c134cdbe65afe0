"""A client's connection as a thread uses it: no client can hold the thread up for ever by being slow."""

import io
import socket
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from gunicorn.http.errors import ParseException
from gunicorn.http.message import Request
from werkzeug.exceptions import BadRequest, ClientDisconnected, HTTPException, RequestTimeout

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

PATIENCE_SECONDS = 30.0
"""How long a client may keep a thread waiting, all in all, beyond what its bytes have earned."""

BYTES_A_SECOND = 1024
"""Bytes that earn a client another second: who sends or takes fewer for long is cut off."""

HOLD_SECONDS = 0.5
"""How long a thread that others need waits for a reader before it leaves it to another."""

SLICE = 65536


class SlowClient(TimeoutError):
    """A client sends or takes its bytes too slowly."""


class ClientStream:
    """The socket as gunicorn's parser and responses use it: `recv`, `send`, `sendall`, all bounded in time.

    While not `patient`, what a slow reader does not take within HOLD_SECONDS is kept in `pending`, and
    whoever writes is expected to look: `flush` sends it, patiently.
    """

    def __init__(self, sock: socket.socket, patient: bool) -> None:
        self.pending = b""
        self.may_read = True
        self._sock, self._patient = sock, patient
        self._seconds = PATIENCE_SECONDS

    def recv(self, size: int) -> bytes:
        """Receive up to `size` bytes, at least one unless the client has closed. Raises SlowClient."""
        if not self.may_read:
            raise SlowClient("no more is read of this request")
        began = self._begin(self._seconds)
        try:
            received = self._sock.recv(size)
        except TimeoutError as error:
            raise SlowClient("the request's body came too slowly") from error
        self._account(began, len(received))
        return received

    def sendall(self, data: bytes) -> None:
        """Send everything, or leave the rest in `pending`. Raises SlowClient once patience ends."""
        if self.pending:
            self.pending += data
            return
        rest = memoryview(data)
        while rest:
            began = self._begin(self._seconds if self._patient else min(HOLD_SECONDS, self._seconds))
            try:
                sent = self._sock.send(rest[:SLICE])
            except TimeoutError as error:
                if self._patient:
                    raise SlowClient("the answer was read too slowly") from error
                self.pending = bytes(rest)
                return
            self._account(began, sent)
            rest = rest[sent:]

    send = sendall

    def flush(self) -> None:
        """From now on wait for a slow reader, and send it what is pending."""
        self._patient = True
        pending, self.pending = self.pending, b""
        self.sendall(pending)

    def _begin(self, seconds: float) -> float:
        if self._seconds <= 0:
            raise SlowClient("the client is too slow")
        self._sock.settimeout(seconds)
        return time.monotonic()

    def _account(self, began: float, moved: int) -> None:
        waited = time.monotonic() - began
        self._seconds = min(PATIENCE_SECONDS, self._seconds - waited + moved / BYTES_A_SECOND)


class ClientBody(io.RawIOBase):
    """A request's body as `wsgi.input`: what is wrong with it is an HTTP error, not a crash of its reader."""

    def __init__(
        self, request: Request, stream: ClientStream, expected: bool, close: Callable[[], None]
    ) -> None:
        """`expected` says that the client waits for a 100; `close` ends the connection of a broken body."""
        super().__init__()
        self._body, self._stream, self._close = request.body, stream, close
        self._missing: int | None = getattr(request.body.reader, "length", None)
        # Said when the body is wanted, and not before: a refused upload need not be sent.
        self._continue = expected

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: "WriteableBuffer") -> int:
        """Fill the buffer as far as the body goes. Raises as `read` does."""
        view = memoryview(buffer).cast("B")
        data = self.read(len(view))
        view[: len(data)] = data
        return len(data)

    def readall(self) -> bytes:
        """Read what is left. Raises as `read` does."""
        return self.read(-1)

    def read(self, size: int | None = -1) -> bytes:
        """Read up to `size` bytes, all that is left for -1.

        Raises BadRequest for broken framing, RequestTimeout for a client that is too slow, ClientDisconnected
        for one that is gone.
        """
        try:
            return self._read(size)
        except HTTPException:
            self._close()
            raise

    def _read(self, size: int | None) -> bytes:
        everything = size is None or size < 0
        try:
            if self._continue:
                self._continue = False
                self._stream.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
            data: bytes = self._body.read(None if everything else size)
        except ParseException as error:
            raise BadRequest("the request's body is not framed as HTTP/1.1 asks for") from error
        except SlowClient as error:
            raise RequestTimeout(str(error)) from error
        except OSError as error:
            raise ClientDisconnected("the client went away before its request had ended") from error
        if self._missing is not None:
            # gunicorn takes the end of a connection for the end of the body.
            self._missing -= len(data)
            if self._missing > 0 and (everything or (size and not data)):
                raise ClientDisconnected("the client went away before its request had ended")
        return data
