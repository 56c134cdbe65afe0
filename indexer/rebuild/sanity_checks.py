"""Whether an index that was built is fit for searches."""

from dataclasses import dataclass

from opensearchpy import OpenSearch

from indexer.store.catch_up import CHANGED
from indexer.store.retry import Patience
from indexer.store.scan import counted, stored
from mappings import fields
from mappings.types import JsonObject


@dataclass(frozen=True, slots=True)
class Expected:
    """What the index must hold: `products` as the catalogue has them, all encoded by `model`.

    `samples` are ids with their content hashes.
    """

    products: int
    model: str
    samples: dict[str, str]


def problems(client: OpenSearch, index: str, expected: Expected, patience: Patience) -> list[str]:
    """Return what is wrong with a refreshed index, in words; nothing where it is as expected."""
    found = []
    held = counted(client, index, {"bool": {"must_not": [CHANGED]}}, patience)
    if held != expected.products:
        found.append(f"it holds {held:,} products of the catalogue instead of {expected.products:,}")
    foreign = counted(
        client, index, {"bool": {"must_not": [{"term": {fields.MODEL: expected.model}}]}}, patience
    )
    if foreign:
        found.append(f"{foreign:,} of its products have vectors of another model than {expected.model}")
    return [*found, *_sampled(client, index, expected, patience)]


def shrunk(client: OpenSearch, index: str, live: str, min_share: float, patience: Patience) -> str:
    """Return what is wrong where a refreshed index has too few of the products that searches have now."""
    everything: JsonObject = {"match_all": {}}
    new, now = (counted(client, name, everything, patience) for name in (index, live))
    if new >= now * min_share:
        return ""
    return (
        f"it would have {new:,} products where searches have {now:,} now: if that is meant, lower "
        "index.min_share"
    )


def _sampled(client: OpenSearch, index: str, expected: Expected, patience: Patience) -> list[str]:
    found = []
    documents = stored(client, index, list(expected.samples), patience)
    for product_id, content in expected.samples.items():
        of = documents.get(product_id)
        if of is None:
            found.append(f"product {product_id} is missing")
        elif of.own.get("hash") != content and not of.own.get("changed"):
            found.append(f"product {product_id} has vectors of another text")
    if documents and not found:
        of = next(iter(documents.values()))
        vector = of.own["vector"]
        nearest = {
            "query": {"knn": {fields.VECTOR: {"vector": vector, "k": 10}}},
            "size": 10,
            "_source": False,
        }
        if not _hits(client, index, nearest, patience):
            found.append("a search for nearest products finds none")
        text = of.source.get(fields.TITLE) or of.source.get(fields.DESCRIPTION)
        query = {"multi_match": {"query": str(text)[:200], "fields": [fields.TITLE, fields.DESCRIPTION]}}
        worded = {"query": query, "size": 1, "_source": False}
        if any(map(str.isalnum, str(text))) and not _hits(client, index, worded, patience):
            found.append(f"a search for the words of product {of.id} finds nothing")
    return found


def _hits(client: OpenSearch, index: str, body: JsonObject, patience: Patience) -> list[JsonObject]:
    answer = patience.call(f"searching {index}", lambda: client.search(index=index, body=body))
    hits: list[JsonObject] = answer["hits"]["hits"]
    return hits
