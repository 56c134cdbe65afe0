"""Attack the sidecar while a well-behaved client searches; print one JSON object.

    python -m tests.bench.hostile

For each attack: the client's median and 95th percentile, the latter also as a multiple of its own without an
attack; answers that it lost; the slowest health check; the sidecar's peak memory; worker processes that died.
The sidecar stands before a stand-in for OpenSearch on the same machine. `--url` attacks another one, such as
nginx before it: then memory and processes are not seen.
"""

import http.client
import json
import statistics
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import click
import psutil

from mappings.types import JsonObject
from tests.bench.hostile.attacks import ATTACKS, SEARCH, Address
from tests.bench.inputs import machine
from tests.fakes.echo_server import echo_server
from tests.fakes.faulty_cluster import faulty_cluster
from tests.plugin_api.sidecar.test_through_the_sidecar import PROGRAM


@click.command()
@click.option("--url", default="", help="A sidecar, or what stands before it. Default: one of its own.")
@click.option("--seconds", default=10.0, show_default=True, help="Time of each attack.")
@click.option("--attack", "names", multiple=True, type=click.Choice(list(ATTACKS)), help="Repeatable.")
def main(url: str, seconds: float, names: tuple[str, ...]) -> None:
    """Report what a well-behaved client notices of attacks."""
    click.echo(json.dumps(measure(url, seconds, names or tuple(ATTACKS)), indent=2))


def measure(url: str, seconds: float, names: tuple[str, ...]) -> JsonObject:
    """Run each attack for `seconds`, beside a client that searches."""
    with ExitStack() as stack:
        if url:
            parts = urlsplit(url)
            address, process = (parts.hostname or "localhost", parts.port or 80), None
        else:
            cluster = stack.enter_context(faulty_cluster())
            settings = cluster.settings(deadline_ms=20_000)
            server = stack.enter_context(echo_server(settings, PROGRAM, quiet=True))
            address, process = ("127.0.0.1", server.port), psutil.Process(server.process.pid)
        quiet = _attacked(address, process, "", seconds)
        found = {name: _attacked(address, process, name, seconds) for name in names}
    for attacked in found.values():
        attacked["p95_times_quiet"] = round(attacked["p95_ms"] / quiet["p95_ms"], 2)
    return {
        "measures": "a client that searches while others attack the sidecar",
        "seconds": seconds,
        "quiet": quiet,
        "attacks": found,
        "machine": machine("uvicorn", "aiohttp", "pycurl", "flask"),
    }


def _attacked(address: Address, process: psutil.Process | None, name: str, seconds: float) -> JsonObject:
    workers = _workers(process)
    client = _Client(address)
    with _running(client.search, client.stop), _running(client.check, client.stop), _watched(process) as peak:
        if name:
            stop = threading.Event()
            with _running(lambda: ATTACKS[name](address, stop), stop):
                time.sleep(seconds)
        else:
            time.sleep(seconds)
    percentiles = statistics.quantiles([*client.times, *client.times] or [0.0, 0.0], n=20)
    return {
        "searches": len(client.times),
        "lost": client.lost,
        "p50_ms": round(percentiles[9] * 1000, 1),
        "p95_ms": round(percentiles[18] * 1000, 1),
        "slowest_health_ms": round(max(client.health, default=0.0) * 1000, 1),
        "peak_mb": round(max(peak, default=0) / 1e6),
        "worker_deaths": len(workers - _workers(process)),
    }


@dataclass
class _Client:
    """Searches one after another, and asks for the sidecar's health beside that."""

    address: Address
    stop: threading.Event = field(default_factory=threading.Event)
    times: list[float] = field(default_factory=list)
    health: list[float] = field(default_factory=list)
    lost: int = 0

    def search(self) -> None:
        body = json.dumps(SEARCH)
        while not self.stop.wait(0.01):
            self.times.append(self._ask("POST", "/shop/_search", body))

    def check(self) -> None:
        while not self.stop.wait(0.1):
            self.health.append(self._ask("GET", "/_attune/health", None))

    def _ask(self, method: str, path: str, body: str | None) -> float:
        began = time.perf_counter()
        connection = http.client.HTTPConnection(*self.address, timeout=30)
        try:
            connection.request(method, path, body, {"Content-Type": "application/json"})
            response = connection.getresponse()
            json.loads(response.read())
            self.lost += response.status != 200
        except (OSError, http.client.HTTPException, ValueError):
            self.lost += 1
        finally:
            connection.close()
        return time.perf_counter() - began


@contextmanager
def _running(work: object, stop: threading.Event) -> Iterator[None]:
    thread = threading.Thread(target=work)  # type: ignore[arg-type]
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


@contextmanager
def _watched(process: psutil.Process | None) -> Iterator[list[int]]:
    """Yield a list of the memory of all workers, which grows while the block runs."""
    peak: list[int] = []
    stop = threading.Event()

    def watch() -> None:
        while process is not None and not stop.wait(0.1):
            peak.append(sum(child.memory_info().rss for child in process.children() if child.is_running()))

    with _running(watch, stop):
        yield peak


def _workers(process: psutil.Process | None) -> set[int]:
    return {child.pid for child in process.children()} if process else set()


if __name__ == "__main__":
    main()
