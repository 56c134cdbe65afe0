"""`make weights`: makes the shipped model folder again from the data in the repository.

Reads the demo catalogue and reranker/training/data, trains on all cores (extra `train`), and writes
reranker/weights with the figures it reached. Seeded.
"""

import csv
import gzip
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import click

from indexer.catalogue.field_map import load_field_map
from indexer.catalogue.products import read_products
from indexer.catalogue.records import Item
from indexer.sources.files import open_catalogue
from mappings.types import Judgement, Product
from plugin_api.terminal import StageProgress
from reranker.evaluation.measures import group_by_query
from reranker.model import locate_shipped_model
from reranker.training.encoders.bert import locate_minilm
from reranker.training.encoders.mpnet import unpack_mpnet
from reranker.training.run import threads
from reranker.training.shipped_recipe import Recipe, TrainingData, make_weights

DEMO = Path(__file__).parents[1] / "demo" / "data"
DATA = Path(__file__).parents[3] / "reranker" / "training" / "data"

ESCI_RELEVANT = {"exact": 1.0, "substitute": 0.3, "complement": 0.05, "irrelevant": 0.0}
"""How likely a product of each ESCI label answers the query."""


def training_data() -> TrainingData:
    """Read the catalogues, the ESCI pairs (English ones) and the judgements that ship with the repository."""
    return TrainingData(
        main=catalogue(DEMO / "electronics.jsonl.gz", DEMO / "electronics.toml"),
        others=distinct(groceries()),
        pairs=list(esci_pairs()),
        judgements=group_by_query(judgements()),
    )


def catalogue(path: Path, field_map: Path) -> list[Product]:
    """Read a whole catalogue, cleaned as for indexing."""
    opened = open_catalogue(path)
    found = read_products(opened.records(), load_field_map(field_map, opened))
    return [item.product for item in found if isinstance(item, Item)]


def groceries() -> Iterator[Product]:
    """Yield the products of Complete Journey (CC0), their codes spelt as a shop would."""
    with gzip.open(DATA / "groceries" / "products.csv.gz", "rt", encoding="utf-8") as lines:
        for row in csv.DictReader(lines):
            title = f"{row['product_type'].capitalize()} {row['package_size'].lower()}".strip()
            yield Product(row["product_id"], title, row["brand"], row["product_category"].lower())


def distinct(products: Iterator[Product]) -> list[Product]:
    """Keep the first product of every title, brand and category."""
    kept: dict[tuple[str, str, str], Product] = {}
    for product in products:
        kept.setdefault((product.title, product.brand, product.category), product)
    return list(kept.values())


def esci_pairs() -> Iterator[tuple[str, Product, float]]:
    """Yield (query, product, probability of relevance) of the English pairs of ESCI (Apache-2.0)."""
    csv.field_size_limit(1_000_000)
    with gzip.open(DATA / "esci" / "pairs.csv.gz", "rt", encoding="utf-8", newline="") as lines:
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
            yield row["query"], product, ESCI_RELEVANT[row["esci_label"]]


def judgements() -> Iterator[Judgement]:
    """Yield people's grades of the electronics catalogue (Apache-2.0)."""
    with (DATA / "electronics" / "judgements.csv").open(encoding="utf-8", newline="") as lines:
        for row in csv.DictReader(lines):
            yield Judgement(row["query"], row["product_id"], int(row["grade"]))


def main() -> None:
    """Make the weights, print the figures."""
    threads.use_all_cores()
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else locate_shipped_model()
    config = make_weights(
        training_data(), locate_minilm(), folder, Recipe(), StageProgress(terminal=False), unpack_mpnet
    )
    size = sum(file.stat().st_size for file in folder.iterdir())
    click.echo(json.dumps({"folder": os.fspath(folder), "bytes": size, **config.figures}, indent=2))


if __name__ == "__main__":
    main()
