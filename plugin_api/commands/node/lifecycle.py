"""The embedded OpenSearch node: one process, found again by its arguments, its data in one home folder.

    home/opensearch-3.5.0   the installation, never written to again
    home/downloads          the zips that it came from
    home/config, home/temp  the node's own, config written anew at every start
    home/data               the indices
    home/logs               start.log (what the JVM says), opensearch.log
    home/lock               held while the node is started or stopped

There is no pid file that could go stale: the node of a home is the process that was started with
`-Epath.data=<home>/data`.
"""

import fcntl
import os
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mappings.errors import NodeError
from mappings.settings import NodeSettings, Settings, attune_home
from plugin_api.commands.node.checks import check_memory, check_port, heap_bytes, local_port
from plugin_api.commands.node.install import Installation, Progress, check_disk, install, require, writing
from plugin_api.commands.node.java import Java, find_java, reachable_java
from plugin_api.commands.node.launch import last_words, marker, spawn, write_config
from plugin_api.commands.node.user import check_reach, node_user
from plugin_api.opensearch.probe import get_json

START_BYTES = 300_000_000
"""Free disk that a start asks for, beside what is stored already."""

START_SECONDS = 600.0
"""A start takes 15 s on two free cores, and minutes where other programs want them too."""

STOP_SECONDS = 30.0
"""How long a node may take to close its indices before it is killed, which costs it no data."""


@dataclass(frozen=True)
class Node:
    """A running node. `started` tells whether this call started it, `seconds` how long that took."""

    home: Path
    pid: int
    url: str
    started: bool = False
    seconds: float = 0.0


def node_home(settings: NodeSettings, environment: Mapping[str, str]) -> Path:
    """The node's home: the setting `node.home`, else Attune's own home folder."""
    return (Path(settings.home).expanduser() if settings.home else attune_home(environment)).resolve()


def up(settings: Settings, environment: Mapping[str, str], progress: Progress) -> Node:
    """Have the embedded node running at `opensearch.url` and ready, installing and starting what is missing.

    Raises NodeError when it can't be had; then nothing that this call started is left running.
    """
    home, port = node_home(settings.node, environment), local_port(settings.opensearch.url)
    with exclusive(home):
        running = status(home)
        if running is None:
            check_port(port)
            check_memory(settings.node.heap)
            java = find_java(environment)
            return start(install(home, progress), home, port, settings.node.heap, java, progress)
        if running.url != _url(port):
            raise NodeError(
                f"the OpenSearch of {home} already runs at {running.url}, but opensearch.url is "
                f"{settings.opensearch.url}: run `attune down` first, or set opensearch.url to {running.url}"
            )
        with progress("waiting for OpenSearch", 0):
            _wait_until_ready(running, START_SECONDS)
        return running


def down(settings: Settings, environment: Mapping[str, str]) -> Node | None:
    """Stop the embedded node; None when there was none. Raises NodeError when the caller may not."""
    home = node_home(settings.node, environment)
    if not home.is_dir():
        return None
    with exclusive(home):
        return stop(home)


@contextmanager
def exclusive(home: Path) -> Iterator[None]:
    """Make the home if need be, and let other starts and stops of its node wait for the block's end."""
    with writing(home):
        if not home.is_dir():
            home.mkdir(parents=True)
            home.chmod(0o755)  # for root's node, which runs as another user
        lock = os.open(home / "lock", os.O_RDONLY | os.O_CREAT, 0o644)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


def status(home: Path) -> Node | None:
    """Return the node of `home` if one runs, ready or not."""
    process = _process(home)
    return process and _node(home, process)


def start(
    installation: Installation, home: Path, port: int, heap: str, java: Java, progress: Progress
) -> Node:
    """Start a node on localhost and wait until it serves; call it within `exclusive(home)`.

    `heap` is a JVM size such as "1g". Raises NodeError with OpenSearch's own last words when it dies.
    """
    began = time.monotonic()
    heap_bytes(heap)
    check_disk(home, START_BYTES)
    user = node_user(home, os.geteuid())
    check_reach(user, home)
    with writing(home):
        java = reachable_java(java, home, user)
        for name in ("data", "logs", "temp"):
            user.take(home / name)
        write_config(installation, home, heap, java, user)
        with progress(f"starting OpenSearch at {_url(port)}", 0):
            process = spawn(installation, home, port, java, user)
            node = Node(home, process.pid, _url(port), started=True)
            try:
                _wait_until_ready(node, START_SECONDS, process)
            except BaseException:
                stop(home)
                process.wait()
                raise
    return replace(node, seconds=time.monotonic() - began)


def stop(home: Path, seconds: float = STOP_SECONDS) -> Node | None:
    """Stop the node of `home`, killing it after `seconds`, and wait for its end; None if there was none."""
    psutil = require("psutil")
    process = _process(home)
    if process is None:
        return None
    node = _node(home, process)
    try:
        family = [process, *process.children(recursive=True)]
        for member in family:
            member.terminate()
        _, alive = psutil.wait_procs(family, timeout=seconds)
        for member in alive:
            member.kill()
        psutil.wait_procs(alive)
    except psutil.AccessDenied as error:
        raise NodeError(
            f"OpenSearch (process {node.pid}) belongs to {process.username()}: "
            "run `attune down` as that user or as root"
        ) from error
    except psutil.NoSuchProcess:
        pass  # it ended by itself meanwhile
    return node


def _url(port: int) -> str:
    return f"http://localhost:{port}"


def _process(home: Path) -> Any:
    mark = marker(home)
    for process in require("psutil").process_iter(["cmdline"]):
        if mark in (process.info["cmdline"] or ()):
            return process
    return None


def _node(home: Path, process: Any) -> Node:
    port = next((a.partition("=")[2] for a in process.info["cmdline"] if a.startswith("-Ehttp.port=")), "")
    return Node(home, process.pid, _url(int(port)))


def _wait_until_ready(node: Node, seconds: float, process: subprocess.Popen[bytes] | None = None) -> None:
    psutil, port = require("psutil"), int(node.url.rpartition(":")[2])
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if (process is not None and process.poll() is not None) or not psutil.pid_exists(node.pid):
            log = node.home / "logs" / "start.log"
            raise NodeError(
                "OpenSearch ended while it was starting: "
                f"{last_words(log.read_text(encoding='utf-8', errors='replace'))}; more is in {log.parent}"
            )
        health = get_json(port, "/_cluster/health?wait_for_status=yellow&timeout=2s", seconds=5)
        if health.get("status") in ("green", "yellow"):
            if process is not None:
                process.returncode = 0  # it outlives this program: Popen need not warn of that
            return
        time.sleep(0.2)
    raise NodeError(
        f"OpenSearch does not serve after {seconds:.0f} s: see {node.home / 'logs' / 'opensearch.log'}, "
        "then run `attune down` and `attune up` again"
    )
