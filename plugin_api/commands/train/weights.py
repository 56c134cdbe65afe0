"""`make weights`: makes the shipped model folder again from the data in the repository.

It reads the demo catalogue and reranker/training/data, trains on all cores (extra `weights`), and writes
reranker/weights with the figures it reached. Everything is seeded. On 2 idle cores it takes under an hour.
"""

import csv
import gzip
import json
import os
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import click

from indexer.catalogue.field_map import load_field_map
from indexer.catalogue.products import read_products
from indexer.catalogue.records import Item
from indexer.sources.files import open_catalogue
from mappings.types import Judgement, Product
from plugin_api.terminal import StageProgress
from reranker.model import locate_shipped_model
from reranker.training.encoders.bert import locate_minilm
from reranker.training.encoders.mpnet import unpack_mpnet
from reranker.training.pipeline import run_training
from reranker.training.plan import Teacher, TrainingPlan
from reranker.training.run.notice import DISTILLED_MINILM
from reranker.training.run.threads import use_all_cores

_DEMO = Path(__file__).parents[1] / "demo" / "data"
_DATA = Path(__file__).parents[3] / "reranker" / "training" / "data"

TEACHERS = (
    Teacher("all-MiniLM-L6-v2", lambda _: locate_minilm()),
    Teacher("all-mpnet-base-v2", unpack_mpnet),
)
"""What the query encoder is distilled from."""

_ESCI_RELEVANT = {"exact": 1.0, "substitute": 0.3, "complement": 0.05, "irrelevant": 0.0}
"""Probability that a product of each ESCI label answers the query."""


def plan_weights(folder: Path) -> TrainingPlan:
    """Return the plan of the shipped weights: catalogues, ESCI pairs and judgements of the repository."""
    return TrainingPlan(
        folder=folder,
        products=read_electronics(),
        others=read_groceries(),
        pairs=list(read_esci_pairs()),
        judgements=list(read_electronics_judgements()),
        query_encoder=os.fspath(locate_minilm()),
        query_encoder_label=DISTILLED_MINILM,
        teachers=TEACHERS,
        cross_validate=True,
        replaces=True,
    )


def read_electronics() -> list[Product]:
    """Read the demo's catalogue, cleaned as for indexing."""
    opened = open_catalogue(_DEMO / "electronics.jsonl.gz")
    items = read_products(opened.records(), load_field_map(_DEMO / "electronics.toml", opened))
    return [item.product for item in items if isinstance(item, Item)]


def read_groceries() -> list[Product]:
    """Return the different products of Complete Journey (CC0), their codes spelt as a shop would."""
    return _drop_duplicates(_read_groceries())


def _read_groceries() -> Iterator[Product]:
    """Yield the products of Complete Journey (CC0), their codes spelt as a shop would."""
    with gzip.open(_DATA / "groceries" / "products.csv.gz", "rt", encoding="utf-8") as lines:
        for row in csv.DictReader(lines):
            title = f"{row['product_type'].capitalize()} {row['package_size'].lower()}".strip()
            yield Product(row["product_id"], title, row["brand"], row["product_category"].lower())


def _drop_duplicates(products: Iterable[Product]) -> list[Product]:
    """Keep the first product of every title, brand and category."""
    first: dict[tuple[str, str, str], Product] = {}
    for product in products:
        first.setdefault((product.title, product.brand, product.category), product)
    return list(first.values())


def read_esci_pairs() -> Iterator[tuple[str, Product, float]]:
    """Yield (query, product, probability of relevance) of the English pairs of ESCI (Apache-2.0)."""
    csv.field_size_limit(1_000_000)
    with gzip.open(_DATA / "esci" / "pairs.csv.gz", "rt", encoding="utf-8", newline="") as lines:
        for row in csv.DictReader(lines):
            if row["query_locale"] != "us":
                continue
            text = " ".join([row["product_bullet_point"], row["product_description"]]).strip()
            colour = row["product_color_name"]
            product = Product(
                row["product_id"],
                row["product_title"],
                row["product_brand"],
                description=text,
                attributes={"colour": colour} if colour else {},
            )
            yield row["query"], product, _ESCI_RELEVANT[row["esci_label"]]


def read_electronics_judgements() -> Iterator[Judgement]:
    """Yield people's grades of the electronics catalogue (Apache-2.0)."""
    with (_DATA / "electronics" / "judgements.csv").open(encoding="utf-8", newline="") as lines:
        for row in csv.DictReader(lines):
            yield Judgement(row["query"], row["product_id"], int(row["grade"]))


def make_weights() -> None:
    """Make the weights in the folder given as the first argument, or the shipped one; print the figures."""
    use_all_cores()
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else locate_shipped_model()
    report = run_training(plan_weights(folder), StageProgress(terminal=False))
    size = sum(file.stat().st_size for file in folder.iterdir())
    click.echo(json.dumps({"folder": os.fspath(folder), "bytes": size, **report.figures}, indent=2))


if __name__ == "__main__":
    make_weights()
