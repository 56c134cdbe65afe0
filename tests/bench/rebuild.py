"""A full rebuild beside sentence-transformers' MiniLM and opensearch-py's bulk helper, end to end.

Needs a running OpenSearch; makes and removes an alias `bench-rebuild` and an index `bench-minilm`.

    python -m tests.bench.rebuild --url http://localhost:9200

Attune's side is the whole job: reading, cleaning, encoding, writing, verifying, moving the alias. The other
side gets its products read and cleaned before the clock starts; it encodes the same texts at its defaults,
all handed over at once, and writes equal text fields and the vector of 384 floats to an index of the same
mapping and loading settings. Models are loaded before, on both sides. `cpu_ms_a_product` is processor time of
the client and of OpenSearch, which says what a product costs on a busy machine too.
"""

import json
import os
import tempfile
import time
from pathlib import Path

import click
from opensearchpy import OpenSearch
from opensearchpy.helpers import bulk
from sentence_transformers import SentenceTransformer

from indexer.store.documents import build_from_vectors
from mappings.client import check_cluster, index_body
from mappings.settings import IndexSettings, OpenSearchSettings
from mappings.types import JsonObject, Product
from plugin_api.commands.demo.catalogue import CATALOGUE
from reranker.model import Model, load_model
from reranker.text.product_text import build_product_text
from reranker.training.encoders.bert import locate_minilm
from reranker.training.run import threads
from tests.bench.inputs import machine, middle, products
from tests.bench.inputs.demo_shop import (
    as_the_command_does,
    node_cpu_seconds,
    patient_client,
    rebuild,
    remove,
    write_sample,
)

ALIAS = "bench-rebuild"
OTHER = "bench-minilm"
WARM_UP = 50


@click.command()
@click.option("--url", default=OpenSearchSettings().url, show_default=True, help="OpenSearch.")
@click.option("--products", "count", default=2000, show_default=True, help="Products of each round's sample.")
@click.option("--rounds", default=3, show_default=True, help="Rounds; each indexes them both ways.")
@click.option("--whole/--no-whole", default=True, show_default=True, help="Also rebuild the whole catalogue.")
def main(url: str, count: int, rounds: int, whole: bool) -> None:
    """Time rebuilds by Attune and by the libraries; print one JSON object."""
    as_the_command_does()
    click.echo(json.dumps(measure(url, count, rounds, whole), indent=2))


def measure(url: str, count: int, rounds: int, whole: bool) -> JsonObject:
    """Products per second, the middle over rounds; the ratio is the middle of each round's own."""
    facts = machine("onnxruntime", "torch", "sentence-transformers", "opensearch-py")
    threads.use_all_cores()
    client = patient_client(url)
    facts["opensearch"] = check_cluster(client, OpenSearchSettings(url=url))
    model = load_model(None)
    other = SentenceTransformer(str(locate_minilm()), device="cpu")
    found = products(count)
    model.encode_products(found[:WARM_UP])
    other.encode(_texts(found[:WARM_UP]), show_progress_bar=False)
    attune: list[JsonObject] = []
    minilm: list[JsonObject] = []
    entire: JsonObject = {}
    try:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            sample = write_sample(folder / "sample.jsonl", count)
            _attune(client, model, sample, folder)  # OpenSearch compiles what it runs often
            for _ in range(rounds):
                remove(client, ALIAS)
                attune.append(_attune(client, model, sample, folder))
                minilm.append(_minilm(client, other, found))
            if whole:
                remove(client, ALIAS)
                entire = _attune(client, model, CATALOGUE, folder)
    finally:
        remove(client, ALIAS)
        client.indices.delete(index=OTHER, params={"ignore_unavailable": "true"})
        client.close()
    ratios = [a["per_second"] / b["per_second"] for a, b in zip(attune, minilm, strict=True)]
    return {
        "measures": "a full rebuild, products a second, end to end",
        "products": len(found),
        "rounds": rounds,
        "attune": _middle_of(attune),
        "sentence_transformers_and_bulk": _middle_of(minilm),
        "times_faster": middle(ratios),
        "times_faster_by_round": [round(ratio, 2) for ratio in ratios],
        "whole_catalogue": entire,
        "load_after": round(os.getloadavg()[0], 2),
        "model": model.version,
        "machine": facts,
    }


def _attune(client: OpenSearch, model: Model, catalogue: Path, folder: Path) -> JsonObject:
    """Rebuild; the alias has no index before, so every product is encoded."""
    before = _costs(client)
    report = rebuild(client, model, ALIAS, catalogue, folder / "rejects.jsonl")
    if report.encoded != report.indexed:
        raise click.ClickException(f"{report.encoded} of {report.indexed} products were encoded")
    shares = {"encoding_share": report.encoding_share, "bytes_a_product": report.bytes // report.indexed}
    return _figures(client, before, report.indexed) | shares


def _minilm(client: OpenSearch, other: SentenceTransformer, found: list[Product]) -> JsonObject:
    """Encode and write the same products, and make them searchable."""
    body = index_body(384, IndexSettings(vectors="float"))
    body["settings"]["index"] |= {"refresh_interval": "-1", "number_of_replicas": 0}
    client.indices.delete(index=OTHER, params={"ignore_unavailable": "true"})
    before = _costs(client)
    client.indices.create(index=OTHER, body=body)
    vectors = other.encode(_texts(found), show_progress_bar=False)
    bodies = (
        build_from_vectors(product, {"vector": vector.tolist()}, 1)
        for product, vector in zip(found, vectors, strict=True)
    )
    bulk(client, ({"_index": OTHER, "_id": body["attune"]["id"], "_source": body} for body in bodies))
    client.indices.refresh(index=OTHER)
    figures = _figures(client, before, len(found))
    if client.count(index=OTHER)["count"] != len(found):
        raise click.ClickException("the libraries' index lacks products")
    return figures


def _texts(found: list[Product]) -> list[str]:
    return [f"{text.pooled} {text.attended}" for text in map(build_product_text, found)]


def _costs(client: OpenSearch) -> tuple[float, float, float]:
    return time.perf_counter(), time.process_time(), node_cpu_seconds(client)


def _figures(client: OpenSearch, before: tuple[float, float, float], count: int) -> JsonObject:
    seconds, own, node = (now - then for now, then in zip(_costs(client), before, strict=True))
    return {
        "products": count,
        "seconds": round(seconds, 2),
        "per_second": round(count / seconds, 1),
        "cpu_ms_a_product": {
            "client": round(own * 1000 / count, 2),
            "opensearch": round(node * 1000 / count, 2),
        },
    }


def _middle_of(runs: list[JsonObject]) -> JsonObject:
    cpu = "cpu_ms_a_product"
    plain = [name for name, value in runs[0].items() if isinstance(value, int | float)]
    return {name: middle([run[name] for run in runs], 3) for name in plain} | {
        cpu: {part: middle([run[cpu][part] for run in runs]) for part in runs[0][cpu]}
    }


if __name__ == "__main__":
    main()
