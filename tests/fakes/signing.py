"""Amazon's request signing (SigV4): a cluster that refuses what is not signed for it, and a signing proxy."""

import hashlib
import hmac
import http.client
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, quote, urlsplit

from plugin_api.opensearch.client import OpenSearchResponse

Answer = Callable[[str, str, Mapping[str, str], bytes], OpenSearchResponse]


@dataclass(frozen=True)
class Role:
    """Who signs."""

    key: str
    secret: str
    region: str = "eu-central-1"
    service: str = "es"

    def sign(
        self, method: str, target: str, headers: Mapping[str, str], body: bytes, moment: str
    ) -> dict[str, str]:
        """Return the headers by which a request is signed; `headers` are those that the signature covers."""
        signed = {name.lower(): value for name, value in headers.items()} | {"x-amz-date": moment}
        scope = f"{moment[:8]}/{self.region}/{self.service}/aws4_request"
        names = ";".join(sorted(signed))
        url = urlsplit(target)
        query = sorted(parse_qsl(url.query, keep_blank_values=True))
        canonical = "\n".join((
            method,
            quote(url.path, safe="/-_.~"),
            "&".join(f"{quote(name, safe='-_.~')}={quote(value, safe='-_.~')}" for name, value in query),
            *(f"{name}:{' '.join(signed[name].split())}" for name in sorted(signed)),
            "",
            names,
            hashlib.sha256(body).hexdigest(),
        ))  # fmt: skip
        digest = hashlib.sha256(canonical.encode()).hexdigest()
        text = "\n".join(("AWS4-HMAC-SHA256", moment, scope, digest))
        key = f"AWS4{self.secret}".encode()
        for part in scope.split("/"):
            key = hmac.digest(key, part.encode(), "sha256")
        signature = hmac.digest(key, text.encode(), "sha256").hex()
        credential = f"AWS4-HMAC-SHA256 Credential={self.key}/{scope}"
        return {
            "x-amz-date": moment,
            "authorization": f"{credential}, SignedHeaders={names}, Signature={signature}",
        }


@contextmanager
def signed_cluster(role: Role, answer: Answer) -> Iterator[str]:
    """Yield the address of a cluster that `answer` answers for, to requests that `role` has signed for it."""

    def respond(method: str, target: str, headers: Mapping[str, str], body: bytes) -> OpenSearchResponse:
        given = headers.get("authorization", "")
        names = given.partition("SignedHeaders=")[2].partition(",")[0].split(";")
        covered = {name: headers.get(name, "") for name in names if name and name != "x-amz-date"}
        expected = role.sign(method, target, covered, body, headers.get("x-amz-date", ""))
        if "host" not in covered or not hmac.compare_digest(given, expected["authorization"]):
            said = b'{"message": "The request signature we calculated does not match the one you provided."}'
            return OpenSearchResponse(403, (("content-type", "application/json"),), said)
        return answer(method, target, headers, body)

    with _serve(respond) as url:
        yield url


@contextmanager
def signing_proxy(role: Role, upstream: str) -> Iterator[str]:
    """Yield the address of a proxy that signs as `role` what it sends to `upstream`."""
    host = urlsplit(upstream).netloc

    def respond(method: str, target: str, headers: Mapping[str, str], body: bytes) -> OpenSearchResponse:
        passed = {name: value for name, value in headers.items() if name not in ("host", "connection")}
        signature = role.sign(method, target, {"host": host}, body, "20260101T120000Z")
        connection = http.client.HTTPConnection(host, timeout=60)
        connection.request(method, target, body or None, {**passed, **signature})
        came = connection.getresponse()
        kept = (("content-type", came.headers.get("content-type", "application/json")),)
        try:
            return OpenSearchResponse(came.status, kept, came.read())
        finally:
            connection.close()

    with _serve(respond) as url:
        yield url


@contextmanager
def _serve(answer: Answer) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def _handle(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            headers = {name.lower(): value for name, value in self.headers.items()}
            response = answer(self.command, self.path, headers, body)
            self.send_response(response.status)
            for name, value in response.headers:
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(response.body)))
            self.end_headers()
            self.wfile.write(response.body)

        do_GET = do_POST = do_PUT = do_DELETE = _handle

        def log_message(self, format: str, *args: object) -> None:
            """Print nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
