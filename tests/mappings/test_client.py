"""What a command says where no OpenSearch answers."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from mappings.client import check_cluster, connect
from mappings.errors import ClusterDown
from mappings.settings import OpenSearchSettings


@contextmanager
def answering(status: int, kind: str, body: bytes) -> Iterator[str]:
    """The address of a server that answers every GET like this."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,)).start()
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()


def complaint(url: str) -> str:
    settings = OpenSearchSettings(url=url)
    client = connect(settings)
    with pytest.raises(ClusterDown) as refused:
        check_cluster(client, settings)
    client.close()
    message = str(refused.value)
    assert url in message
    assert "\n" not in message
    return message


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("text/html", b"<html>"),
        ("application/json", b"[]"),
        ("application/json", b'{"version": 3}'),
        ("application/json", b"{"),
    ],
)
def test_another_program_at_the_address_is_named(kind: str, body: bytes) -> None:
    with answering(200, kind, body) as address:
        assert "another program than OpenSearch answers" in complaint(f"http://{address}")


def test_no_program_at_the_address_is_named() -> None:
    assert "start one with `attune up`" in complaint("http://127.0.0.1:9")


def test_missing_credentials_are_named() -> None:
    with answering(401, "text/plain", b"Unauthorized") as address:
        assert "401" in (message := complaint(f"http://{address}"))
        assert "set opensearch.user and opensearch.password" in message


def test_a_server_without_tls_is_named() -> None:
    with answering(200, "application/json", b"{}") as address:
        assert "no trusted TLS connection" in (message := complaint(f"https://{address}"))
        assert "opensearch.ca_file" in message
