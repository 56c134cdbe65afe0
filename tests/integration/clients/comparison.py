"""What tests of clients have in common: an index to try things on, and whether an order is better."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from opensearchpy import OpenSearch, helpers

BETTER_BY = 0.05
"""Of the first ten, the share that people called good has to grow by more."""

SCRATCH = "scratch"
BODY: dict[str, Any] = {
    "settings": {"number_of_replicas": 0},
    "mappings": {"properties": {"title": {"type": "text"}, "kind": {"type": "keyword"}}},
}
DOCS = [
    {
        "_index": SCRATCH,
        "_id": str(n),
        "title": "lamp" if n % 2 else "red chair",
        "kind": f"k{n % 3}",
        "price": n,
    }
    for n in range(30)
]

Grades = Mapping[str, Mapping[str, int]]


def by_text(text: str, **more: object) -> dict[str, Any]:
    fields = ["title^3", "brand^2", "description"]
    return {"query": {"multi_match": {"query": text, "fields": fields, "type": "cross_fields"}}, **more}


def ids(response: Mapping[str, Any]) -> list[str]:
    return [hit["_id"] for hit in response["hits"]["hits"]]


def precision(found: Mapping[str, Sequence[str]], grades: Grades) -> float:
    """Share of the first ten that people called good, over all queries."""
    good = sum(
        grades[query].get(product, 0) >= 2 for query, products in found.items() for product in products
    )
    return good / (10 * len(found))


def is_better(
    direct: Mapping[str, Sequence[str]],
    reranked: Mapping[str, Sequence[str]],
    grades: Grades,
) -> bool:
    assert direct.keys() == reranked.keys() == grades.keys()
    return precision(reranked, grades) > precision(direct, grades) + BETTER_BY


@contextmanager
def scratch(client: OpenSearch) -> Iterator[None]:
    """An index of DOCS."""
    client.indices.delete(index=SCRATCH, ignore=404)
    client.indices.create(index=SCRATCH, body=BODY)
    try:
        assert helpers.bulk(client, DOCS, refresh=True) == (len(DOCS), [])
        yield
    finally:
        client.indices.delete(index=SCRATCH)
