"""`_search` through the sidecar beside direct BM25, the sidecar's memory and start-up, the index's size.

Needs a running OpenSearch with the demo's index (`attune demo`).

    python -m tests.bench.serve --url http://localhost:9200 --alias products
"""

import http.client
import json
import os
import statistics
import threading
import time
from collections import Counter
from urllib.parse import urlsplit

import click
import psutil

from mappings.client import check_cluster, connect
from mappings.settings import ModelSettings, OpenSearchSettings, SearchSettings, Settings, SidecarSettings
from mappings.types import JsonObject
from plugin_api.request import keyword_query
from plugin_api.sidecar_process import serving, with_free_port
from tests.bench.inputs import machine, middle, queries

DEFAULTS = Settings()


@click.command()
@click.option("--url", default=DEFAULTS.opensearch.url, show_default=True, help="OpenSearch.")
@click.option("--alias", default=DEFAULTS.search.alias, show_default=True, help="Alias of the index.")
@click.option("--requests", default=400, show_default=True, help="Requests of each measurement.")
@click.option("--rounds", default=3, show_default=True, help="Rounds, each with a new sidecar.")
@click.option("--clients", multiple=True, type=int, default=(1, 8), show_default=True, help="Repeatable.")
@click.option("--model", default="", help="Model folder. Default: the shipped one.")
def main(url: str, alias: str, requests: int, rounds: int, clients: tuple[int, ...], model: str) -> None:
    """Time searches through the sidecar and straight to OpenSearch; print one JSON object."""
    click.echo(json.dumps(measure(url, alias, requests, rounds, clients, model), indent=2))


def measure(
    url: str, alias: str, requests: int, rounds: int, clients: tuple[int, ...], model: str
) -> JsonObject:
    """Every figure is the middle over rounds; within a round both ways take turns."""
    settings = with_free_port(
        Settings(
            opensearch=OpenSearchSettings(url=url),
            search=SearchSettings(alias=alias),
            sidecar=SidecarSettings(port=0),
            model=ModelSettings(folder=model),
        )
    )
    facts = machine("onnxruntime", "opensearch-py", "flask", "gunicorn")
    client = connect(settings.opensearch)
    facts["opensearch"] = check_cluster(client, settings.opensearch)
    found: dict[str, list[JsonObject]] = {}
    memory: list[JsonObject] = []
    start_up: list[float] = []
    for _ in range(rounds):
        with serving(settings, os.environ) as sidecar:
            start_up.append(sidecar.seconds)
            for at in (url, sidecar.url):
                _load(at, alias, len(queries()), 1)  # warm up
            for number in clients:
                for name, at in (("direct BM25", url), ("sidecar", sidecar.url)):
                    found.setdefault(f"{name}, {number} clients", []).append(
                        _load(at, alias, requests, number)
                    )
            assert sidecar.process is not None
            memory.append(_memory(sidecar.process.pid))
    stored = client.indices.stats(index=alias, metric="store")["_all"]["primaries"]["store"]["size_in_bytes"]
    count = client.count(index=alias)["count"]
    client.close()
    return {
        "measures": "_search, 10 hits a page, over HTTP",
        "requests": requests,
        "rounds": rounds,
        "search": {name: _middle_of(runs) for name, runs in found.items()},
        "sidecar_rss_mb": middle([m["rss"] for m in memory], 1),
        "sidecar_pss_mb": middle([m["pss"] for m in memory], 1),
        "sidecar_processes": memory[-1]["processes"],
        "sidecar_start_up_seconds": middle(start_up),
        "index_products": count,
        "index_bytes_a_product": round(stored / count),
        "machine": facts,
    }


def _load(url: str, alias: str, requests: int, clients: int) -> JsonObject:
    """Send searches from `clients` at once, each over one connection, the next when the last is answered."""
    texts = queries()
    times: list[float] = []
    answers: list[bytes] = []
    numbers = iter(range(requests))
    lock = threading.Lock()

    def run() -> None:
        connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=60)
        while True:
            with lock:
                number = next(numbers, None)
            if number is None:
                break
            body = {
                "query": keyword_query(texts[number % len(texts)]),
                "_source": ["title", "brand", "price"],
            }
            began = time.perf_counter()
            connection.request(
                "POST", f"/{alias}/_search", json.dumps(body), {"Content-Type": "application/json"}
            )
            answer = connection.getresponse().read()
            took = (time.perf_counter() - began) * 1000
            with lock:
                times.append(took)
                answers.append(answer)
        connection.close()

    began = time.perf_counter()
    workers = [threading.Thread(target=run) for _ in range(clients)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    seconds = time.perf_counter() - began
    if len(answers) != requests:
        raise click.ClickException(f"{requests - len(answers)} of {requests} searches at {url} failed")
    statuses = Counter(_status(json.loads(answer)) for answer in answers)
    percentiles = statistics.quantiles(times, n=100)
    return {
        "p50_ms": percentiles[49],
        "p95_ms": percentiles[94],
        "requests_per_second": requests / seconds,
        "answers": dict(statuses),
    }


def _status(answer: JsonObject) -> str:
    """What became of reranking, by the sidecar's own word; "hits" from OpenSearch itself."""
    if "hits" not in answer:
        return "error"
    return str(answer.get("ext", {}).get("attune", {}).get("rerank_status", "hits"))


def _middle_of(runs: list[JsonObject]) -> JsonObject:
    figures = ("p50_ms", "p95_ms", "requests_per_second")
    answers: Counter[str] = Counter()
    for run in runs:
        answers.update(run["answers"])
    return {**{name: middle([run[name] for run in runs], 1) for name in figures}, "answers": dict(answers)}


def _memory(pid: int) -> JsonObject:
    """Megabytes of a process and its children: resident, and with shared pages divided among them."""
    master = psutil.Process(pid)
    family = [process.memory_full_info() for process in (master, *master.children(recursive=True))]
    return {
        "rss": sum(member.rss for member in family) / 1e6,
        "pss": sum(member.pss for member in family) / 1e6,
        "processes": len(family),
    }


if __name__ == "__main__":
    main()
