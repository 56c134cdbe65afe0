"""Reranking 100 candidates: Attune's query encoding, attention and MLP beside a MiniLM-L6 cross-encoder.

python -m tests.bench.rerank
"""

import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import click

from mappings.types import JsonObject
from reranker.model import load_model
from reranker.text.product_text import build_product_text
from reranker.training.run import threads
from tests.bench.inputs import machine, middle, products, queries
from tests.bench.inputs.demo_shop import as_the_command_does
from tests.bench.rerank.cross_encoder import Runner, batches, encoded_pairs, runners, sizes_to_try

ATTUNE_RUNS = 9
"""Timed runs of Attune where the cross-encoder has one: it is over before the clock settles."""


@click.command()
@click.option("--candidates", default=100, show_default=True, help="Products to rerank.")
@click.option("--queries", "asked", default=6, show_default=True, help="Queries to rerank them for.")
@click.option("--model", type=click.Path(path_type=Path), help="Model folder. Default: the shipped one.")
def main(candidates: int, asked: int, model: Path | None) -> None:
    """Time reranking by Attune and by a cross-encoder on the same products; print one JSON object."""
    as_the_command_does()
    click.echo(json.dumps(measure(candidates, asked, model), indent=2))


def measure(candidates: int, asked: int, folder: Path | None) -> JsonObject:
    """Milliseconds to rerank, the middle over all queries; ways are taken in turn within each query."""
    facts = machine("onnxruntime", "torch", "transformers", "tokenizers")
    threads.use_all_cores()
    model = load_model(folder).load()
    found = products(candidates)
    stored = [product.stored for product in model.encode_products(found)]
    texts = [f"{text.pooled} {text.attended}" for text in map(build_product_text, found)]
    some = queries()[:asked]
    encode: list[float] = []
    attune: list[float] = []
    score: list[float] = []
    lengths: list[float] = []
    with tempfile.TemporaryDirectory() as scratch:
        ways = runners(Path(scratch))
        pairs = encoded_pairs(model.tokenizer, some[0], texts, model.config.product_tokens)
        sizes = {name: _best_size(run, pairs) for name, run in ways.items()}
        crossed: dict[str, list[float]] = {name: [] for name in ways}
        for query in some:
            encode.append(_ms(lambda q=query: model.encode_query(q), ATTUNE_RUNS))
            encoded = model.encode_query(query)
            score.append(_ms(lambda e=encoded: model.score_raw(e, stored), ATTUNE_RUNS))
            attune.append(_ms(lambda q=query: model.score_raw(model.encode_query(q), stored), ATTUNE_RUNS))
            pairs = encoded_pairs(model.tokenizer, query, texts, model.config.product_tokens)
            lengths.append(sum(len(pair.ids) for pair in pairs) / len(pairs))
            for name, run in ways.items():
                crossed[name].append(_ms(_over(run, pairs, sizes[name]), 1))
    medians = {name: middle(values, 1) for name, values in crossed.items()}
    best = min(medians, key=lambda name: medians[name])
    return {
        "measures": "reranking, milliseconds a query",
        "candidates": len(found),
        "queries": len(some),
        "tokens_a_pair": middle(lengths, 1),
        "attune_ms": middle(attune),
        "attune_query_encoding_ms": middle(encode),
        "attune_scoring_ms": middle(score),
        "cross_encoder_ms": medians,
        "cross_encoder_batch": sizes,
        "cross_encoder_best": best,
        "times_faster": round(medians[best] / middle(attune), 1),
        "model": model.version,
        "machine": facts,
    }


def _best_size(run: Runner, pairs: list) -> int:  # type: ignore[type-arg]
    return min(sizes_to_try(len(pairs)), key=lambda size: _ms(_over(run, pairs, size), 1))


def _over(run: Runner, pairs: list, size: int) -> Callable[[], object]:  # type: ignore[type-arg]
    """Everything that the cross-encoder does once it has tokens: tokenising and padding are not timed."""
    ready = batches(pairs, size)
    return lambda: [run(batch) for batch in ready]


def _ms(work: Callable[[], object], runs: int) -> float:
    """The middle of `runs` times, after one to warm up."""
    work()
    times = []
    for _ in range(runs):
        began = time.perf_counter()
        work()
        times.append((time.perf_counter() - began) * 1000)
    return middle(times, 3)


if __name__ == "__main__":
    main()
