"""The nginx image, in front of whatever the network calls `sidecar` and `opensearch`."""

import socket
import ssl
from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from urllib.parse import urlsplit

from testcontainers.core.container import DockerContainer
from testcontainers.core.network import Network
from testcontainers.core.wait_strategies import HttpWaitStrategy

from tests.integration.stack import LOCKED_DOWN, SLOW_MACHINE_SECONDS

SECONDS = 60.0
HEALTH = 8081


def nginx_container(
    network: Network, volumes: Mapping[Path, str] | None = None, **environment: str
) -> DockerContainer:
    """Return nginx, not started, that notices changed addresses and certificates within a second."""
    container = DockerContainer("attune-nginx").with_network(network).with_exposed_ports(8080, HEALTH)
    container.with_envs(**{"RELOAD_SECONDS": "1", **environment}).with_kwargs(**LOCKED_DOWN | {"init": False})
    for folder, target in (volumes or {}).items():
        container.with_volume_mapping(str(folder), target)
    return container.waiting_for(HttpWaitStrategy(HEALTH, "/").with_startup_timeout(SLOW_MACHINE_SECONDS))


def connect(url: str) -> socket.socket:
    parts = urlsplit(url)
    return socket.create_connection((parts.hostname, parts.port), timeout=SECONDS)


def handshake(url: str, authority: Path) -> AbstractContextManager[ssl.SSLSocket]:
    """Connect by TLS, trusting one authority."""
    context = ssl.create_default_context(cafile=str(authority))
    return context.wrap_socket(connect(url), server_hostname="localhost")


def receive(connection: socket.socket, ending: bytes) -> bytes:
    """Return what comes until it has `ending` in it, or until the other side closes."""
    received = b""
    while ending not in received and (chunk := connection.recv(65_536)):
        received += chunk
    return received


def send(url: str, head: str, body: bytes = b"") -> bytes:
    """Send a request byte for byte and return the whole answer. The head ends with `connection: close`."""
    with connect(url) as connection:
        connection.sendall(f"{head}\r\nhost: shop.example\r\nconnection: close\r\n\r\n".encode() + body)
        return b"".join(iter(lambda: connection.recv(65_536), b""))
