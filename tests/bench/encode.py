"""Encoding the catalogue: Attune's product tower beside sentence-transformers' MiniLM on the same texts.

python -m tests.bench.encode
"""

import json
import time
from collections.abc import Callable
from pathlib import Path

import click
from sentence_transformers import SentenceTransformer

from mappings.settings import IndexSettings
from mappings.types import JsonObject, Product
from reranker.model import Model, load_model
from reranker.text.product_text import build_product_text
from reranker.training.encoders.bert import locate_minilm
from reranker.training.run import threads
from tests.bench.inputs import machine, middle, products
from tests.bench.inputs.demo_shop import as_the_command_does


@click.command()
@click.option("--limit", default=2000, show_default=True, help="Products, evenly spaced over the catalogue.")
@click.option("--repeats", default=3, show_default=True, help="Rounds; each encodes them both ways.")
@click.option("--model", type=click.Path(path_type=Path), help="Model folder. Default: the shipped one.")
def main(limit: int, repeats: int, model: Path | None) -> None:
    """Time encoding by Attune and by sentence-transformers; print one JSON object."""
    as_the_command_does()
    click.echo(json.dumps(measure(limit, repeats, model), indent=2))


def measure(limit: int, repeats: int, folder: Path | None) -> JsonObject:
    """Products per second, the middle over rounds; the ratio is the middle of each round's own."""
    facts = machine("onnxruntime", "torch", "sentence-transformers", "tokenizers")
    threads.use_all_cores()
    found = products(limit)
    texts = [f"{text.pooled} {text.attended}" for text in map(build_product_text, found)]
    model = load_model(folder)
    other = SentenceTransformer(str(locate_minilm()), device="cpu")
    _encode(model, found[:50])
    other.encode(texts[:50], show_progress_bar=False)
    attune: list[float] = []
    minilm: list[float] = []
    for _ in range(repeats):
        attune.append(len(found) / _seconds(lambda: _encode(model, found)))
        minilm.append(len(found) / _seconds(lambda: other.encode(texts, show_progress_bar=False)))
    return {
        "measures": "encoding, products a second",
        "products": len(found),
        "rounds": repeats,
        "attune": middle(attune, 1),
        "sentence_transformers": middle(minilm, 1),
        "times_faster": middle([a / b for a, b in zip(attune, minilm, strict=True)]),
        "times_faster_by_round": [round(a / b, 2) for a, b in zip(attune, minilm, strict=True)],
        "model": model.version,
        "machine": facts,
    }


def _encode(model: Model, found: list[Product]) -> None:
    size = IndexSettings().batch  # as the indexer hands them over
    for at in range(0, len(found), size):
        model.encode_products(found[at : at + size])


def _seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
