"""What the measurements have in common: products, queries, facts of the machine."""

import csv
import os
import platform
import statistics
from collections.abc import Iterator, Sequence
from importlib import metadata
from pathlib import Path

from indexer.catalogue.field_map import load_field_map
from indexer.catalogue.products import read_products
from indexer.catalogue.records import Item
from indexer.sources.files import open_catalogue
from mappings.types import JsonObject, Product
from plugin_api.commands.demo.catalogue import CATALOGUE, FIELD_MAP, PRODUCTS

JUDGEMENTS = Path(__file__).parents[2] / "reranker" / "training" / "data" / "electronics" / "judgements.csv"


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


def machine(*packages: str) -> JsonObject:
    """Cores, processor and versions; `load_before` tells what else ran (1-minute load average)."""
    return {
        "cores": len(os.sched_getaffinity(0)),
        "processor": next(_processors(), platform.machine()),
        "load_before": round(os.getloadavg()[0], 2),
        "python": platform.python_version(),
        **{name: metadata.version(name) for name in packages},
    }


def middle(values: Sequence[float], digits: int = 2) -> float:
    """The median, rounded."""
    return round(statistics.median(values), digits)


def _processors() -> Iterator[str]:
    with Path("/proc/cpuinfo").open(encoding="utf-8") as lines:
        for line in lines:
            name, _, value = line.partition(":")
            if name.strip() == "model name":
                yield value.strip()
