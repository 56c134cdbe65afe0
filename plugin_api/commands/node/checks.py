"""Checks before a node starts: a local address, a free port, enough memory."""

import errno
import re
import socket
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

from mappings.errors import NodeError, SettingsError
from plugin_api.commands.node.install import import_optional
from plugin_api.opensearch.probe import get_json

LOCAL_HOSTS = ("localhost", "127.0.0.1", "::1")
_BESIDE_HEAP = 300_000_000
"""Bytes that the JVM needs beside its heap, at least: classes, compiled code, threads, network buffers."""

_CGROUP = Path("/sys/fs/cgroup")


def local_port(url: str) -> int:
    """Return the port that the embedded node must listen on to be found at `url`.

    Raises NodeError where `url` is not plain HTTP on this machine, SettingsError for an invalid port.
    """
    parts = urlsplit(url)
    try:
        port = parts.port or 80
    except ValueError as error:
        raise SettingsError(f"opensearch.url is {url}: its port must be a number up to 65535") from error
    if parts.scheme != "http" or parts.hostname not in LOCAL_HOSTS:
        raise NodeError(
            f"`attune up` starts OpenSearch on this machine, but opensearch.url is {url}: "
            "set it to http://localhost:9200 (ATTUNE_OPENSEARCH_URL), or use that cluster as it is"
        )
    return port


def check_port(port: int, seconds: float = 2.0) -> None:
    """Raise NodeError when another program listens on `port`, naming it where it can be found out.

    That program gets `seconds` to say whether it is an OpenSearch.
    """
    if not any(_in_use(family, host, port) for family, host in _loopbacks()):
        return
    if "opensearch" in str(get_json(port, "/", seconds).get("version", "")):
        raise NodeError(
            f"another OpenSearch already answers at http://localhost:{port}: use that one as it is, stop it, "
            "or choose another port with opensearch.url (ATTUNE_OPENSEARCH_URL)"
        )
    program = _listening_program(port)
    raise NodeError(
        f"port {port} is in use{f' by {program}' if program else ''}: stop that program, "
        "or choose another port with opensearch.url (ATTUNE_OPENSEARCH_URL)"
    )


def heap_bytes(heap: str) -> int:
    """Return the bytes of a heap size such as `1g` or `512m`. Raises SettingsError for anything else."""
    match = re.fullmatch(r"(\d+)([mgMG])", heap)
    if not match or int(match[1]) == 0:
        raise SettingsError(
            f'node.heap must be a number of m(ega) or g(iga)bytes such as "512m" or "1g", not {heap!r}'
        )
    return int(match[1]) << (30 if match[2] in "gG" else 20)


def check_memory(heap: str, available: Callable[[], int] | None = None) -> None:
    """Raise NodeError when there is too little memory for the heap and the JVM around it."""
    free = (available or available_memory)()
    if free < heap_bytes(heap) + _BESIDE_HEAP:
        raise NodeError(
            f"too little memory: OpenSearch needs node.heap ({heap}) and {_BESIDE_HEAP // 1_000_000} MB, "
            f"but only {free // 1_000_000} MB is available: end other programs, or set node.heap lower "
            "(ATTUNE_NODE_HEAP=512m)"
        )


def available_memory(cgroup: Path = _CGROUP) -> int:
    """Return the bytes that a new process can use without swapping, within the container's limit if any."""
    machine = int(import_optional("psutil").virtual_memory().available)
    try:
        limit = (cgroup / "memory.max").read_text().strip()
        used = int((cgroup / "memory.current").read_text())
        cached = re.search(r"^inactive_file (\d+)$", (cgroup / "memory.stat").read_text(), re.MULTILINE)
    except OSError:
        return machine
    if limit == "max":
        return machine
    return min(machine, int(limit) - used + (int(cached[1]) if cached else 0))


def _loopbacks() -> list[tuple[socket.AddressFamily, str]]:
    both = [(socket.AF_INET, "127.0.0.1")]
    return [*both, (socket.AF_INET6, "::1")] if socket.has_ipv6 else both


def _in_use(family: socket.AddressFamily, host: str, port: int) -> bool:
    try:
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            # OpenSearch binds in the same way: connections that linger after a stop do not count.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
    except PermissionError:
        raise NodeError(
            f"port {port} is reserved for root: choose one above 1023 with opensearch.url"
        ) from None
    except OSError as error:
        return error.errno == errno.EADDRINUSE
    return False


def _listening_program(port: int) -> str:
    psutil = import_optional("psutil")
    try:
        listening = [
            connection.pid
            for connection in psutil.net_connections(kind="tcp")
            if connection.status == psutil.CONN_LISTEN and connection.laddr.port == port and connection.pid
        ]
        return f"{psutil.Process(listening[0]).name()} (process {listening[0]})" if listening else ""
    except psutil.Error:
        return ""
