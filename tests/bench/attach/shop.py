"""A shop with a mapping of its own, made of the demo's products, and Attune's commands on it."""

import gzip
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from opensearchpy import OpenSearch
from opensearchpy.helpers import bulk

from mappings.types import JsonObject
from plugin_api.commands.demo.catalogue import CATALOGUE

INDEX, ALIAS = "bench-shop", "bench-own"
"""The shop's index, and the alias of one that `attune index` makes of the same products."""

_ROOT = Path(__file__).parents[3]

BODY: JsonObject = {
    "settings": {"index": {"knn": True, "number_of_shards": 1, "number_of_replicas": 0}},
    "mappings": {
        "properties": {
            "name": {"type": "text"},
            "body": {"type": "text"},
            "maker": {"properties": {"name": {"type": "text"}}},
            "offers": {"type": "nested", "properties": {"price": {"type": "double"}}},
            "specs": {"type": "flat_object"},
        }
    },
}


def read_documents(count: int) -> Iterator[tuple[str, JsonObject]]:
    """Yield the demo's products as a shop with a mapping of its own has them."""
    with gzip.open(CATALOGUE, "rt", encoding="utf-8") as lines:
        for _, line in zip(range(count), lines, strict=False):
            product = json.loads(line)
            specs = {key[7:]: str(value) for key, value in product.items() if key.startswith("attr_t_")}
            yield (
                product["id"],
                {
                    "name": product.get("title") or product.get("name") or "",
                    "body": product.get("short_description") or "",
                    "maker": {"name": product.get("supplier") or ""},
                    "offers": [{"price": product["price"] / 100}],
                    "specs": specs,
                },
            )


def flatten(key: str, source: JsonObject) -> JsonObject:
    """Return the same product as a record of a catalogue."""
    return {
        "id": key,
        "title": source["name"],
        "description": source["body"],
        "brand": source["maker"]["name"],
        "price": source["offers"][0]["price"],
        "specs": source["specs"],
    }


def create_shop(client: OpenSearch, documents: list[tuple[str, JsonObject]]) -> None:
    client.indices.delete(index=INDEX, params={"ignore_unavailable": "true"})
    client.indices.create(index=INDEX, body=BODY)
    bulk(client, ({"_index": INDEX, "_id": key, "_source": source} for key, source in documents))
    client.indices.refresh(index=INDEX)


def start(*arguments: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "plugin_api", *arguments], stdout=subprocess.DEVNULL, text=True, cwd=_ROOT
    )


def run(*arguments: str) -> str:
    """Run a command; return what it prints."""
    command = [sys.executable, "-m", "plugin_api", *arguments]
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, cwd=_ROOT).stdout
