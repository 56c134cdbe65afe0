"""A service that is started before OpenSearch waits for it; it does not wait for what will never answer."""

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from mappings.errors import ClusterDown, JobStopped
from mappings.settings import OpenSearchSettings, Settings
from plugin_api.commands.index.models import model_folders
from plugin_api.commands.index.session import open_service_session
from plugin_api.terminal import JobProgress


class _Node(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = json.dumps({"version": {"number": "3.5.0", "distribution": "opensearch"}}).encode()
        self.send_response(401 if self.headers.get("authorization") else 200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def node(port: int) -> Iterator[None]:
    server = HTTPServer(("127.0.0.1", port), _Node)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _Progress(JobProgress):
    """Remembers why the service waits, and calls a function with each of its waits."""

    def __init__(self, on_wait: object = None) -> None:
        super().__init__("following", hidden=True)
        self.reasons: list[str] = []
        self._on_wait = on_wait

    def waiting(self, why: str, seconds: float) -> None:
        self.reasons.append(why)
        assert seconds <= 5
        if callable(self._on_wait):
            self._on_wait()


@pytest.fixture
def port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def open_session(port: int, progress: JobProgress, stop: threading.Event, **more: str) -> None:
    settings = Settings(opensearch=OpenSearchSettings(url=f"http://127.0.0.1:{port}", **more))
    models = model_folders(None, settings.model)
    open_service_session(settings, "shop", models, (stop, threading.Event()), progress)


def test_a_service_waits_for_opensearch_and_says_so(port: int) -> None:
    up = threading.Event()
    progress = _Progress(on_wait=up.set)
    service = threading.Thread(target=open_session, args=(port, progress, threading.Event()))
    service.start()
    assert up.wait(60)
    with node(port):
        service.join(60)
    assert not service.is_alive()
    assert f"connecting to http://127.0.0.1:{port}" in progress.reasons[0]


def test_a_service_that_waits_ends_at_the_first_signal(port: int) -> None:
    stop = threading.Event()
    with pytest.raises(JobStopped):
        open_session(port, _Progress(on_wait=stop.set), stop)


def test_a_service_does_not_wait_where_it_is_refused(port: int) -> None:
    progress = _Progress()
    with node(port), pytest.raises(ClusterDown, match="401"):
        open_session(port, progress, threading.Event(), user="shop", password="wrong")
    assert progress.reasons == []
