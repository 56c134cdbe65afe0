"""The embedded OpenSearch node: one process, found again by its arguments, with its data in one home folder.

    home/opensearch-3.5.0   the installation, not written to afterwards
    home/downloads          the downloaded files
    home/config, home/temp  the node's own; config is written anew at every start
    home/data               the indexes
    home/logs               start.log (the JVM's output), opensearch.log
    home/lock               locked while the node is started or stopped

There is no pid file, which could be out of date: the node of a home is the process that was started with
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
from plugin_api.commands.node.install import (
    Installation,
    ShowProgress,
    check_disk_space,
    explain_disk_errors,
    import_optional,
    install_opensearch,
)
from plugin_api.commands.node.java import Java, find_java, reachable_java
from plugin_api.commands.node.launch import last_log_lines, node_marker, spawn_node, write_node_config
from plugin_api.commands.node.user import check_reach, node_user
from plugin_api.opensearch.probe import get_json

_START_BYTES = 300_000_000
"""Free bytes on disk that a start asks for."""

_START_SECONDS = 600.0
"""A start takes 15 s on two free cores, and minutes on busy ones."""

_STOP_SECONDS = 30.0
"""How long a node may take to close its indexes before it is killed. No data is lost then."""


@dataclass(frozen=True)
class Node:
    """A running node. `started` tells whether this call started it, and `seconds` how long it took."""

    home: Path
    pid: int
    url: str
    started: bool = False
    seconds: float = 0.0


def node_home(settings: NodeSettings, environment: Mapping[str, str]) -> Path:
    """Return the node's home: the setting `node.home`, else Attune's own home folder."""
    return (Path(settings.home).expanduser() if settings.home else attune_home(environment)).resolve()


def start_node(settings: Settings, environment: Mapping[str, str], progress: ShowProgress) -> Node:
    """Start the embedded node at `opensearch.url`, installed first where needed, and wait until it is ready.

    A node that runs already is returned as it is. Raises NodeError when the node can't be started; no process
    of this call runs on then.
    """
    home, port = node_home(settings.node, environment), local_port(settings.opensearch.url)
    with lock_home(home):
        running = find_node(home)
        if running is None:
            check_port(port)
            check_memory(settings.node.heap)
            java = find_java(environment)
            installation = install_opensearch(home, progress)
            return launch_node(installation, home, port, settings.node.heap, java, progress)
        if running.url != _url(port):
            raise NodeError(
                f"the OpenSearch of {home} already runs at {running.url}, but opensearch.url is "
                f"{settings.opensearch.url}: run `attune down` first, or set opensearch.url to {running.url}"
            )
        with progress("waiting for OpenSearch", 0):
            _wait_until_ready(running, _START_SECONDS)
        return running


def stop_node(settings: Settings, environment: Mapping[str, str]) -> Node | None:
    """Stop the embedded node and return it; None when none ran. Raises NodeError when the caller may not."""
    home = node_home(settings.node, environment)
    if not home.is_dir():
        return None
    with lock_home(home):
        return terminate_node(home)


@contextmanager
def lock_home(home: Path) -> Iterator[None]:
    """Create the home where needed, and make other starts and stops of its node wait for the block's end."""
    with explain_disk_errors(home):
        if not home.is_dir():
            home.mkdir(parents=True)
            home.chmod(0o755)  # for root's node, which runs as another user
        lock = os.open(home / "lock", os.O_RDONLY | os.O_CREAT, 0o644)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


def find_node(home: Path) -> Node | None:
    """Return the running node of `home`, ready or not; None where none runs."""
    process = _process(home)
    return process and _node(home, process)


def launch_node(
    installation: Installation, home: Path, port: int, heap: str, java: Java, progress: ShowProgress
) -> Node:
    """Start a node on localhost and wait until it is ready. Call this within `lock_home(home)`.

    `heap` is a JVM size such as "1g". Raises NodeError with the last lines of OpenSearch's log when it ends.
    """
    began = time.monotonic()
    heap_bytes(heap)
    check_disk_space(home, _START_BYTES)
    user = node_user(home, os.geteuid())
    check_reach(user, home)
    with explain_disk_errors(home):
        java = reachable_java(java, home, user)
        for name in ("data", "logs", "temp"):
            user.take(home / name)
        write_node_config(installation, home, heap, java, user)
        with progress(f"starting OpenSearch at {_url(port)}", 0):
            process = spawn_node(installation, home, port, java, user)
            node = Node(home, process.pid, _url(port), started=True)
            try:
                _wait_until_ready(node, _START_SECONDS, process)
            except BaseException:
                terminate_node(home)
                process.wait()
                raise
    return replace(node, seconds=time.monotonic() - began)


def terminate_node(home: Path, seconds: float = _STOP_SECONDS) -> Node | None:
    """Stop the node of `home`, kill it after `seconds`, and wait for its end. Return None if none ran."""
    psutil = import_optional("psutil")
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
        pass  # it has ended by itself meanwhile
    return node


def _url(port: int) -> str:
    return f"http://localhost:{port}"


def _process(home: Path) -> Any:
    marker = node_marker(home)
    for process in import_optional("psutil").process_iter(["cmdline"]):
        if marker in (process.info["cmdline"] or ()):
            return process
    return None


def _node(home: Path, process: Any) -> Node:
    port = next((a.partition("=")[2] for a in process.info["cmdline"] if a.startswith("-Ehttp.port=")), "")
    return Node(home, process.pid, _url(int(port)))


def _wait_until_ready(node: Node, seconds: float, process: subprocess.Popen[bytes] | None = None) -> None:
    psutil, port = import_optional("psutil"), int(node.url.rpartition(":")[2])
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if (process is not None and process.poll() is not None) or not psutil.pid_exists(node.pid):
            log = node.home / "logs" / "start.log"
            cause = last_log_lines(log.read_text(encoding="utf-8", errors="replace"))
            raise NodeError(f"OpenSearch ended while it was starting: {cause}; more is in {log.parent}")
        health = get_json(port, "/_cluster/health?wait_for_status=yellow&timeout=2s", seconds=5)
        if health.get("status") in ("green", "yellow"):
            if process is not None:
                process.returncode = 0  # the node outlives this program: Popen must not warn of that
            return
        time.sleep(0.2)
    raise NodeError(
        f"OpenSearch does not serve after {seconds:.0f} s: see {node.home / 'logs' / 'opensearch.log'}, "
        "then run `attune down` and `attune up` again"
    )
