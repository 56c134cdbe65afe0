"""Attack the sidecar while a well-behaved client searches; print one JSON object.

    python -m tests.bench.hostile
    python -m tests.bench.hostile --nginx

For each attack: hostile requests sent; the client's median and 95th percentile, the latter also as a
multiple of its own just before; answers that it lost, that had wrong hits, or that were not reranked, by
their `rerank_status`; the slowest health check; the peak memory of the sidecar's processes; worker
processes that died. The sidecar stands before a stand-in for OpenSearch on the same machine; attackers and
stand-in have their own processes. A second client asks the stand-in straight, during the same attack: what it
notices ("straight_p95_times_quiet") is the machine's load, which no sidecar can take away.

`--url` attacks another one, such as nginx before it, whose processes are then told by `--pid`:

    attune serve & python -m tests.bench.hostile --url http://localhost:8000 --pid $!

It must have an index or alias `shop`. With OpenSearch itself as `--url`, the same attacks without a sidecar.
"""

import json
import socket
import statistics
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import replace
from urllib.parse import urlsplit

import click
import psutil

from mappings.settings import OpenSearchSettings, SearchSettings, Settings, SidecarSettings
from mappings.types import JsonObject
from tests.bench.hostile.attacks import ATTACKS, SEARCH, Address
from tests.bench.hostile.client import Client, ask, attacking, running, watching
from tests.bench.hostile.cluster import cheap_cluster
from tests.bench.inputs import machine
from tests.bench.inputs.searches import list_ids
from tests.fakes.echo_server import echo_server
from tests.plugin_api.sidecar.test_through_the_sidecar import PROGRAM

QUIET_SECONDS = 5.0
REST_SECONDS = 1.0
NGINX_SECONDS = 60.0


@click.command()
@click.option("--url", default="", help="A sidecar, or what stands before it. Default: one of its own.")
@click.option("--nginx", is_flag=True, help="Put the image attune-nginx before the bench's own sidecar.")
@click.option("--pid", default=0, help="Process id of the sidecar behind --url.")
@click.option("--seconds", default=10.0, show_default=True, help="Time of each attack.")
@click.option("--attack", "names", multiple=True, type=click.Choice(list(ATTACKS)), help="Repeatable.")
def main(url: str, nginx: bool, pid: int, seconds: float, names: tuple[str, ...]) -> None:
    """Report what a well-behaved client notices of attacks."""
    click.echo(json.dumps(measure(url, seconds, names or tuple(ATTACKS), pid, nginx), indent=2))


def measure(url: str, seconds: float, names: Sequence[str], pid: int = 0, nginx: bool = False) -> JsonObject:
    """Run each attack for `seconds`, beside a client that searches."""
    with ExitStack() as stack:
        straight: Address | None = None
        if url:
            parts = urlsplit(url)
            address = parts.hostname or "localhost", parts.port or 80
            process = psutil.Process(pid) if pid else None
        else:
            port = stack.enter_context(cheap_cluster())
            server = stack.enter_context(echo_server(_settings(port), PROGRAM, quiet=True))
            address, process = ("127.0.0.1", server.port), psutil.Process(server.process.pid)
            straight = "127.0.0.1", port
            if nginx:
                address = "127.0.0.1", stack.enter_context(_nginx(server.port, port))
        answer = ask(address, "POST", "/shop/_search", json.dumps(SEARCH))
        if answer is None:
            raise click.ClickException(f"a search at {address} is not answered")
        expected = list_ids(answer)
        attacks: dict[str, JsonObject] = {}
        for name in names:
            target = address, straight, process, expected
            quiet = _attacked(*target, "", min(seconds, QUIET_SECONDS))
            attacked = _attacked(*target, name, seconds)
            attacks[name] = {
                **attacked,
                "quiet_p95_ms": quiet["p95_ms"],
                "p95_times_quiet": round(attacked["p95_ms"] / quiet["p95_ms"], 2),
            }
            if straight:
                times = attacked["straight_p95_ms"] / quiet["straight_p95_ms"]
                attacks[name]["straight_p95_times_quiet"] = round(times, 2)
            click.echo(f"{name}: {attacks[name]}", err=True)
    return {
        "measures": "a client that searches while others attack the sidecar",
        "seconds": seconds,
        "requests": sum(attacked["requests"] for attacked in attacks.values()),
        "attacks": attacks,
        "machine": machine("uvicorn", "aiohttp", "pycurl", "flask"),
    }


def _settings(port: int) -> Settings:
    return replace(
        Settings(),
        opensearch=OpenSearchSettings(url=f"http://127.0.0.1:{port}"),
        search=SearchSettings(window=10, keyword_weight=0.0, vector_weight_head=0.7),
        sidecar=SidecarSettings(port=0, deadline_ms=20_000),
    )


@contextmanager
def _nginx(sidecar: int, opensearch: int) -> Iterator[int]:
    """Yield the port of nginx before a sidecar and OpenSearch, which listen on this machine."""
    ports = []
    for _ in range(2):
        with socket.create_server(("127.0.0.1", 0)) as free:
            ports.append(free.getsockname()[1])
    settings = {
        "SIDECAR_URL": f"http://127.0.0.1:{sidecar}",
        "ATTUNE_OPENSEARCH_URL": f"http://127.0.0.1:{opensearch}",
        "PORT": str(ports[0]),
        "HEALTH_PORT": str(ports[1]),
    }
    variables = [part for name, value in settings.items() for part in ("--env", f"{name}={value}")]
    run = ["docker", "run", "--rm", "--network=host", *variables, "attune-nginx"]
    process = subprocess.Popen(run, stderr=subprocess.DEVNULL)
    try:
        end = time.monotonic() + NGINX_SECONDS
        while ask(("127.0.0.1", ports[0]), "GET", "/_attune/health") is None:
            if time.monotonic() > end:
                raise click.ClickException("nginx did not start: build docker/Dockerfile, target nginx")
            time.sleep(0.1)
        yield ports[0]
    finally:
        process.terminate()
        process.wait(60)


def _attacked(
    address: Address,
    straight: Address | None,
    process: psutil.Process | None,
    expected: list[str],
    name: str,
    seconds: float,
) -> JsonObject:
    workers = _workers(process)
    client = Client(address, expected)
    other = Client(straight or address, expected)
    with watching(process) as peak, attacking(name, address) if name else nullcontext(int) as sent:
        with ExitStack() as clients:
            clients.enter_context(running(client.search, client.stop))
            clients.enter_context(running(client.check, client.stop))
            if straight:
                clients.enter_context(running(other.search, other.stop))
            time.sleep(seconds)
        requests = sent()
    time.sleep(min(REST_SECONDS, seconds) if name else 0.0)
    percentiles = _percentiles(client)
    return {
        "requests": requests,
        "searches": len(client.times),
        "lost": client.lost,
        "wrong": client.wrong,
        "unranked": dict(client.unranked),
        "p50_ms": round(percentiles[9] * 1000, 1),
        "p95_ms": round(percentiles[18] * 1000, 1),
        "slowest_health_ms": round(max(client.health, default=0.0) * 1000, 1),
        "unhealthy": client.unhealthy,
        "peak_mb": round(max(peak, default=0) / 1e6),
        "worker_deaths": len(workers - _workers(process)),
        **({"straight_p95_ms": round(_percentiles(other)[18] * 1000, 1)} if straight else {}),
    }


def _percentiles(client: Client) -> list[float]:
    return statistics.quantiles([*client.times, *client.times] or [0.0, 0.0], n=20)


def _workers(process: psutil.Process | None) -> set[int]:
    return {child.pid for child in process.children()} if process else set()


if __name__ == "__main__":
    main()
