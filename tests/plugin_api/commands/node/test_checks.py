import http.server
import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from mappings.errors import NodeError, SettingsError
from plugin_api.commands.node.checks import (
    available_memory,
    check_memory,
    check_port,
    heap_bytes,
    local_port,
)
from plugin_api.opensearch.probe import get_json


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server


def test_the_port_comes_from_a_local_url() -> None:
    assert local_port("http://localhost:9200") == 9200
    assert local_port("http://127.0.0.1") == 80
    assert local_port("http://[::1]:9201/") == 9201


@pytest.mark.parametrize(
    "url", ["https://localhost:9200", "http://search.example.com:9200", "localhost:9200"]
)
def test_a_node_for_another_machine_or_scheme_is_refused(url: str) -> None:
    with pytest.raises(NodeError, match=r"opensearch\.url is"):
        local_port(url)


def test_a_port_that_is_none_is_refused() -> None:
    with pytest.raises(SettingsError, match="65535"):
        local_port("http://localhost:99999")


def test_a_free_port_passes_and_a_taken_one_names_its_holder(listener: socket.socket) -> None:
    port = listener.getsockname()[1]
    with pytest.raises(NodeError, match=rf"port {port} is in use by .*\(process {os.getpid()}\)"):
        check_port(port, seconds=0.05)
    listener.close()
    check_port(port)


def test_a_port_taken_on_the_other_loopback_address_counts_too() -> None:
    try:
        server = socket.create_server(("::1", 0), family=socket.AF_INET6)
    except OSError:
        pytest.skip("this machine has no IPv6 loopback")
    with server, pytest.raises(NodeError, match="is in use"):
        check_port(server.getsockname()[1])


class Root(http.server.BaseHTTPRequestHandler):
    """Answers like OpenSearch's root page."""

    def do_GET(self) -> None:
        body = b'{"name": "n", "version": {"distribution": "opensearch", "number": "3.5.0"}}'
        self.send_response(200 if self.path == "/" else 503)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


def test_another_opensearch_on_the_port_is_recognised() -> None:
    with http.server.ThreadingHTTPServer(("localhost", 0), Root) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            with pytest.raises(NodeError, match="another OpenSearch already answers"):
                check_port(server.server_port)
            assert get_json(server.server_port, "/_cluster/health", 5) == {}
        finally:
            server.shutdown()
            thread.join()


def test_heap_sizes() -> None:
    assert heap_bytes("512m") == 512 << 20
    assert heap_bytes("2G") == 2 << 30


@pytest.mark.parametrize("heap", ["", "1", "0m", "1gb", "-1g", "1g -XX:+Evil"])
def test_a_heap_that_is_no_size_is_refused(heap: str) -> None:
    with pytest.raises(SettingsError, match=r"node\.heap"):
        heap_bytes(heap)


def test_memory_must_hold_the_heap_and_the_jvm_around_it() -> None:
    check_memory("1g", available=lambda: (1 << 30) + 300_000_000)
    with pytest.raises(NodeError, match=r"only 1373 MB is available.*ATTUNE_NODE_HEAP"):
        check_memory("1g", available=lambda: (1 << 30) + 299_999_999)


def test_a_containers_memory_limit_counts(tmp_path: Path) -> None:
    machine = available_memory(tmp_path)  # no cgroup there
    assert machine > 0
    (tmp_path / "memory.current").write_text("700\n")
    (tmp_path / "memory.stat").write_text("anon 500\ninactive_file 150\nactive_file 50\n")
    (tmp_path / "memory.max").write_text("1000\n")
    assert available_memory(tmp_path) == 450
    (tmp_path / "memory.max").write_text("max\n")
    assert available_memory(tmp_path) > 450
