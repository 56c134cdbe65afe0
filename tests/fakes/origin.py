"""What stands behind a proxy under test, as a program: `python origin.py PORT…`. It says what reached it.

Each answer is JSON: the port, the request line, the headers as they came and the size and digest of the body.
Headers of the request choose another answer:

- `x-status: 8080=503`: that status from that port, and nothing else.
- `x-wait: NAME`: one byte of the body at once, the rest after `POST /let-go/NAME`.
- `x-name: NAME`: `GET /received/NAME` tells how many bytes of the body have come so far.
"""

import hashlib
import json
import sys
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

CHUNK_BYTES = 65_536
_received: dict[str, int] = defaultdict(int)
_gates: dict[str, threading.Event] = defaultdict(threading.Event)


class Origin(BaseHTTPRequestHandler):
    """Answers every method."""

    protocol_version = "HTTP/1.1"

    def __getattr__(self, name: str) -> Callable[[], None]:
        if name.startswith("do_"):
            return self._answer
        raise AttributeError(name)

    def log_message(self, format: str, *args: object) -> None:
        """Stay silent."""

    def _answer(self) -> None:
        port = self.server.server_address[1]
        size, digest = 0, hashlib.sha256()
        for chunk in self._body():
            size += len(chunk)
            digest.update(chunk)
            if name := self.headers.get("x-name"):
                _received[name] += len(chunk)
        first, _, last = self.path.rpartition("/")
        if first == "/let-go":
            _gates[last].set()
        answer = {
            "port": port,
            "line": self.requestline,
            "headers": self.headers.items(),
            "size": size,
            "sha256": digest.hexdigest(),
            "received": _received[last] if first == "/received" else 0,
        }
        self._send(self._status(port), json.dumps(answer).encode(), self.headers.get("x-wait", ""))

    def _send(self, status: int, body: bytes, gate: str) -> None:
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body[:1])
            self.wfile.flush()
            if gate:
                _gates[gate].wait(60)
            self.wfile.write(body[1:])

    def _status(self, port: int) -> int:
        wanted, _, status = self.headers.get("x-status", "").partition("=")
        return int(status) if wanted == str(port) else 200

    def _body(self) -> Iterator[bytes]:
        if self.headers.get("transfer-encoding", "") == "chunked":
            while size := int(self.rfile.readline(), 16):
                yield self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
            return
        remaining = int(self.headers.get("content-length", 0))
        while remaining and (chunk := self.rfile.read1(min(CHUNK_BYTES, remaining))):
            remaining -= len(chunk)
            yield chunk


def main() -> None:
    """Serve every port until killed."""
    servers = [ThreadingHTTPServer(("", int(port)), Origin) for port in sys.argv[1:]]
    threads = [threading.Thread(target=server.serve_forever) for server in servers]
    for thread in threads:
        thread.start()
    print("serving", flush=True)


if __name__ == "__main__":
    main()
