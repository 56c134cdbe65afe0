"""What passing through costs: small requests through the sidecar and straight to OpenSearch, by turns.

Needs a running OpenSearch with the demo's index (`attune demo`).

    python -m tests.bench.proxy --url http://localhost:9200 --alias products
"""

import http.client
import json
import os
import statistics
import time
from collections.abc import Mapping
from urllib.parse import urlsplit

import click
import psutil

from mappings.client import check_cluster, connect
from mappings.settings import OpenSearchSettings, SearchSettings, Settings, SidecarSettings
from mappings.types import JsonObject
from plugin_api.commands.demo.sidecar_process import choose_free_port, start_sidecar
from tests.bench.inputs import machine, middle

DEFAULTS = Settings()
WARM_UP = 50


@click.command()
@click.option("--url", default=DEFAULTS.opensearch.url, show_default=True, help="OpenSearch.")
@click.option("--alias", default=DEFAULTS.search.alias, show_default=True, help="Alias of the index.")
@click.option("--requests", default=200, show_default=True, help="Requests of each kind and way, a round.")
@click.option("--rounds", default=9, show_default=True, help="Rounds.")
def main(url: str, alias: str, requests: int, rounds: int) -> None:
    """Time small requests both ways; print one JSON object."""
    click.echo(json.dumps(measure(url, alias, requests, rounds), indent=2))


def measure(url: str, alias: str, requests: int, rounds: int) -> JsonObject:
    """Both ways take turns request by request, so that whatever else runs hits them alike."""
    settings = choose_free_port(
        Settings(
            opensearch=OpenSearchSettings(url=url),
            search=SearchSettings(alias=alias),
            sidecar=SidecarSettings(port=0),
        )
    )
    facts = machine("flask", "uvicorn", "httptools", "aiohttp")
    client = connect(settings.opensearch)
    facts["opensearch"] = check_cluster(client, settings.opensearch)
    id_ = client.search(index=alias, body={"size": 1, "_source": False})["hits"]["hits"][0]["_id"]
    client.close()
    targets = {"root": "/", "document": f"/{alias}/_doc/{id_}", "count": f"/{alias}/_count"}
    with start_sidecar(settings, os.environ) as sidecar:
        ways = {"direct": _connected(url), "sidecar": _connected(sidecar.url)}
        found: dict[str, list[dict[str, list[float]]]] = {name: [] for name in targets}
        for target in targets.values():
            _by_turns(ways, target, WARM_UP)
        assert sidecar.process is not None
        before = _cpu_seconds(sidecar.process.pid)
        for _ in range(rounds):
            for name, target in targets.items():
                found[name].append(_by_turns(ways, target, requests))
        spent = _cpu_seconds(sidecar.process.pid) - before
    return {
        "measures": "small requests, one client, a kept connection each way",
        "requests": requests,
        "rounds": rounds,
        **{name: _compared(runs) for name, runs in found.items()},
        "sidecar_cpu_ms_a_request": round(spent * 1000 / (requests * rounds * len(targets)), 2),
        "load_after": round(os.getloadavg()[0], 2),
        "machine": facts,
    }


def _cpu_seconds(pid: int) -> float:
    """Processor time of a process and its children: the cost, however busy the machine is."""
    family = [psutil.Process(pid), *psutil.Process(pid).children()]
    return float(sum(sum(member.cpu_times()[:2]) for member in family))


def _connected(url: str) -> http.client.HTTPConnection:
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=60)
    connection.connect()
    return connection


def _by_turns(
    ways: Mapping[str, http.client.HTTPConnection], target: str, requests: int
) -> dict[str, list[float]]:
    """Milliseconds of each request by the way that it took."""
    times: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(requests):
        for name, connection in ways.items():
            began = time.perf_counter()
            connection.request("GET", target)
            response = connection.getresponse()
            response.read()
            times[name].append((time.perf_counter() - began) * 1000)
            if response.status != 200:
                raise click.ClickException(f"{target} by the way {name}: {response.status}")
    return times


def _compared(runs: list[dict[str, list[float]]]) -> JsonObject:
    """Medians over rounds of each round's p50; what is added is a difference within each round."""
    p50 = {name: [statistics.median(run[name]) for run in runs] for name in runs[0]}
    added = [through - direct for through, direct in zip(p50["sidecar"], p50["direct"], strict=True)]
    return {
        **{f"{name}_p50_ms": middle(values) for name, values in p50.items()},
        "added_p50_ms": middle(added),
        "added_p50_ms_of_rounds": [round(min(added), 2), round(max(added), 2)],
    }


if __name__ == "__main__":
    main()
