"""How many token vectors a product needs, of how many components, in int8 or in bits.

    python -m tests.bench.token_vectors

Nothing is trained: the score is the scorer's prior. Every projection is the leading singular vectors of the
catalogue's own word vectors; for bits they are turned at random first, so that each bit tells as much, and
the query's side stays in floats.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np
from numpy.typing import NDArray

from mappings.types import JsonObject
from reranker.encoders.codec import normalise, unpack_products
from reranker.encoders.product_encoder import encode_products
from reranker.encoders.query_encoder import encode_query
from reranker.model import Model, load_model
from reranker.training.distillation.teacher import TeacherStates
from reranker.training.run import threads
from reranker.training.scoring.preparation import fit_token_projection
from reranker.training.scoring.scorer import PRIOR
from reranker.types import EncodedProduct, Floats
from tests.bench.inputs import machine
from tests.bench.inputs.pools import SEED, Pools, loss, read_pools

NUMBERS = (4, 8, 16, 24, 32, 48)
DIMENSIONS = (16, 32, 64, 96, 128)
ENOUGH = 0.5
"""Loss in percent that the knee may have, in both measures, against the richest way."""

SIGN_COSINE = float(np.sqrt(2 / np.pi))
"""What the cosine of a vector and its signs is, so that bits weigh as much as int8."""


@dataclass(frozen=True)
class Words:
    """Word vectors of the pools' products (n, K, t), unit rows, and of their queries, each (Lq, t)."""

    products: Floats
    queries: Mapping[str, Floats]

    def mapped(self, projection: Floats) -> "Words":
        """Project to unit rows of fewer components."""
        return Words(
            normalise(self.products @ projection),
            {q: normalise(x @ projection) for q, x in self.queries.items()},
        )


@click.command()
@click.option("--model", type=click.Path(path_type=Path), help="Model folder. Default: the shipped one.")
@click.option("--shelf", default=1000, show_default=True, help="Products that made queries search among.")
@click.option("--made", default=300, show_default=True, help="Made queries.")
def main(model: Path | None, shelf: int, made: int) -> None:
    """Measure every way of storing token vectors; print one JSON object."""
    click.echo(json.dumps(measure(load_model(model), shelf, made), indent=2))


def measure(model: Model, shelf: int, made: int) -> JsonObject:
    """Return judged-pool nDCG@10 and known-item MRR of each way, beside its bytes a product."""
    facts = machine("onnxruntime", "numpy")
    threads.use_all_cores()
    pools = read_pools(shelf, made)
    encoded = _encoded_products(model, pools)
    batch = unpack_products([e.stored for e in encoded], model.dimension, model.dimension)
    whole = np.eye(model.dimension, dtype=np.float32)
    queries = {
        q: encode_query(q, model.tokenizer, model.query_tower, whole, model.config.query_tokens)
        for q in pools.queries
    }
    words = Words(batch.tokens, {q: e.tokens for q, e in queries.items()})
    cosines = {q: PRIOR["cosine"] * (batch.vectors @ e.vector) for q, e in queries.items()}
    counts = batch.mask[pools.shelf].sum(1)  # (n,)
    sample = [tokens[mask].astype(np.float16) for tokens, mask in zip(batch.tokens, batch.mask, strict=True)]
    leading = fit_token_projection(TeacherStates([], sample), max(DIMENSIONS), SEED)
    rows = [_row(0, 0, 8, pools, cosines, counts)]
    for bits in (8, 1):
        for dimension in DIMENSIONS:
            stored = _stored(words.mapped(_projection(leading, dimension, bits)), bits)
            best = _best(stored, batch.mask, pools)
            for number in NUMBERS:
                scale = PRIOR["token_match"] / (SIGN_COSINE if bits == 1 else 1.0)
                scores = {q: cosines[q] + scale * found[:, number - 1] for q, found in best.items()}
                rows.append(_row(number, dimension, bits, pools, scores, counts))
    richest = next(r for r in rows if (r["number"], r["dimension"], r["bits"]) == (48, 128, 8))
    for row in rows:
        row["ndcg_loss_percent"] = loss(row["ndcg@10"], richest["ndcg@10"])
        row["mrr_loss_percent"] = loss(row["mrr"], richest["mrr"])
    enough = [r for r in rows if max(r["ndcg_loss_percent"], r["mrr_loss_percent"]) <= ENOUGH]
    return {
        "measures": "token vectors: relevance beside bytes a product",
        "products": len(pools.products),
        "judged_queries": len(pools.judged),
        "made_queries": len(pools.known),
        "shelf": len(pools.shelf),
        "rows": rows,
        "knee": min(enough, key=lambda r: r["bytes"]),
        "shipped": {"number": model.config.stored_tokens, "dimension": model.config.token_width, "bits": 8},
        "model": model.version,
        "machine": facts,
    }


def _encoded_products(model: Model, pools: Pools) -> list[EncodedProduct]:
    """Encode with the whole states as token vectors."""
    whole = np.eye(model.dimension, dtype=np.float32)
    encoded: list[EncodedProduct] = []
    for at in range(0, len(pools.products), 512):
        encoded += encode_products(
            pools.products[at : at + 512],
            model.product_tokenizer,
            model.product_tower,
            whole,
            model.config.product_tokens,
            max(NUMBERS),
        )
    return encoded


def _projection(leading: Floats, dimension: int, bits: int) -> Floats:
    """Return the projection (d, t), for bits turned by a random rotation."""
    projection = leading[:, :dimension]
    if bits == 8:
        return projection
    random = np.random.default_rng(SEED).normal(size=(dimension, dimension))
    turned: Floats = (projection @ np.linalg.qr(random)[0]).astype(np.float32)
    return turned


def _stored(words: Words, bits: int) -> Words:
    """Return the words with the products' as they are read back: int8, or signs."""
    if bits == 8:
        top = np.abs(words.products).max(-1, keepdims=True).clip(1e-9)
        return Words(normalise(np.rint(words.products * (127 / top)).astype(np.float32)), words.queries)
    return Words(normalise(np.where(words.products < 0, -1, 1).astype(np.float32)), words.queries)


def _best(words: Words, mask: NDArray[np.bool_], pools: Pools) -> dict[str, Floats]:
    """Return, for each query, the token match (n, K) with each product's first 1, 2, ... K words.

    Rows that the query does not rank are left at 0.
    """
    found: dict[str, Floats] = {}
    for query, x in words.queries.items():
        rows = np.array(pools.judged.get(query, pools.shelf))
        cosines = np.einsum("nkt,qt->nqk", words.products[rows], x, optimize=True)
        cosines = np.where(mask[rows, None, :], cosines, np.float32(-1.0))
        found[query] = np.zeros((len(words.products), cosines.shape[2]), np.float32)
        found[query][rows] = np.maximum.accumulate(cosines, axis=2).mean(1)
    return found


def _row(
    number: int,
    dimension: int,
    bits: int,
    pools: Pools,
    scores: Mapping[str, Floats],
    counts: NDArray[np.int64],
) -> JsonObject:
    def score(query: str, rows: Sequence[int]) -> Floats:
        return scores[query][rows]

    return {
        "number": number,
        "dimension": dimension,
        "bits": bits,
        "bytes": round(float(np.minimum(counts, number).mean()) * dimension * bits / 8),
        "ndcg@10": round(pools.ndcg(score), 4),
        "mrr": round(pools.mrr(score), 4),
    }


if __name__ == "__main__":
    main()
