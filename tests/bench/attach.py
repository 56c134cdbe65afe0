"""Attaching to a shop's index and following its writers: speed beside `attune index`, lost writes, latency.

    python -m tests.bench.attach --url http://localhost:9200 [--products 19406] [--seconds 120] [--kills 2]

Prints one JSON object. It makes and deletes the indexes `bench-*` and needs a cluster of its own. Both ways
of getting vectors run in turn on the same machine, so their ratio holds where other work shares it.
"""

import gzip
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import click
from opensearchpy import OpenSearch
from opensearchpy.helpers import bulk

from mappings.types import JsonObject
from plugin_api.commands.demo.catalogue import CATALOGUE, PRODUCTS
from tests.bench.inputs import machine, percentiles

INDEX, ALIAS = "bench-shop", "bench-own"
WRITTEN = 2000
"""Products that are written at random."""

BODY: JsonObject = {
    "settings": {"index": {"knn": True, "number_of_shards": 1, "number_of_replicas": 0}},
    "mappings": {
        "properties": {
            "name": {"type": "text"},
            "body": {"type": "text"},
            "maker": {"properties": {"name": {"type": "text"}}},
            "offers": {"type": "nested", "properties": {"price": {"type": "double"}}},
            "specs": {"type": "flat_object"},
        }
    },
}


@click.command(help=__doc__)
@click.option("--url", default="http://localhost:9200", show_default=True, help="OpenSearch.")
@click.option("--products", default=PRODUCTS, show_default=True, help="Products that both ways encode.")
@click.option("--seconds", default=120.0, show_default=True, help="How long to write at random.")
@click.option("--writes", default=100.0, show_default=True, help="Random writes a second.")
@click.option("--kills", default=2, show_default=True, help="Times that the job is killed meanwhile.")
@click.option("--samples", default=60, show_default=True, help="Writes whose vectors are waited for.")
@click.option("--only", type=click.Choice(["speed", "writes"]), help="Measure one of the two.")
def main(
    url: str, products: int, seconds: float, writes: float, kills: int, samples: int, only: str | None
) -> None:
    """Measure; print one JSON object."""
    client = OpenSearch(url, timeout=120)
    os.environ["ATTUNE_OPENSEARCH_URL"] = url
    report: JsonObject = machine("opensearch-py")
    if only != "writes":
        report["speed"] = measure_speed(client, products)
    if only != "speed":
        report["writes"] = measure_writes(client, seconds, writes, kills, samples)
    client.indices.delete(index="bench-*", params={"expand_wildcards": "all"})
    click.echo(json.dumps(report, indent=2))


def measure_speed(client: OpenSearch, products: int) -> dict[str, float]:
    """Return products a second of `attune index` and of `attune attach`, of the same texts."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "catalogue.jsonl"
        documents = list(read_documents(products))
        file.write_text("".join(json.dumps(flatten(key, source)) + "\n" for key, source in documents))
        started = time.perf_counter()
        run("index", str(file), "--alias", ALIAS, "--json")
        indexing = time.perf_counter() - started
    create_shop(client, documents)
    started = time.perf_counter()
    run("attach", INDEX, "--json")
    attaching = time.perf_counter() - started
    return {
        "products": len(documents),
        "index_per_second": round(len(documents) / indexing, 1),
        "attach_per_second": round(len(documents) / attaching, 1),
        "ratio": round(indexing / attaching, 3),
    }


def measure_writes(client: OpenSearch, seconds: float, writes: float, kills: int, samples: int) -> JsonObject:
    """Write at random while the index is attached and followed; return what was lost, and the latencies."""
    create_shop(client, list(read_documents(WRITTEN)))
    writer = Writer(client, writes)
    thread = threading.Thread(target=writer.run, args=(seconds,))
    thread.start()
    attach = start("attach", INDEX, "--json")
    job = attach
    interval = seconds / (kills + 1)
    for _ in range(kills):
        time.sleep(interval)
        job.send_signal(signal.SIGKILL)
        job.wait()
        if job is attach:
            run("attach", INDEX, "--json")
        job = start("follow", INDEX, "--json")
    if job is attach:
        attach.wait()
        job = start("follow", INDEX, "--json")
    thread.join()
    per_second = round(writer.written / seconds, 1)
    latencies = measure_latency(client, writer, samples)
    job.send_signal(signal.SIGTERM)
    job.wait()
    run("follow", INDEX, "--once", "--json")
    client.indices.refresh(index=INDEX)
    lost = altered = without = 0
    for key, expected in writer.expected.items():
        source = client.get(index=INDEX, id=key, ignore=404).get("_source")
        if expected is None:
            altered += source is not None
        elif source is None:
            lost += 1
        else:
            own = source.pop("attune", None)
            altered += source != expected
            without += own is None
    return {
        "written": writer.written,
        "writes_per_second": per_second,
        "kills": kills,
        "lost": lost,
        "altered": altered,
        "without_vectors": without,
        "event_to_vector_ms": latencies,
    }


def measure_latency(client: OpenSearch, writer: "Writer", samples: int) -> JsonObject:
    """Return milliseconds from a write to a search that finds its vector, while the shop writes on."""
    thread = threading.Thread(target=writer.run, args=(3600.0,))
    thread.start()
    taken = []
    try:
        for number in range(samples):
            key, name = f"latency-{number}", f"Latency mug {number}"
            started = time.perf_counter()
            client.index(index=INDEX, id=key, body={"name": name, "body": "a mug", "maker": {"name": "x"}})
            query = {"bool": {"filter": [{"ids": {"values": [key]}}, {"exists": {"field": "attune.model"}}]}}
            while not client.count(index=INDEX, body={"query": query})["count"]:
                if time.perf_counter() - started > 60:
                    break
                time.sleep(0.02)
            taken.append((time.perf_counter() - started) * 1000)
    finally:
        writer.stop.set()
        thread.join()
    return percentiles(taken, 50, 95, 99)


class Writer:
    """A shop's indexer: writes anew, updates in part and deletes at random, and knows what must be there."""

    def __init__(self, client: OpenSearch, rate: float) -> None:
        self._client = client
        self._pause = 1 / rate
        self._chance = random.Random(3)
        self._known: dict[str, JsonObject] = dict(read_documents(WRITTEN))
        self._keys = list(self._known)
        self.expected: dict[str, JsonObject | None] = {}
        self.written = 0
        self.stop = threading.Event()

    def run(self, seconds: float) -> None:
        due = time.monotonic()
        until = due + seconds
        while time.monotonic() < until and not self.stop.is_set():
            due += self._pause
            self.stop.wait(max(0.0, due - time.monotonic()))
            key, turn = self._chance.choice(self._keys), self.written
            if self._chance.random() < 0.1:
                self._client.delete(index=INDEX, id=key, ignore=404)
                self._put(key, None)
            elif self._chance.random() < 0.5 and key in self._known:
                price = {"offers": [{"price": float(turn)}]}
                change = price if turn % 2 else {**price, "name": f"{self._known[key]['name']} {turn}"}
                self._client.update(
                    index=INDEX, id=key, body={"doc": change}, params={"retry_on_conflict": 10}
                )
                self._put(key, {**self._known[key], **change})
            else:
                source = {"name": f"Mug {key} {turn}", "body": "a mug", "maker": {"name": "Potter"}}
                self._client.index(index=INDEX, id=key, body=source)
                self._put(key, source)
            self.written += 1

    def _put(self, key: str, source: JsonObject | None) -> None:
        self.expected[key] = source
        if source is None:
            self._known.pop(key, None)
        else:
            self._known[key] = source


def read_documents(count: int) -> Iterator[tuple[str, JsonObject]]:
    """Yield the demo's products as a shop with a mapping of its own has them."""
    with gzip.open(CATALOGUE, "rt", encoding="utf-8") as lines:
        for _, line in zip(range(count), lines, strict=False):
            product = json.loads(line)
            specs = {key[7:]: str(value) for key, value in product.items() if key.startswith("attr_t_")}
            yield (
                product["id"],
                {
                    "name": product.get("title") or product.get("name") or "",
                    "body": product.get("short_description") or "",
                    "maker": {"name": product.get("supplier") or ""},
                    "offers": [{"price": product["price"] / 100}],
                    "specs": specs,
                },
            )


def flatten(key: str, source: JsonObject) -> JsonObject:
    """Return the same product as a record of a catalogue."""
    return {
        "id": key,
        "title": source["name"],
        "description": source["body"],
        "brand": source["maker"]["name"],
        "price": source["offers"][0]["price"],
        "specs": source["specs"],
    }


def create_shop(client: OpenSearch, documents: list[tuple[str, JsonObject]]) -> None:
    client.indices.delete(index=INDEX, params={"ignore_unavailable": "true"})
    client.indices.create(index=INDEX, body=BODY)
    bulk(client, ({"_index": INDEX, "_id": key, "_source": source} for key, source in documents))
    client.indices.refresh(index=INDEX)


def start(*arguments: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "plugin_api", *arguments], stdout=subprocess.DEVNULL, text=True
    )


def run(*arguments: str) -> None:
    subprocess.run([sys.executable, "-m", "plugin_api", *arguments], stdout=subprocess.DEVNULL, check=True)


if __name__ == "__main__":
    main()
