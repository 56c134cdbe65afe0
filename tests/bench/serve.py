"""`_search` through the sidecar beside BM25 and hybrid straight to OpenSearch; memory, start-up, index size.

Needs a running OpenSearch with the demo's index (`attune demo`).

    python -m tests.bench.serve --url http://localhost:9200 --alias products

Direct hybrid is what a node without neural-search can do: BM25 and k-NN of as many neighbours as the window
has, as two `should` clauses of one search, for the first page; nothing is reranked. Its query vectors are
made before the clock starts, or ("encoding") by the client meanwhile, as whoever searches from text must.

The sidecar keeps the windows that it ranked last ("kept"). So it is asked twice: the same queries again and
again, and (as the direct ways are) each in a spelling of its own, "lApTop" and "LaptOp", which is new to the
sidecar and the same work for everybody. Each way is warmed up before each of its measurements, in the same
manner: a window lasts a minute, and a measurement less, so that ranking it would weigh too much.
"""

import http.client
import json
import os
import statistics
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from urllib.parse import urlsplit

import click
import psutil

from mappings.client import check_cluster, connect
from mappings.fields import VECTOR
from mappings.settings import ModelSettings, OpenSearchSettings, SearchSettings, Settings, SidecarSettings
from mappings.types import JsonObject
from plugin_api.commands.demo.sidecar_process import choose_free_port, start_sidecar
from plugin_api.search.query.keyword_query import keyword_query
from reranker.encoders.codec import quantise_vector
from reranker.model import Model, load_model
from tests.bench.inputs import machine, middle, queries

DEFAULTS = Settings()
SOURCE = ["title", "brand", "price"]

WARM_UP = 4
"""How often each query is asked before a measurement, by as many clients: each worker then has its window."""


@click.command()
@click.option("--url", default=DEFAULTS.opensearch.url, show_default=True, help="OpenSearch.")
@click.option("--alias", default=DEFAULTS.search.alias, show_default=True, help="Alias of the index.")
@click.option("--requests", default=200, show_default=True, help="Requests of each measurement.")
@click.option("--rounds", default=5, show_default=True, help="Rounds, each with a new sidecar.")
@click.option("--clients", multiple=True, type=int, default=(1, 16), show_default=True, help="Repeatable.")
@click.option("--workers", default=1, show_default=True, help="Worker processes of the sidecar.")
@click.option("--model", default="", help="Model folder. Default: the shipped one.")
def main(
    url: str, alias: str, requests: int, rounds: int, clients: tuple[int, ...], workers: int, model: str
) -> None:
    """Time searches through the sidecar and straight to OpenSearch; print one JSON object."""
    click.echo(json.dumps(measure(url, alias, requests, rounds, clients, workers, model), indent=2))


def measure(
    url: str, alias: str, requests: int, rounds: int, clients: tuple[int, ...], workers: int, model: str
) -> JsonObject:
    """Every figure is the middle over rounds; within a round the ways take turns."""
    settings = choose_free_port(
        Settings(
            opensearch=OpenSearchSettings(url=url),
            search=SearchSettings(alias=alias),
            sidecar=SidecarSettings(port=0, workers=workers),
            model=ModelSettings(folder=model),
        )
    )
    facts = machine("onnxruntime", "opensearch-py", "flask", "uvicorn", "pycurl")
    client = connect(settings.opensearch)
    facts["opensearch"] = check_cluster(client, settings.opensearch)
    found: dict[int, dict[str, list[JsonObject]]] = {number: {} for number in clients}
    ways = _ways(url, settings)
    spent: dict[str, list[JsonObject]] = {}
    node = _listener(urlsplit(url).port or 80)
    asked, warm = 0, WARM_UP * len(_texts())
    memory: list[JsonObject] = []
    start_up: list[float] = []
    for _ in range(rounds):
        with start_sidecar(settings, os.environ) as sidecar:
            start_up.append(sidecar.seconds)
            assert sidecar.process is not None
            for number in clients:
                asked += warm + requests
                for way in ways:
                    body = way.bodies(asked - warm - requests, warm)
                    _load(way.url or sidecar.url, alias, body, warm, number)
                    before = _cpu_seconds(sidecar.process.pid), _cpu_seconds(node)
                    body = way.bodies(asked - requests, requests)
                    run = _load(way.url or sidecar.url, alias, body, requests, number)
                    found[number].setdefault(way.name, []).append(run)
                    took = _cpu_seconds(sidecar.process.pid) - before[0], _cpu_seconds(node) - before[1]
                    cost = {"sidecar": took[0] * 1000 / requests, "opensearch": took[1] * 1000 / requests}
                    spent.setdefault(way.name, []).append(cost)
            memory.append(_memory(sidecar.process.pid))
    stored = client.indices.stats(index=alias, metric="store")["_all"]["primaries"]["store"]["size_in_bytes"]
    count = client.count(index=alias)["count"]
    client.close()
    return {
        "measures": "_search, 10 hits a page, over HTTP",
        "requests": requests,
        "workers": workers,
        "rounds": rounds,
        "search": {
            f"{name}, {number} clients": _middle_of(runs)
            for number, by_way in found.items()
            for name, runs in by_way.items()
        },
        "sidecar_beside": {f"{number} clients": _compared(by_way) for number, by_way in found.items()},
        "cpu_ms_a_request": {
            name: {part: middle([run[part] for run in runs]) for part in runs[0]}
            for name, runs in spent.items()
        },
        "sidecar_rss_mb": middle([m["rss"] for m in memory], 1),
        "sidecar_pss_mb": middle([m["pss"] for m in memory], 1),
        "sidecar_processes": memory[-1]["processes"],
        "sidecar_start_up_seconds": middle(start_up),
        "index_products": count,
        "index_bytes_a_product": round(stored / count),
        "load_after": round(os.getloadavg()[0], 2),
        "machine": facts,
    }


@dataclass(frozen=True, slots=True)
class _Way:
    """A way to search: the address, empty for the sidecar's, and whether each query is new.

    `vectors` are the queries', where k-NN is asked for as well; `model` makes them while the clock runs.
    """

    name: str
    url: str
    new: bool
    vectors: Mapping[str, list[int]] = field(default_factory=dict)
    model: Model | None = None

    def bodies(self, start: int, number: int) -> Callable[[int], bytes]:
        """What makes each of that many searches; another start gives other ones where each is new."""
        if self.model:
            return lambda n: self._body(start + n)
        return [self._body(n) for n in range(start, start + number)].__getitem__

    def _body(self, number: int) -> bytes:
        texts = _texts()
        text = texts[number % len(texts)]
        query = keyword_query(_spelt(text, number // len(texts)) if self.new else text)
        if self.vectors or self.model:
            vector = (
                quantise_vector(self.model.encode_query(text).vector) if self.model else self.vectors[text]
            )
            near = {"vector": vector, "k": DEFAULTS.search.window}
            query = {"bool": {"should": [query, {"knn": {VECTOR: near}}]}}
        return json.dumps({"query": query, "_source": SOURCE}).encode()


@cache
def _texts() -> tuple[str, ...]:
    return tuple(queries())


def _ways(url: str, settings: Settings) -> list[_Way]:
    folder = settings.model.folder
    model = load_model(Path(folder) if folder else None, settings.model.threads).load()
    vectors = {text: quantise_vector(model.encode_query(text).vector) for text in _texts()}
    return [
        _Way("direct BM25", url, True),
        _Way("direct hybrid", url, True, vectors),
        _Way("direct hybrid, encoding", url, True, model=model),
        _Way("sidecar", "", True),
        _Way("sidecar, queries repeated", "", False),
    ]


def _spelt(text: str, number: int) -> str:
    """The text with capital letters where the number has a 1, the last letter first."""
    letters = [
        letter.upper() if number >> bit & 1 else letter.lower() for bit, letter in enumerate(reversed(text))
    ]
    return "".join(reversed(letters))


def _load(url: str, alias: str, body: Callable[[int], bytes], requests: int, clients: int) -> JsonObject:
    """Send searches from `clients` at once, each over one connection, the next when the last is answered."""
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
            began = time.perf_counter()
            connection.request(
                "POST", f"/{alias}/_search", body(number), {"Content-Type": "application/json"}
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
    told = answer.get("ext", {}).get("attune", {})
    return f"{told.get('rerank_status', 'hits')}{', kept' if told.get('kept') else ''}"


def _middle_of(runs: list[JsonObject]) -> JsonObject:
    figures = ("p50_ms", "p95_ms", "requests_per_second")
    answers: Counter[str] = Counter()
    for run in runs:
        answers.update(run["answers"])
    return {**{name: middle([run[name] for run in runs], 1) for name in figures}, "answers": dict(answers)}


def _compared(by_way: dict[str, list[JsonObject]]) -> JsonObject:
    """What the sidecar adds to BM25's p50, and its share of each way's throughput: within each round."""
    compared: JsonObject = {}
    for name in (name for name in by_way if name.startswith("sidecar")):
        mine, keyword, hybrid = by_way[name], by_way["direct BM25"], by_way["direct hybrid"]
        added = [run["p50_ms"] - other["p50_ms"] for run, other in zip(mine, keyword, strict=True)]
        compared[name] = {
            "added_to_bm25_p50_ms": middle(added, 1),
            "added_to_bm25_p50_ms_of_rounds": [round(min(added), 1), round(max(added), 1)],
            "share_of_bm25_throughput": _share(mine, keyword),
            "share_of_hybrid_throughput": _share(mine, hybrid),
            "share_of_encoding_hybrid_throughput": _share(mine, by_way["direct hybrid, encoding"]),
        }
    return compared


def _share(runs: Sequence[JsonObject], others: Sequence[JsonObject]) -> float:
    per_second = "requests_per_second"
    return middle([run[per_second] / other[per_second] for run, other in zip(runs, others, strict=True)])


def _cpu_seconds(pid: int) -> float:
    """Processor time of a process and its children: the cost, however busy the machine; 0 for none."""
    if not pid:
        return 0.0
    family = [psutil.Process(pid), *psutil.Process(pid).children()]
    return float(sum(sum(member.cpu_times()[:2]) for member in family))


def _listener(port: int) -> int:
    """Id of the process on this machine that listens at the port; 0 where that can't be seen."""
    try:
        listening = [found for found in psutil.net_connections("tcp") if found.status == psutil.CONN_LISTEN]
    except psutil.AccessDenied:
        return 0
    return next((found.pid or 0 for found in listening if found.laddr.port == port), 0)


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
