"""Part numbers, their digits, and digits beside a brand: how many such queries lose their product to the
model.

A query loses its product where the keyword search shows it among the first five and Attune does not. Both are
asked in the same run. Prints JSON.

    python -m tests.bench.part_numbers --url http://localhost:8080 --direct http://localhost:9200
"""

import json
import random
import re

import click
import requests

from mappings.types import JsonObject
from plugin_api.search.query.keyword_query import keyword_query
from tests.bench.inputs.searches import list_ids, make_sample_query, send_search

_PART = re.compile(r"\b(?=[A-Z0-9-]*\d{4})(?=[A-Z0-9-]*[A-Z])[A-Z0-9-]{5,}\b")
_DIGITS = re.compile(r"\d{4,}")
_SHOWN = 5


def make_queries(products: list[JsonObject], number: int, seed: int) -> dict[str, dict[str, str]]:
    """Return the ids of products by query, for each kind of query."""
    picked = [(product, match[0]) for product in products if (match := _PART.search(product["title"]))]
    random.Random(seed).shuffle(picked)
    kinds: dict[str, dict[str, str]] = {"part number": {}, "its digits": {}, "digits with brand": {}}
    for product, part in picked[:number]:
        digits = _DIGITS.findall(part)[0]
        kinds["part number"][part] = product["id"]
        kinds["its digits"][digits] = product["id"]
        kinds["digits with brand"][f"{product.get('brand', '')} {digits}".strip()] = product["id"]
    return kinds


def list_first_hits(session: requests.Session, base: str, query: JsonObject) -> list[str]:
    """Return the ids of the first hits of a query."""
    return list_ids(send_search(session, base, {"query": query, "size": _SHOWN, "_source": False}))


@click.command(help=__doc__)
@click.option("--url", default="http://localhost:8080", show_default=True, help="The sidecar.")
@click.option("--direct", default="http://localhost:9200", show_default=True, help="OpenSearch.")
@click.option("--index", default="products", show_default=True, help="Index or alias of the catalogue.")
@click.option("--number", default=150, show_default=True, help="Products.")
@click.option("--seed", default=1, show_default=True, help="Seed of the choice of products.")
def main(url: str, direct: str, index: str, number: int, seed: int) -> None:
    """Print, for each kind, the queries and those that lose their product."""
    session = requests.Session()
    body = {"size": 10_000, "_source": ["title", "brand"], "query": make_sample_query(seed)}
    answer = send_search(session, f"{direct}/{index}", body)
    products = [{"id": hit["_id"], **hit["_source"]} for hit in answer["hits"]["hits"]]
    report = {}
    for kind, queries in make_queries(products, number, seed).items():
        shown = lost = 0
        examples = []
        for text, product in queries.items():
            query = keyword_query(text)
            if product not in list_first_hits(session, f"{direct}/{index}", query):
                continue
            shown += 1
            if product not in list_first_hits(session, f"{url}/{index}", query):
                lost += 1
                examples.append(text)
        report[kind] = {"queries": len(queries), "by keyword": shown, "lost": lost, "examples": examples[:5]}
    click.echo(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
