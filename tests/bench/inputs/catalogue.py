"""Products and queries of the demo's catalogue."""

import csv
from pathlib import Path

from indexer.catalogue.field_map import load_field_map
from indexer.catalogue.products import read_products
from indexer.catalogue.records import Item
from indexer.sources.files import open_catalogue
from mappings.types import Product
from plugin_api.commands.demo.catalogue import CATALOGUE, FIELD_MAP, PRODUCTS

JUDGEMENTS = Path(__file__).parents[3] / "reranker" / "training" / "data" / "electronics" / "judgements.csv"


def products(count: int) -> list[Product]:
    """`count` products of the demo's catalogue, evenly spaced over the whole of it."""
    catalogue = open_catalogue(CATALOGUE)
    found = read_products(catalogue.records(), load_field_map(FIELD_MAP, catalogue))
    wanted = {number * PRODUCTS // count for number in range(min(count, PRODUCTS))}
    return [item.product for at, item in enumerate(found) if at in wanted and isinstance(item, Item)]


def queries() -> list[str]:
    """The judged queries of the electronics catalogue: what people really typed there."""
    with JUDGEMENTS.open(encoding="utf-8", newline="") as lines:
        return list(dict.fromkeys(row["query"] for row in csv.DictReader(lines)))
