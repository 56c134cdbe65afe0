"""What quantising the towers, shortening the query tower and storing vectors in bytes cost and gain.

    python -m tests.bench.compression [--url http://localhost:9200]

Every way is beside the same towers in float32, in one run, taken in turn. Relevance is the scorer's prior on
tests.bench.inputs.pools. With --url, two indexes are made in that cluster, of float and of byte vectors, and
removed again.
"""

import json
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import click
import numpy as np
import torch
from opensearchpy import OpenSearch
from opensearchpy.helpers import bulk

from indexer.store.documents import build_document
from mappings import fields
from mappings.client import connect, index_body
from mappings.settings import IndexSettings, OpenSearchSettings
from mappings.types import JsonObject, Product
from reranker.encoders.codec import StoredBatch, normalise, quantise_vector, unpack_products
from reranker.encoders.onnx_tower import Tower
from reranker.encoders.product_encoder import encode_products, tokenise_products
from reranker.encoders.query_encoder import encode_query
from reranker.model import PRODUCT, Model, load_model
from reranker.probes.known_items import make_queries
from reranker.text.product_text import build_product_text
from reranker.training.distillation.small_query import reduce_query_encoder
from reranker.training.encoders.bert import Bert, locate_minilm
from reranker.training.encoders.export import Quantisation, export_product_tower, export_query_tower
from reranker.training.encoders.restore import restore_tower
from reranker.training.recipe import SmallQueryConfig
from reranker.training.run import threads
from reranker.types import EncodedProduct, EncodedQuery, Floats
from tests.bench.inputs import machine, middle, products
from tests.bench.inputs.pools import Pools, loss, prior, read_pools

WHOLE = "float32"
WAYS: tuple[Quantisation, ...] = ("float32", "int8", "int8-static", "int8-blocks")
SHIPPED: Quantisation = "int8-blocks"
SMALL = 2
CALIBRATION = 200
PART = 256
ROUNDS = 3
DEPTH = 100


@dataclass(frozen=True)
class Encoded:
    """What one pair of towers makes of the pools."""

    queries: Mapping[str, EncodedQuery]
    products: StoredBatch

    def score(self, query: str, rows: Sequence[int]) -> Floats:
        """Return the prior (n,) of some products."""
        whole = self.products
        vectors, tokens, mask = whole.vectors[rows], whole.tokens[rows], whole.mask[rows]
        part = StoredBatch(vectors, tokens, mask, whole.words, whole.ends, whole.sizes)
        return prior(self.queries[query], part)


@click.command()
@click.option("--model", type=click.Path(path_type=Path), help="Model folder. Default: the shipped one.")
@click.option("--query-encoder", help="The query tower's network, in the hub's format.")
@click.option("--product-weights", type=click.Path(path_type=Path), help="The product tower's state dict.")
@click.option("--shelf", default=1000, show_default=True, help="Products that made queries search among.")
@click.option("--made", default=300, show_default=True, help="Made queries.")
@click.option("--steps", default=1500, show_default=True, help="Steps of teaching the small query tower.")
@click.option("--url", help="OpenSearch, to measure indexes in.")
@click.option("--indexed", default=4000, show_default=True, help="Products in each index.")
def main(
    model: Path | None,
    query_encoder: str | None,
    product_weights: Path | None,
    shelf: int,
    made: int,
    steps: int,
    url: str | None,
    indexed: int,
) -> None:
    """Measure every way; print one JSON object."""
    facts = machine("onnxruntime", "torch")
    threads.use_all_cores()
    found = load_model(model)
    bert = Bert(query_encoder or locate_minilm())
    pools = read_pools(shelf, made)
    report: JsonObject = {
        "measures": "compression: relevance, size and speed",
        "judged_queries": len(pools.judged),
        "made_queries": len(pools.known),
        "shelf": len(pools.shelf),
    }
    with tempfile.TemporaryDirectory() as scratch:
        report |= towers(found, bert, product_weights, pools, steps, Path(scratch))
    if url:
        report["index"] = indexes(connect(OpenSearchSettings(url=url)), found, indexed)
    click.echo(json.dumps({**report, "model": found.version, "machine": facts}, indent=2))


def towers(
    model: Model, bert: Bert, product_weights: Path | None, pools: Pools, steps: int, folder: Path
) -> JsonObject:
    """Return the rows of the query towers and of the product towers, each beside the other in float32."""
    texts = products(2000)
    asked = [query for query, _ in make_queries(texts, 8000, 5) if query not in pools.known]
    exported: dict[str, Path] = {}
    for way in WAYS:
        exported[way] = folder / f"query-{way}.onnx"
        export_query_tower(bert, exported[way], way, bert.token_ids(asked[:CALIBRATION], 32))
    config = SmallQueryConfig(SMALL)
    config = replace(config, distil=replace(config.distil, steps=steps))
    small = reduce_query_encoder(bert, asked, config, lambda *_: None)
    exported[f"{SMALL} layers, {SHIPPED}"] = folder / "query-small.onnx"
    export_query_tower(small, folder / "query-small.onnx", SHIPPED)
    queries, query_times = _encoded_queries(model, exported, pools.queries)

    tower = restore_tower(model.folder / PRODUCT, model.config.product_heads)
    if product_weights:
        tower.load_state_dict(torch.load(product_weights, weights_only=True))
    made: dict[str, Path] = {}
    rows = tokenise_products(
        model.product_tokenizer, [build_product_text(p) for p in texts[::20]], tower.positions
    )
    for way in WAYS:
        made[way] = folder / f"product-{way}.onnx"
        export_product_tower(tower, made[way], way, [row.ids for row in rows])
    encoded, rates = _encoded_products(model, made, pools.products)

    best = Encoded(queries[WHOLE], encoded[WHOLE])
    whole = (pools.ndcg(best.score), pools.mrr(best.score))

    def row(towers: Encoded, path: Path, cosine: float) -> JsonObject:
        ndcg, mrr = pools.ndcg(towers.score), pools.mrr(towers.score)
        return {
            "megabytes": round(path.stat().st_size / 1e6, 1),
            "cosine": round(cosine, 4),
            "ndcg@10": round(ndcg, 4),
            "ndcg_loss_percent": loss(ndcg, whole[0]),
            "mrr": round(mrr, 4),
            "mrr_loss_percent": loss(mrr, whole[1]),
        }

    of_queries: JsonObject = {}
    for way, path in exported.items():
        cosine = np.mean([queries[way][q].vector @ queries[WHOLE][q].vector for q in pools.queries])
        of_queries[way] = {
            **row(Encoded(queries[way], encoded[WHOLE]), path, float(cosine)),
            "milliseconds": query_times[way],
        }
    of_products: JsonObject = {}
    for way, path in made.items():
        cosine = (encoded[way].vectors * encoded[WHOLE].vectors).sum(1).mean()
        of_products[way] = {
            **row(Encoded(queries[WHOLE], encoded[way]), path, float(cosine)),
            "products_a_second": rates[way],
        }
    both = Encoded(queries[SHIPPED], encoded[SHIPPED])
    return {
        "query_towers": of_queries,
        "product_towers": of_products,
        f"both {SHIPPED}": row(both, made[SHIPPED], 1.0) | {"megabytes": None, "cosine": None},
        "vectors_alone": _vectors_alone(pools, queries[WHOLE], encoded[WHOLE]),
    }


def _encoded_queries(
    model: Model, paths: Mapping[str, Path], texts: Sequence[str]
) -> tuple[dict[str, dict[str, EncodedQuery]], dict[str, float]]:
    """Encode every text by every tower, and time it: milliseconds a query, the middle."""
    loaded = {way: Tower(path, 0) for way, path in paths.items()}
    encoded: dict[str, dict[str, EncodedQuery]] = {way: {} for way in paths}
    times: dict[str, list[float]] = {way: [] for way in paths}
    for text in texts:
        for way, tower in loaded.items():
            for _ in range(ROUNDS):  # the first one comes after another tower's: memory is cold
                began = time.perf_counter()
                encoded[way][text] = encode_query(
                    text, model.tokenizer, tower, model.projection, model.config.query_tokens
                )
                times[way].append((time.perf_counter() - began) * 1000)
    return encoded, {way: middle(found) for way, found in times.items()}


def _encoded_products(
    model: Model, paths: Mapping[str, Path], found: Sequence[Product]
) -> tuple[dict[str, StoredBatch], dict[str, float]]:
    """Encode every product by every tower, part by part in turn; and products a second, the middle."""
    loaded = {way: Tower(path, 0) for way, path in paths.items()}
    encoded: dict[str, list[EncodedProduct]] = {way: [] for way in paths}
    rates: dict[str, list[float]] = {way: [] for way in paths}
    for at in range(0, len(found), PART):
        part = found[at : at + PART]
        for way, tower in loaded.items():
            began = time.perf_counter()
            encoded[way] += encode_products(
                part,
                model.product_tokenizer,
                tower,
                model.projection,
                model.config.product_tokens,
                model.config.stored_tokens,
            )
            rates[way].append(len(part) / (time.perf_counter() - began))
    width = model.projection.shape[1]
    unpacked = {
        way: unpack_products([e.stored for e in all_], model.dimension, width)
        for way, all_ in encoded.items()
    }
    return unpacked, {way: middle(found, 1) for way, found in rates.items()}


def _vectors_alone(pools: Pools, queries: Mapping[str, EncodedQuery], batch: StoredBatch) -> JsonObject:
    """Return what bytes on both sides cost where vectors alone rank; stored products are bytes already."""
    whole = {q: e.vector for q, e in queries.items()}
    small = {q: normalise(np.array(quantise_vector(x), dtype=np.float32)) for q, x in whole.items()}
    found = {}
    for name, asked in (("float queries", whole), ("byte queries", small)):

        def score(query: str, rows: Sequence[int], asked: Mapping[str, Floats] = asked) -> Floats:
            scores: Floats = batch.vectors[rows] @ asked[query]
            return scores

        found[name] = {"ndcg@10": round(pools.ndcg(score), 4), "mrr": round(pools.mrr(score), 4)}
    return found


def indexes(client: OpenSearch, model: Model, count: int) -> JsonObject:
    """Return size, recall@100 against exact cosines and search time of an index of each kind of vectors."""
    found = products(count)
    encoded: list[EncodedProduct] = []
    for at in range(0, len(found), PART):
        encoded += model.encode_products(found[at : at + PART])
    vectors = np.stack([e.vector for e in encoded])
    queries = {text: model.encode_query(text).vector for text, _ in make_queries(found, 300, 9)}
    exact = {
        text: {found[row].id for row in np.argsort(-(vectors @ x))[:DEPTH]} for text, x in queries.items()
    }
    names = {kind: f"attune-bench-{kind}" for kind in ("float", "byte")}
    rows: JsonObject = {"products": count}
    try:
        for kind, name in names.items():
            client.indices.delete(index=name, ignore_unavailable=True)
            client.indices.create(index=name, body=index_body(model.dimension, IndexSettings(vectors=kind)))
            actions = (
                {"_index": name, "_id": p.id, "_source": build_document(p, e, model.version, 0, kind)}
                for p, e in zip(found, encoded, strict=True)
            )
            bulk(client, actions, request_timeout=300)
            client.indices.forcemerge(index=name, max_num_segments=1, request_timeout=300)
            client.indices.refresh(index=name)
            stats = client.indices.stats(index=name, metric="store")["_all"]["primaries"]["store"]
            rows[kind] = {"bytes_a_product": round(stats["size_in_bytes"] / len(found)), "recall@100": []}
        times: dict[str, list[float]] = {kind: [] for kind in names}
        for text, vector in queries.items():
            for kind, name in names.items():
                body = {
                    "query": {"knn": {fields.VECTOR: {"vector": quantise_vector(vector), "k": DEPTH}}},
                    "size": DEPTH,
                    "_source": False,
                }
                began = time.perf_counter()
                hits = client.search(index=name, body=body)["hits"]["hits"]
                times[kind].append((time.perf_counter() - began) * 1000)
                rows[kind]["recall@100"].append(len({h["_id"] for h in hits} & exact[text]) / DEPTH)
        for kind in names:
            rows[kind]["recall@100"] = round(float(np.mean(rows[kind]["recall@100"])), 4)
            rows[kind]["milliseconds"] = middle(times[kind])
    finally:
        for name in names.values():
            client.indices.delete(index=name, ignore_unavailable=True)
    return rows


if __name__ == "__main__":
    main()
