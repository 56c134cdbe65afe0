"""Peak memory of a full rebuild, a small catalogue beside a large one.

Needs a running OpenSearch with some gigabytes of disk; makes and removes an alias `bench-memory`.

    python -m tests.bench.index_memory --url http://localhost:9200 --records 20000 1000000

Each rebuild is a process of its own, from catalogue to swap, by the library's own call. The records are made
up: words drawn from the demo's catalogue. Encoding a million products takes an hour, so the encoder is the
real model for one product of each batch, and the others get its vectors, turned; only 8 components and 64
bytes of token vectors are written. So the process holds all that a real one does but for the size of a batch.
"""

import json
import os
import random
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

import click
import numpy as np
from opensearchpy import OpenSearch

from indexer.catalogue.field_map import load_field_map
from indexer.rebuild.job import rebuild_index
from indexer.rebuild.product_source import CatalogueSource
from indexer.sources.files import open_catalogue
from indexer.store.alias import AliasIndexes
from indexer.store.retry import RetryPolicy
from indexer.store.session import IndexSession, OneEncoder
from mappings.client import check_cluster, connect
from mappings.settings import OpenSearchSettings
from mappings.types import JsonObject, Product
from reranker.model import Model, load_model
from reranker.types import EncodedProduct
from tests.bench.inputs import machine, products

ALIAS = "bench-memory"
FIELDS = """id = "id"
title = ["title"]
brand = ["brand"]
description = ["description"]
price = "price"
attributes = ["colour", "size"]
"""
DIMENSION = 8
STORED_BYTES = 64
WORDS = 40


class OneOfEachBatch:
    """Runs the model on the first product of those given, and turns its vector for the rest."""

    dimension = DIMENSION

    def __init__(self, model: Model) -> None:
        self._model = model
        self.version = f"{model.version}-one-of-each-batch"

    def encode_products(self, given: Sequence[Product]) -> list[EncodedProduct]:
        """Return vectors of `DIMENSION` components."""
        (first,) = self._model.encode_products(given[:1])
        turned = np.random.default_rng(len(given)).permuted(
            np.tile(first.vector, (len(given), 1))[:, :DIMENSION], axis=1
        )
        return [EncodedProduct(vector, first.stored[:STORED_BYTES]) for vector in turned]


@click.command()
@click.option("--url", default=OpenSearchSettings().url, show_default=True, help="OpenSearch.")
@click.option("--records", multiple=True, type=int, default=(20_000, 1_000_000), show_default=True)
@click.option("--child", type=click.Path(path_type=Path), help="Only this catalogue, in this process.")
def main(url: str, records: tuple[int, ...], child: Path | None) -> None:
    """Measure peak memory by the number of records; print one JSON object."""
    click.echo(json.dumps(rebuilt(url, child) if child else measure(url, records), indent=2))


def measure(url: str, records: Sequence[int]) -> JsonObject:
    """Rebuild from each number of records, each in a new process; the last is compared with the first."""
    facts = machine("onnxruntime", "opensearch-py")
    settings = OpenSearchSettings(url=url)
    client = connect(settings)
    facts["opensearch"] = check_cluster(client, settings)
    runs: list[JsonObject] = []
    for count in records:
        with tempfile.TemporaryDirectory() as folder:
            catalogue = Path(folder) / "products.jsonl"
            _write_catalogue(catalogue, count)
            module = (sys.executable, "-m", "tests.bench.index_memory")
            command = [*module, f"--url={url}", f"--child={catalogue}"]
            try:
                done = subprocess.run(command, stdout=subprocess.PIPE, check=True)
            finally:
                _remove(client)
        runs.append({"records": count, **json.loads(done.stdout)})
    client.close()
    return {
        "measures": "peak resident memory of a full rebuild",
        "runs": runs,
        "last_beside_first": round(runs[-1]["peak_mb"] / runs[0]["peak_mb"], 3),
        "load_after": round(os.getloadavg()[0], 2),
        "machine": facts,
    }


def rebuilt(url: str, path: Path) -> JsonObject:
    """Rebuild from one catalogue in this process."""
    catalogue = open_catalogue(path)
    fields = path.with_suffix(".toml")
    fields.write_text(FIELDS, encoding="utf-8")
    source = CatalogueSource(catalogue, load_field_map(fields, catalogue))
    peaks: list[float] = []
    client = connect(OpenSearchSettings(url=url, timeout_seconds=300))
    encoder = OneOfEachBatch(load_model(None))
    session = IndexSession(
        client, ALIAS, OneEncoder(encoder), on_progress=lambda *_: peaks.append(_peak_mb())
    )
    report = rebuild_index(session, source, path.with_suffix(".rejects.jsonl"))
    return {
        "indexed": report.indexed,
        "products_per_second": report.products_per_second,
        "seconds": report.seconds,
        "peak_mb": _peak_mb(),
        "peak_mb_at_tenths": [peaks[at * len(peaks) // 10] for at in range(10)],
        "report": asdict(report),
    }


def _write_catalogue(path: Path, count: int) -> None:
    """Write that many records of random words, the same each time; every thousandth has a bad price."""
    words = sorted({word for product in products(2000) for word in product.title.split()})
    draw = random.Random(0)
    with path.open("w", encoding="utf-8") as file:
        for number in range(count):
            text = draw.choices(words, k=WORDS)
            record = {
                "id": f"product-{draw.randrange(10**6):06}-{number}",
                "title": " ".join(text[:8]),
                "brand": text[8],
                "description": " ".join(text[9:]),
                "price": "none" if number % 1000 == 999 else number % 500,
                "colour": text[1],
                "size": number % 60,
            }
            file.write(json.dumps(record) + "\n")


def _remove(client: OpenSearch) -> None:
    aliases = AliasIndexes(client, ALIAS, RetryPolicy(60))
    for index in aliases.list_indexes():
        aliases.delete(index.name)


def _peak_mb() -> float:
    """Return the largest resident memory that this process has had."""
    with suppress(OSError), Path("/proc/self/status").open(encoding="ascii") as lines:
        for line in lines:
            if line.startswith("VmHWM:"):
                return round(int(line.split()[1]) / 1024, 1)
    raise click.ClickException("the system does not tell a process's peak memory: run it on Linux")


if __name__ == "__main__":
    main()
