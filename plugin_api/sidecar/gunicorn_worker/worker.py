"""A gunicorn worker that slow clients cannot stop.

One thread waits for all clients: for their TLS handshakes, for whole requests, for the end of connections. A
request goes to one of `threads` threads once it is there, so that clients who send nothing, or a byte a
second, hold none of them up. Threads of a second pool take requests with long bodies, and the rest of answers
that are read slowly; those wait for clients, but within limits (`client_stream`).

gunicorn's gthread worker, of which this takes the place, reads requests in the threads that answer them, with
no limit on the time, and closes connections in the thread that accepts them.
"""

import os
import queue
import selectors
import signal
import socket
import ssl
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial

from gunicorn.sock import ssl_context
from gunicorn.workers.base import Worker

from plugin_api.sidecar.gunicorn_worker.arrival import HEAD_BYTES, WHOLE_BODY_BYTES, Arrival, arrival
from plugin_api.sidecar.gunicorn_worker.connection import RECEIVE_BYTES, Connection, State
from plugin_api.sidecar.gunicorn_worker.exchange import Exchange, Outcome, refusal
from plugin_api.sidecar.gunicorn_worker.following import Following

HEAD_SECONDS = 10.0
"""For a TLS handshake, and for the whole of a request's head."""

BODY_SECONDS = 30.0
"""For the whole of a request with a short body."""

LINGER_SECONDS = 2.0
"""For a client to take the end of an answer and close, and for idle connections when a worker stops."""

SLOW_THREADS = 64
STOPPING = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT)


class PatientWorker(Worker):  # type: ignore[misc]  # gunicorn is untyped
    """Of gunicorn's options it knows threads, keepalive, worker_connections, graceful_timeout and TLS."""

    def init_process(self) -> None:
        """Set up what lives in the forked process, then serve."""
        self._threads = ThreadPoolExecutor(self.cfg.threads, "attune")
        self._slow_threads = ThreadPoolExecutor(SLOW_THREADS, "attune-slow")
        self._poller = selectors.DefaultSelector()
        self._connections: set[Connection] = set()
        self._done: queue.SimpleQueue[tuple[Connection, Exchange, Outcome]] = queue.SimpleQueue()
        self._tls = ssl_context(self.cfg) if self.cfg.is_ssl else None
        self._next_sweep = 0.0
        self._following = Following(self.cfg)
        super().init_process()

    def init_signals(self) -> None:
        """Take signals from here on, those too that were held since before the fork (`server.serve`)."""
        super().init_signals()
        signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPPING)

    def run(self) -> None:
        """Serve until a signal or the end of the parent, then let requests in hand end."""
        self._poller.register(self.PIPE[0], selectors.EVENT_READ, self._woken)
        for listener in self.sockets:
            listener.setblocking(False)
            self._poller.register(listener, selectors.EVENT_READ, partial(self._accept, listener))
        while self.alive and self.ppid == os.getppid():
            self._turn()
        for listener in self.sockets:
            self._poller.unregister(listener)
        end = time.monotonic()
        for connection in self._connections:
            if connection.state is State.IDLE:
                connection.deadline = min(connection.deadline, end + LINGER_SECONDS)
        while self._connections and time.monotonic() < end + self.cfg.graceful_timeout:
            self._turn()
        for pool in (self._threads, self._slow_threads):
            pool.shutdown(wait=False, cancel_futures=True)

    def _turn(self) -> None:
        self.notify()
        for key, _ in self._poller.select(1.0):
            key.data()
        now = time.monotonic()
        if now >= self._next_sweep:
            self._next_sweep = now + 0.5
            for connection in [found for found in self._connections if found.deadline <= now]:
                self._expire(connection)

    def _woken(self) -> None:
        with suppress(BlockingIOError):
            os.read(self.PIPE[0], 4096)
        while not self._done.empty():
            self._answered(*self._done.get())

    # Connections

    def _accept(self, listener: socket.socket) -> None:
        try:
            sock, client = listener.accept()
        except (BlockingIOError, ConnectionAbortedError):
            return
        except OSError:  # out of file descriptors
            self._make_room()
            return
        sock.setblocking(False)
        with suppress(OSError):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if len(self._connections) >= self.cfg.worker_connections and not self._make_room():
            sock.close()
            return
        connection = Connection(sock, client, listener.getsockname())
        self._connections.add(connection)
        if self._tls is None:
            self._wait(connection, State.IDLE, HEAD_SECONDS)
            return
        connection.sock = self._tls.wrap_socket(sock, server_side=True, do_handshake_on_connect=False)
        self._wait(connection, State.HANDSHAKE, HEAD_SECONDS)

    def _make_room(self) -> bool:
        """Close the connection that has waited longest for its client; False where none does."""
        candidates = [found for found in self._connections if found.state is not State.ANSWERING]
        if candidates:
            self._drop(min(candidates, key=lambda found: found.deadline))
        return bool(candidates)

    def _wait(self, connection: Connection, state: State, seconds: float) -> None:
        """Wait for the client, from now on, `seconds` at most."""
        if connection.state is not state or state is State.IDLE:
            connection.deadline = time.monotonic() + seconds
        connection.state = state
        step = {
            State.HANDSHAKE: self._shake_hands,
            State.CLOSING: self._discard,
        }.get(state, self._receive)
        self._watch(connection, selectors.EVENT_READ, partial(step, connection))

    def _watch(self, connection: Connection, events: int, step: "partial[None]") -> None:
        try:
            self._poller.modify(connection.sock, events, step)
        except KeyError:
            self._poller.register(connection.sock, events, step)

    def _drop(self, connection: Connection) -> None:
        self._connections.discard(connection)
        with suppress(KeyError, ValueError):
            self._poller.unregister(connection.sock)
        with suppress(OSError):
            connection.sock.close()

    def _expire(self, connection: Connection) -> None:
        if connection.state in (State.HEAD, State.BODY):
            self._refuse(connection, 408, "the request came too slowly")
        elif connection.state is not State.ANSWERING:
            self._drop(connection)

    def _shake_hands(self, connection: Connection) -> None:
        assert isinstance(connection.sock, ssl.SSLSocket)
        again = partial(self._shake_hands, connection)
        try:
            connection.sock.do_handshake()
        except ssl.SSLWantReadError:
            self._watch(connection, selectors.EVENT_READ, again)
        except ssl.SSLWantWriteError:
            self._watch(connection, selectors.EVENT_WRITE, again)
        except OSError:
            self._drop(connection)
        else:
            self._wait(connection, State.IDLE, HEAD_SECONDS)
            self._receive(connection)

    # Requests

    def _receive(self, connection: Connection) -> None:
        try:
            data = connection.sock.recv(RECEIVE_BYTES)
            while data and _undelivered(connection.sock) and len(data) <= HEAD_BYTES + WHOLE_BODY_BYTES:
                data += connection.sock.recv(RECEIVE_BYTES)
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return
        except OSError:
            data = b""
        if not data:
            self._drop(connection)
            return
        connection.received += data
        self._judge(connection)

    def _judge(self, connection: Connection) -> None:
        judged = arrival(connection.received)
        if judged is Arrival.TOO_LARGE:
            self._refuse(connection, 431, "the request's line and headers are too long")
        elif judged is Arrival.WAIT:
            headed = b"\r\n\r\n" in connection.received
            self._wait(connection, *((State.BODY, BODY_SECONDS) if headed else (State.HEAD, HEAD_SECONDS)))
        else:
            self._answer(connection, patient=judged is Arrival.STREAM)

    def _answer(self, connection: Connection, patient: bool) -> None:
        with suppress(KeyError):
            self._poller.unregister(connection.sock)
        connection.state, connection.deadline = State.ANSWERING, float("inf")
        received = bytes(connection.received)
        connection.received.clear()
        exchange = Exchange(
            self.cfg, connection.sock, connection.client, connection.server, received, patient
        )
        if patient:
            self._slow_threads.submit(self._in_thread, connection, exchange, False)
            return
        self._following.wanted.append(connection)
        self._threads.submit(self._in_turn, connection, exchange)

    def _in_turn(self, connection: Connection, exchange: Exchange) -> None:
        self._following.wanted.popleft()
        self._in_thread(connection, exchange, False)

    def _in_thread(self, connection: Connection, exchange: Exchange, rest: bool) -> None:
        outcome = Outcome.CLOSE
        try:
            outcome = exchange.finish() if rest else exchange.begin(self.wsgi, self.alive)
            while outcome is Outcome.KEEP and self.alive:
                following = self._following.exchange(connection, exchange.left_over())
                if following is None:
                    break
                exchange, outcome = following, Outcome.CLOSE
                outcome = exchange.begin(self.wsgi, self.alive)
        finally:
            self._done.put((connection, exchange, outcome))
            with suppress(BlockingIOError):  # a full pipe wakes the loop as well
                os.write(self.PIPE[1], b".")

    def _answered(self, connection: Connection, exchange: Exchange, outcome: Outcome) -> None:
        if outcome is Outcome.SLOW:
            self._slow_threads.submit(self._in_thread, connection, exchange, True)
            return
        try:
            connection.sock.setblocking(False)
        except OSError:
            self._drop(connection)
            return
        if outcome is Outcome.CLOSE or not self.cfg.keepalive:
            self._close(connection)
            return
        connection.received += exchange.left_over()
        if connection.received:
            self._judge(connection)
            return
        self._wait(connection, State.IDLE, self.cfg.keepalive if self.alive else LINGER_SECONDS)
        if _undelivered(connection.sock):
            self._receive(connection)

    def _refuse(self, connection: Connection, status: int, reason: str) -> None:
        with suppress(OSError):
            connection.sock.send(refusal(status, reason))
        self._close(connection)

    def _close(self, connection: Connection) -> None:
        """Say that nothing follows and let the client close first: it might lose the answer's end."""
        connection.received.clear()
        try:
            if isinstance(connection.sock, ssl.SSLSocket):
                with suppress(ssl.SSLError, ValueError):
                    connection.sock.unwrap()
            connection.sock.shutdown(socket.SHUT_WR)
        except OSError:
            self._drop(connection)
            return
        self._wait(connection, State.CLOSING, LINGER_SECONDS)

    def _discard(self, connection: Connection) -> None:
        try:
            if connection.sock.recv(RECEIVE_BYTES):
                return
        except (BlockingIOError, ssl.SSLWantReadError):
            return
        except OSError:
            pass
        self._drop(connection)


def _undelivered(sock: socket.socket) -> bool:
    """Whether TLS holds bytes that were received and that the poller can't see."""
    return isinstance(sock, ssl.SSLSocket) and sock.pending() > 0
