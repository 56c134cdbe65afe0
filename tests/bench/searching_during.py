"""Searches while a catalogue is rebuilt, the alias moves, and moves back: how many fail, how long they take.

Needs a running OpenSearch; makes an alias `bench-demo` of the demo's catalogue, unless it is there, and
removes it with --remove.

    python -m tests.bench.searching_during --url http://localhost:9200

Clients ask the demo's queries all the time, each over one connection with a pause in between, straight to
OpenSearch (those that find anything there, by keywords) and as many more through a sidecar. The rebuild and
the rollback are `attune index` and `attune rollback`, processes of their own; the rebuild encodes every
product anew. Phases: before; the rebuild until just before the alias moves; the swap, from there to the job's
end; the rollbacks, to and fro; after. A search counts for the phase that it began in. The sidecar answers
most of them from windows that it keeps, until the alias moves: --rank-anew has it keep none. What runs on the
machine shares its processors: here OpenSearch, the clients, the sidecar and the job.
"""

import http.client
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import click
from opensearchpy import OpenSearch

from indexer.store.alias import AliasIndexes
from indexer.store.retry import RetryPolicy
from mappings.client import check_cluster
from mappings.settings import OpenSearchSettings, SearchSettings, Settings, SidecarSettings
from mappings.types import JsonObject
from plugin_api.commands.demo.catalogue import CATALOGUE, FIELD_MAP, PRODUCTS, find_catalogue
from plugin_api.commands.demo.queries import DEMO_QUERIES
from plugin_api.commands.demo.sidecar_process import choose_free_port, start_sidecar
from plugin_api.search.query.keyword_query import keyword_query
from reranker.model import load_model
from tests.bench.inputs import machine
from tests.bench.inputs.demo_shop import (
    THREADS_VARIABLE,
    as_the_command_does,
    patient_client,
    rebuild,
    remove,
    write_sample,
)

ALIAS = "bench-demo"
DEADLINE_MS = 10_000
"""The sidecar's: what is asked is whether searches are answered, and how soon."""

EMPTY = "empty"
SWAP_SECONDS = 2.0
"""The swap begins so long before the alias is seen to have moved."""


@dataclass(frozen=True, slots=True)
class Asked:
    """One search: when it began (monotonic), how long it took, and what was wrong with its answer."""

    began: float
    seconds: float
    wrong: str


@click.command()
@click.option("--url", default=OpenSearchSettings().url, show_default=True, help="OpenSearch.")
@click.option("--products", default=0, help="Products of the rebuild. Default: the whole catalogue.")
@click.option("--clients", default=2, show_default=True, help="Clients of each way to search.")
@click.option("--rollbacks", default=9, show_default=True, help="How often the alias moves back, or forth.")
@click.option("--pause", default=0.05, show_default=True, help="Seconds between a client's searches.")
@click.option("--idle", default=20.0, show_default=True, help="Seconds before the rebuild, and after all.")
@click.option(
    "--sidecar/--no-sidecar", default=True, show_default=True, help="Also search through a sidecar."
)
@click.option(
    "--keep-windows/--rank-anew",
    default=True,
    show_default=True,
    help="Whether the sidecar keeps ranked windows, as it does unless told otherwise.",
)
@click.option("--nice", default=0, show_default=True, help="Niceness of the jobs' processes.")
@click.option("--busy", default=0, show_default=True, help="Processes that keep a core busy all the time.")
@click.option("--batch", default=0, help="The setting index.batch. Default: its own.")
@click.option("--remove", "removed", is_flag=True, help="Remove the alias's indexes at the end.")
def main(
    url: str,
    products: int,
    clients: int,
    rollbacks: int,
    pause: float,
    idle: float,
    sidecar: bool,
    keep_windows: bool,
    nice: int,
    busy: int,
    batch: int,
    removed: bool,
) -> None:
    """Search during a rebuild, its swap and a rollback; print one JSON object."""
    as_the_command_does()
    facts = machine("onnxruntime", "opensearch-py")
    client = patient_client(url)
    facts["opensearch"] = check_cluster(client, OpenSearchSettings(url=url))
    model = load_model(None)
    environment = {"ATTUNE_OPENSEARCH_URL": url, "ATTUNE_OPENSEARCH_TIMEOUT_SECONDS": "300"}
    if batch:
        environment["ATTUNE_INDEX_BATCH"] = str(batch)
    if products:
        environment["ATTUNE_INDEX_MIN_SHARE"] = "0"
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        if find_catalogue(client, ALIAS, model.version) is None:
            rebuild(client, model, ALIAS, CATALOGUE, folder / "rejects.jsonl")
        # A copy of its own time: vectors are there, and must not be taken from the index that is in use.
        catalogue = folder / "electronics.jsonl"
        write_sample(catalogue, products or PRODUCTS)
        _spoil(catalogue)
        ways = {"opensearch": url}
        if sidecar:
            ways["sidecar"] = stack.enter_context(_sidecar(url, keep_windows))
        job = _Job(environment, nice)
        for _ in range(busy):
            stack.enter_context(_busy_process())
        with _asking(ways, clients, pause) as asked:
            moments = _run(client, idle, rollbacks, job, catalogue)
    if removed:
        remove(client, ALIAS)
    client.close()
    report: JsonObject = {
        "measures": "searches during a rebuild, its swap and a rollback",
        "clients_of_each_way": clients,
        "pause_ms": pause * 1000,
        "windows_kept": keep_windows,
        "nice": nice,
        "busy": busy,
        "rebuild": job.report,
        "ways": {way: _phases(found, moments) for way, found in asked.items()},
        "seconds": {name: round(sum(to - of for of, to in spans), 1) for name, spans in moments.items()},
        "load_after": round(os.getloadavg()[0], 2),
        "machine": facts,
    }
    click.echo(json.dumps(report, indent=2))


@contextmanager
def _busy_process() -> Iterator[None]:
    """Keep a core busy."""
    process = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        yield
    finally:
        process.kill()
        process.wait()


class _Job:
    """The commands, run as processes of their own."""

    def __init__(self, environment: dict[str, str], nice: int) -> None:
        self._environment = {**os.environ, **environment}
        self._environment.pop(THREADS_VARIABLE)  # the command sets it itself
        self._nice = nice
        self.report: JsonObject = {}

    def run(self, *arguments: str) -> JsonObject:
        """Run `attune` to its end; return what it printed."""
        nice = [shutil.which("nice") or "nice", "-n", str(self._nice)] if self._nice else []
        command = [*nice, sys.executable, "-m", "plugin_api", *arguments, f"--alias={ALIAS}", "--json"]
        done = subprocess.run(command, stdout=subprocess.PIPE, env=self._environment, check=True)
        report: JsonObject = json.loads(done.stdout)
        return report


Spans = list[tuple[float, float]]
"""From when to when (monotonic), once or several times."""


def _run(client: OpenSearch, idle: float, rollbacks: int, job: _Job, catalogue: Path) -> dict[str, Spans]:
    """Rebuild and roll back while searches are asked; return when each phase was."""
    time.sleep(5)  # connections and caches
    started = time.monotonic()
    time.sleep(idle)
    begun = time.monotonic()
    with _watching(client) as moved:
        rejects = catalogue.with_suffix(".rejects.jsonl")
        job.report = job.run("index", str(catalogue), f"--fields={FIELD_MAP}", f"--rejects={rejects}")
    swapped = time.monotonic()
    if not moved:
        raise click.ClickException("the alias did not move")
    aliases = AliasIndexes(client, ALIAS, RetryPolicy(60))
    there, back = aliases.resolve()[0], [of.name for of in aliases.list_indexes() if of.complete][-2]
    rolled: Spans = []
    for number in range(rollbacks):
        time.sleep(1)
        began = time.monotonic()
        job.run("rollback", f"--to={there if number % 2 else back}")
        rolled.append((began, time.monotonic()))
    time.sleep(idle / 2)  # windows are kept again
    rested = time.monotonic()
    time.sleep(idle)
    swapping = moved[0] - SWAP_SECONDS
    return {
        "before": [(started, begun)],
        "rebuild": [(begun, swapping)],
        "swap": [(swapping, swapped)],
        "rollbacks": rolled,
        "after": [(rested, time.monotonic())],
    }


@contextmanager
def _asking(ways: dict[str, str], clients: int, pause: float) -> Iterator[dict[str, list[Asked]]]:
    """Have clients ask while the block runs; yield what was asked by way, which grows."""
    asked: dict[str, list[Asked]] = {way: [] for way in ways}
    stop = threading.Event()

    def ask(url: str, first: int, found: list[Asked]) -> None:
        number = first
        connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=60)
        texts = [query.text for query in DEMO_QUERIES if not _search(connection, query.text).wrong]
        while not stop.wait(pause):
            found.append(_search(connection, texts[number % len(texts)]))
            number += 1
        connection.close()

    threads = [
        threading.Thread(target=ask, args=(url, number * 5, asked[way]))
        for way, url in ways.items()
        for number in range(clients)
    ]
    for thread in threads:
        thread.start()
    try:
        yield asked
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def _search(connection: http.client.HTTPConnection, text: str) -> Asked:
    body = json.dumps({"query": keyword_query(text), "_source": ["title", "brand", "price"]})
    began = time.monotonic()
    try:
        connection.request("POST", f"/{ALIAS}/_search", body, {"Content-Type": "application/json"})
        response = connection.getresponse()
        answer = json.loads(response.read())
    except (OSError, http.client.HTTPException, ValueError) as error:
        connection.close()
        return Asked(began, time.monotonic() - began, repr(error))
    seconds = time.monotonic() - began
    if response.status != http.client.OK or answer.get("timed_out") or answer["_shards"]["failed"]:
        return Asked(began, seconds, f"{response.status}: {str(answer)[:200]}")
    why = answer.get("ext", {}).get("attune", {}).get("rerank_status", "")
    return Asked(began, seconds, "" if answer["hits"]["hits"] else f"{EMPTY} {text!r} {why}")


@contextmanager
def _watching(client: OpenSearch) -> Iterator[list[float]]:
    """Look where the alias points while the block runs; yield a list that gets the moment when it moved."""
    aliases = AliasIndexes(client, ALIAS, RetryPolicy(60))
    moved: list[float] = []
    before = aliases.resolve()
    ended = threading.Event()

    def watch() -> None:
        while not moved and not ended.wait(0.2):
            if aliases.resolve() != before:
                moved.append(time.monotonic())

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield moved
    finally:
        ended.set()
        thread.join()


@contextmanager
def _sidecar(url: str, keep_windows: bool) -> Iterator[str]:
    seconds = SearchSettings().cache_seconds if keep_windows else 0.0
    settings = Settings(
        opensearch=OpenSearchSettings(url=url),
        search=SearchSettings(alias=ALIAS, cache_seconds=seconds),
        sidecar=SidecarSettings(port=0, deadline_ms=DEADLINE_MS),
    )
    with start_sidecar(choose_free_port(settings), os.environ) as sidecar:
        yield sidecar.url


def _spoil(catalogue: Path) -> None:
    """Change every product's text by a word, so that a rebuild encodes every one anew."""
    rows = [json.loads(line) for line in catalogue.read_bytes().splitlines()]
    for row in rows:
        row["short_description"] = f"{row.get('short_description') or ''} again"
    catalogue.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def _phases(found: Sequence[Asked], moments: dict[str, Spans]) -> JsonObject:
    phases: JsonObject = {}
    for name, spans in moments.items():
        of = [asked for asked in found if any(began <= asked.began < ended for began, ended in spans)]
        took = [asked.seconds * 1000 for asked in of]
        percentiles = statistics.quantiles(took, n=100) if len(took) > 1 else [0.0] * 99
        wrong = [asked.wrong for asked in of if asked.wrong]
        phases[name] = {
            "searches": len(of),
            "failed": sum(not of.startswith(EMPTY) for of in wrong),
            "empty": sum(of.startswith(EMPTY) for of in wrong),
            "first_wrong": next(iter(wrong), ""),
            "p50_ms": round(percentiles[49], 1),
            "p95_ms": round(percentiles[94], 1),
            "longest_ms": round(max(took, default=0.0), 1),
        }
        if phases["before"]["p95_ms"]:
            phases[name]["p95_beside_before"] = round(percentiles[94] / phases["before"]["p95_ms"], 2)
    return phases


if __name__ == "__main__":
    main()
