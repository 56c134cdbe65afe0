import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest
from opensearchpy import OpenSearch

from mappings.errors import NodeError
from mappings.settings import NodeSettings, OpenSearchSettings, Settings, attune_home
from plugin_api.commands.node import lifecycle as node
from plugin_api.commands.node.install import OPENSEARCH_VERSION
from tests.fakes.node_home import open_folder

__all__ = ["open_folder"]

STAND_IN = """
import http.server, signal, sys
how = sys.argv[1]
if how == "dies":
    sys.exit("uncaught exception\\nLikely root cause: java.io.IOException: failed to obtain node locks")
if how == "stays":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)

class Health(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b'{"status": "yellow"}' if how != "starts" else b'{"status": "red"}')

    def log_message(self, *line):
        pass

port = next(int(a.partition("=")[2]) for a in sys.argv if a.startswith("-Ehttp.port="))
http.server.HTTPServer(("127.0.0.1", port), Health).serve_forever()
"""
"""Takes the place of the JVM where OpenSearch itself is not what is tested."""


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def quiet(name: str, total: int) -> nullcontext:
    return nullcontext(lambda _: None)


@dataclass
class Place:
    """A home with an installation of the stand-in, and what `up` needs to run it."""

    home: Path
    settings: Settings

    def up(self, how: str = "serves") -> node.Node:
        self.stand_in(how)
        return self.up_again()

    def stand_in(self, how: str = "serves") -> None:
        """Write the program that is run as Java."""
        java = self.home / "bin" / "java"
        java.parent.mkdir(exist_ok=True)
        (self.home / "stand_in.py").write_text(STAND_IN)
        java.write_text(
            "#!/bin/sh\n"
            'case "$*" in\n'
            "--list-modules) echo java.base@25.0.1 ;;\n"
            "*JvmOptionsParser*) echo -Dsome=option ;;\n"
            f'*) exec "{sys.executable}" "{self.home}/stand_in.py" {how} "$@" ;;\n'
            "esac\n"
        )
        java.chmod(0o755)

    def up_again(self) -> node.Node:
        return node.start_node(self.settings, {"JAVA_HOME": str(self.home)}, quiet)

    def down(self) -> node.Node | None:
        return node.stop_node(self.settings, {})


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)  # root's node could not reach into pytest's folders
    home = tmp_path / "a home"
    config = home / f"opensearch-{OPENSEARCH_VERSION}" / "config"
    config.mkdir(parents=True)
    (config / "jvm.options").write_text("-Xms1g\n")
    url = f"http://localhost:{free_port()}"
    yield Place(home, Settings(opensearch=OpenSearchSettings(url=url), node=NodeSettings(str(home), "64m")))
    node.terminate_node(home, seconds=0.5)


def test_up_starts_once_and_down_stops_once(place: Place) -> None:
    first, second = place.up(), place.up()
    assert (first.started, second.started) == (True, False)
    assert (first.pid, first.url) == (second.pid, place.settings.opensearch.url)
    stopped = place.down()
    assert stopped is not None
    assert stopped.pid == first.pid
    assert not psutil.pid_exists(first.pid)
    assert place.down() is None


def test_two_starts_at_once_make_one_node(place: Place) -> None:
    place.stand_in()  # here, not in the threads: one would write it while the other runs it
    nodes: list[node.Node] = []
    threads = [threading.Thread(target=lambda: nodes.append(place.up_again())) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found.started for found in nodes) == [False, True]
    assert len({found.pid for found in nodes}) == 1


def test_a_killed_node_is_started_again(place: Place) -> None:
    first = place.up()
    os.kill(first.pid, signal.SIGKILL)
    psutil.wait_procs([psutil.Process(first.pid)], timeout=10)
    second = place.up()
    assert second.started
    assert second.pid != first.pid


def test_a_node_that_ignores_the_stop_is_killed(place: Place) -> None:
    running = place.up("stays")
    stopped = node.terminate_node(place.home, seconds=0.5)
    assert stopped is not None
    assert not psutil.pid_exists(running.pid)


def test_a_node_that_dies_while_starting_tells_why(place: Place) -> None:
    with pytest.raises(
        NodeError, match=r"ended while it was starting: Likely root cause: .*node locks; more is in"
    ):
        place.up("dies")
    assert node.find_node(place.home) is None


def test_a_start_that_is_broken_off_leaves_no_process(place: Place) -> None:
    caller = threading.main_thread().ident
    assert caller is not None

    def interrupt() -> None:
        while node.find_node(place.home) is None:
            time.sleep(0.05)
        signal.pthread_kill(caller, signal.SIGINT)

    watcher = threading.Thread(target=interrupt)
    watcher.start()
    with pytest.raises(KeyboardInterrupt):
        place.up("starts")
    watcher.join()
    assert node.find_node(place.home) is None


def test_a_node_at_another_address_is_not_taken_for_the_one_asked_for(place: Place) -> None:
    running = place.up()
    elsewhere = Settings(
        opensearch=OpenSearchSettings(url=f"http://localhost:{free_port()}"), node=place.settings.node
    )
    with pytest.raises(NodeError, match=f"already runs at {running.url}, but"):
        node.start_node(elsewhere, {}, quiet)


def test_down_knows_of_nothing_where_nothing_ever_ran(tmp_path: Path) -> None:
    settings = Settings(node=NodeSettings(home=str(tmp_path / "absent")))
    assert node.stop_node(settings, {}) is None
    assert not (tmp_path / "absent").exists()


def test_the_home_is_the_setting_else_attunes_own(tmp_path: Path) -> None:
    assert node.node_home(NodeSettings(home=str(tmp_path)), {"ATTUNE_HOME": "/elsewhere"}) == tmp_path
    assert node.node_home(NodeSettings(), {"ATTUNE_HOME": "/elsewhere"}) == Path("/elsewhere")


@pytest.fixture
def environment(open_folder: Path) -> Iterator[dict[str, str]]:
    """The environment of an `attune` with a new home; only the downloads are those of the usual one."""
    downloads = attune_home(os.environ) / "downloads"
    downloads.mkdir(parents=True, exist_ok=True)
    home = open_folder / "a hömé"
    home.mkdir()
    home.chmod(0o755)
    (home / "downloads").symlink_to(downloads)
    yield os.environ | {
        "ATTUNE_HOME": str(home),
        "ATTUNE_OPENSEARCH_URL": f"http://localhost:{free_port()}",
        "ATTUNE_NODE_HEAP": "512m",
    }
    node.terminate_node(home)


def attune(command: str, environment: dict[str, str]) -> dict[str, object]:
    program = "from plugin_api.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", program, command, "--json"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return json.loads(done.stdout)


@pytest.mark.node
@pytest.mark.timeout(900)
def test_a_real_node_indexes_vectors_and_survives_being_killed(environment: dict[str, str]) -> None:
    first = attune("up", environment)
    assert first["started"] is True
    product = {"vector": [0.6, 0.8], "title": "phones ภาษาไทย"}
    vector = {"type": "knn_vector", "dimension": 2, "method": {"name": "hnsw", "engine": "lucene"}}
    with OpenSearch(str(first["url"]), timeout=60) as client:
        mappings = {"properties": {"vector": vector, "title": {"type": "text", "analyzer": "thai"}}}
        client.indices.create(index="shop", body={"settings": {"index.knn": True}, "mappings": mappings})
        client.index(index="shop", body=product, id="1")

    pid = int(str(first["pid"]))
    os.kill(pid, signal.SIGKILL)
    while psutil.pid_exists(pid):
        time.sleep(0.05)
    second = attune("up", environment)
    assert second["started"] is True
    with OpenSearch(str(second["url"]), timeout=60) as client:
        near = client.search(
            index="shop", body={"query": {"knn": {"vector": {"vector": [0.6, 0.8], "k": 1}}}}
        )
        word = client.search(index="shop", body={"query": {"match": {"title": "ภาษา"}}})
    assert [hit["_source"] for hit in near["hits"]["hits"]] == [product]
    assert [hit["_source"] for hit in word["hits"]["hits"]] == [product]

    assert attune("down", environment)["stopped"] is True
    assert not psutil.pid_exists(int(str(second["pid"])))
    assert attune("down", environment)["stopped"] is False
