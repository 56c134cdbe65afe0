"""Part numbers, their digits, and digits beside a brand: how many such queries lose their product to the
model.

A query loses its product where the keyword search shows it among the first five and Attune does not. Both are
asked in the same run. Prints JSON.

    python -m tests.bench.part_numbers --url http://localhost:8080 --direct http://localhost:9200
"""

import json
import random
import re
from typing import Any

import click
import requests

from plugin_api.search.query.keyword_query import keyword_query

Json = dict[str, Any]

_PART = re.compile(r"\b(?=[A-Z0-9-]*\d{4})(?=[A-Z0-9-]*[A-Z])[A-Z0-9-]{5,}\b")
_DIGITS = re.compile(r"\d{4,}")
_SHOWN = 5


def make_queries(products: list[Json], number: int, seed: int) -> dict[str, dict[str, str]]:
    """Return the ids of products by query, for each kind of query."""
    picked = [(product, found[0]) for product in products if (found := _PART.findall(product["title"]))]
    random.Random(seed).shuffle(picked)
    kinds: dict[str, dict[str, str]] = {"part number": {}, "its digits": {}, "digits with brand": {}}
    for product, part in picked[:number]:
        digits = _DIGITS.findall(part)[0]
        kinds["part number"][part] = product["id"]
        kinds["its digits"][digits] = product["id"]
        kinds["digits with brand"][f"{product.get('brand', '')} {digits}".strip()] = product["id"]
    return kinds


def first_hits(base: str, query: Json) -> list[str]:
    """Return the ids of the first hits of a query."""
    answer = requests.post(
        f"{base}/_search", json={"query": query, "size": _SHOWN, "_source": False}, timeout=60
    )
    answer.raise_for_status()
    return [hit["_id"] for hit in answer.json()["hits"]["hits"]]


@click.command(help=__doc__)
@click.option("--url", default="http://localhost:8080", show_default=True, help="The sidecar.")
@click.option("--direct", default="http://localhost:9200", show_default=True, help="OpenSearch.")
@click.option("--index", default="products", show_default=True, help="Index or alias of the catalogue.")
@click.option("--number", default=150, show_default=True, help="Products.")
@click.option("--seed", default=1, show_default=True, help="Seed of the choice of products.")
def main(url: str, direct: str, index: str, number: int, seed: int) -> None:
    """Print, for each kind, the queries and those that lose their product."""
    body: Json = {
        "size": 10_000,
        "_source": ["title", "brand"],
        "query": {"function_score": {"random_score": {"seed": seed, "field": "_seq_no"}}},
    }
    answer = requests.post(f"{direct}/{index}/_search", json=body, timeout=60).json()
    products = [{"id": hit["_id"], **hit["_source"]} for hit in answer["hits"]["hits"]]
    report = {}
    for kind, queries in make_queries(products, number, seed).items():
        shown = lost = 0
        examples = []
        for text, product in queries.items():
            query = keyword_query(text)
            if product not in first_hits(f"{direct}/{index}", query):
                continue
            shown += 1
            if product not in first_hits(f"{url}/{index}", query):
                lost += 1
                examples.append(text)
        report[kind] = {"queries": len(queries), "by keyword": shown, "lost": lost, "examples": examples[:5]}
    click.echo(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
