"""The containers: OpenSearch, the indexer's image run once, the sidecar's image in front."""

import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests
from click.testing import CliRunner
from testcontainers.core.container import DockerContainer
from testcontainers.core.network import Network
from testcontainers.core.wait_strategies import HealthcheckWaitStrategy, HttpWaitStrategy

from plugin_api.cli import attune

ROOT = Path(__file__).parent.parent.parent
COMPOSE = ("docker", "compose", "-f", str(ROOT / "docker/compose.yaml"))
JAVA_OPTIONS = "-Xms512m -Xmx512m -XX:TieredStopAtLevel=1"  # one compiler less: up in 20 s, not 36
SNAPSHOTS = "/tmp/snapshots"
"""Where a node may keep snapshots."""
OPENSEARCH = {
    "discovery.type": "single-node",
    "cluster.routing.allocation.disk.threshold_enabled": "false",
    "DISABLE_SECURITY_PLUGIN": "true",
    "DISABLE_INSTALL_DEMO_CONFIG": "true",
    "OPENSEARCH_JAVA_OPTS": JAVA_OPTIONS,
    "path.repo": SNAPSHOTS,
}
SLOW_MACHINE_SECONDS = 240
ATTUNE = {  # what is tested is not how fast a busy machine is
    "ATTUNE_OPENSEARCH_URL": "http://opensearch:9200",
    "ATTUNE_OPENSEARCH_TIMEOUT_SECONDS": "120",
    "ATTUNE_SIDECAR_DEADLINE_MS": "10000",
}
SIDECAR = "http://sidecar:8080"
"""The sidecar's address for OpenSearch."""
LOCKED_DOWN = {
    "read_only": True,
    "cap_drop": ["ALL"],
    "security_opt": ["no-new-privileges:true"],
    "init": True,
}


@contextmanager
def running_opensearch() -> Iterator[str]:
    """Run an OpenSearch 3.5.0 alone, and yield its address."""
    container = DockerContainer("opensearchproject/opensearch:3.5.0").with_exposed_ports(9200)
    container.with_envs(**OPENSEARCH).with_kwargs(init=True)
    up = HttpWaitStrategy(9200, "/_cluster/health?wait_for_status=yellow")
    with container.waiting_for(up.with_startup_timeout(SLOW_MACHINE_SECONDS)):
        yield address(container, 9200)


@dataclass(frozen=True)
class Stack:
    """One OpenSearch with the sample behind the alias `products`, and a sidecar in front of it."""

    network: Network
    opensearch: DockerContainer
    sidecar: DockerContainer
    direct: str
    reranked: str

    @contextmanager
    def another_sidecar(self, **environment: str) -> Iterator[str]:
        """Yield the address of one more sidecar, with settings of its own."""
        with sidecar_container(self.network, **environment) as container:
            yield address(container, 8080)

    @contextmanager
    def without_opensearch(self) -> Iterator[None]:
        """Cut OpenSearch off from the sidecars."""
        network = self.opensearch.get_docker_client().client.networks.get(self.network.id)
        container = self.opensearch.get_wrapped_container()
        network.disconnect(container)
        try:
            yield
        finally:
            network.connect(container, aliases=["opensearch"])

    @contextmanager
    def without_sidecar(self) -> Iterator[None]:
        """Kill the sidecar, and start it again afterwards."""
        container = self.sidecar.get_wrapped_container()
        container.kill()
        try:
            yield
        finally:
            container.start()
            HttpWaitStrategy(8080, "/_attune/health").wait_until_ready(self.sidecar)

    @contextmanager
    def hanging_sidecar(self) -> Iterator[None]:
        """Let the sidecar take connections and answer none."""
        container = self.sidecar.get_wrapped_container()
        container.pause()
        try:
            yield
        finally:
            container.unpause()

    def run(self, *arguments: str) -> str:
        """Run an `attune` command against OpenSearch; return what it prints. Raises what it raises."""
        environment = {"ATTUNE_OPENSEARCH_URL": self.direct, "ATTUNE_OPENSEARCH_TIMEOUT_SECONDS": "120"}
        done = CliRunner().invoke(attune, arguments, env=environment, catch_exceptions=False)
        assert done.exit_code == 0, done.output
        return done.stdout


@contextmanager
def running_stack(version: str, catalogue: Path) -> Iterator[Stack]:
    """Start OpenSearch of a version, index `catalogue/products.jsonl` and start the sidecar."""
    with Network() as network:
        opensearch = DockerContainer(f"opensearchproject/opensearch:{version}")
        opensearch.with_envs(**OPENSEARCH).with_kwargs(init=True)
        opensearch.with_network(network).with_network_aliases("opensearch")
        opensearch.with_bind_ports(9200, free_port())  # one of Docker's choice changes on reconnecting
        up = HttpWaitStrategy(9200, "/_cluster/health?wait_for_status=yellow")
        opensearch.waiting_for(up.with_startup_timeout(SLOW_MACHINE_SECONDS))
        with opensearch:
            index_sample(network, catalogue)
            named = sidecar_container(network).with_network_aliases("sidecar")
            with named.with_bind_ports(8080, free_port()) as sidecar:
                yield Stack(network, opensearch, sidecar, address(opensearch, 9200), address(sidecar, 8080))


def index_sample(network: Network, catalogue: Path) -> None:
    """Run the indexer's image to its end over the sample."""
    command = [
        *("index", "/catalogue/products.jsonl", "--fields=/catalogue/fields.toml"),
        *("--alias=products", "--rejects=/dev/shm/rejects.jsonl"),
    ]
    indexer = DockerContainer("attune-indexer").with_command(command).with_network(network)
    indexer.with_envs(**ATTUNE)
    indexer.with_volume_mapping(str(catalogue), "/catalogue").with_kwargs(**LOCKED_DOWN)
    with indexer:
        status = indexer.wait()
        assert status == 0, b"".join(indexer.get_logs()).decode()


def sidecar_container(network: Network, **environment: str) -> DockerContainer:
    """Return a sidecar, not started; starting it waits for the image's own health check."""
    container = DockerContainer("attune-sidecar").with_network(network).with_exposed_ports(8080)
    container.with_envs(**{**ATTUNE, **environment}).with_kwargs(**LOCKED_DOWN)
    return container.waiting_for(HealthcheckWaitStrategy().with_startup_timeout(SLOW_MACHINE_SECONDS))


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def address(container: DockerContainer, port: int) -> str:
    return f"http://{container.get_container_host_ip()}:{container.get_exposed_port(port)}"


def search(base: str, body: object, index: str = "products") -> requests.Response:
    return requests.post(f"{base}/{index}/_search", json=body, timeout=120)


def text_settings(index: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of an index that its mapping refers to: a copy needs them as well."""
    return {name: index[name] for name in ("analysis", "similarity") if name in index}
