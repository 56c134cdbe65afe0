"""Sanity checks: whether a new index is fit for searches."""

from dataclasses import dataclass

from opensearchpy import OpenSearch

from indexer.store.catch_up import CHANGED_QUERY
from indexer.store.retry import RetryPolicy
from indexer.store.scan import count_documents, get_documents
from mappings import fields
from mappings.types import JsonObject


@dataclass(frozen=True, slots=True)
class ExpectedContent:
    """What the index must hold: `products` as the catalogue has them, all encoded by `model`.

    `samples` are ids with their content hashes.
    """

    products: int
    model: str
    samples: dict[str, str]


def find_problems(client: OpenSearch, index: str, expected: ExpectedContent, retry: RetryPolicy) -> list[str]:
    """Return what is wrong with a refreshed index, one message a problem."""
    problems = []
    products = count_documents(client, index, {"bool": {"must_not": [CHANGED_QUERY]}}, retry)
    if products != expected.products:
        problems.append(f"it holds {products:,} products of the catalogue instead of {expected.products:,}")
    other_model = {"bool": {"must_not": [{"term": {fields.MODEL: expected.model}}]}}
    foreign = count_documents(client, index, other_model, retry)
    if foreign:
        problems.append(f"{foreign:,} of its products have vectors of another model than {expected.model}")
    return [*problems, *_check_samples(client, index, expected, retry)]


def describe_shrinkage(
    client: OpenSearch, index: str, live: str, min_share: float, retry: RetryPolicy
) -> str:
    """Return a message where an index has less than `min_share` of the live one's products, else ""."""
    everything: JsonObject = {"match_all": {}}
    new, now = (count_documents(client, name, everything, retry) for name in (index, live))
    if new >= now * min_share:
        return ""
    return (
        f"it would have {new:,} products where searches have {now:,} now: if that is meant, lower "
        "index.min_share"
    )


def _check_samples(
    client: OpenSearch, index: str, expected: ExpectedContent, retry: RetryPolicy
) -> list[str]:
    problems = []
    documents = get_documents(client, index, list(expected.samples), retry)
    for product_id, content in expected.samples.items():
        document = documents.get(product_id)
        if document is None:
            problems.append(f"product {product_id} is missing")
        elif document.attune.get("hash") != content and not document.attune.get("changed"):
            problems.append(f"product {product_id} has vectors of another text")
    if not documents or problems:
        return problems
    document = next(iter(documents.values()))
    nearest = {"knn": {fields.VECTOR: {"vector": document.attune["vector"], "k": 10}}}
    if not _has_hits(client, index, nearest, retry):
        problems.append("a search for the nearest products finds none")
    text = str(document.source.get(fields.TITLE) or document.source.get(fields.DESCRIPTION))
    words = {"multi_match": {"query": text[:200], "fields": [fields.TITLE, fields.DESCRIPTION]}}
    if any(map(str.isalnum, text)) and not _has_hits(client, index, words, retry):
        problems.append(f"a search for the words of product {document.id} finds nothing")
    return problems


def _has_hits(client: OpenSearch, index: str, query: JsonObject, retry: RetryPolicy) -> bool:
    body = {"query": query, "size": 1, "_source": False}
    answer = retry.call(f"searching {index}", lambda: client.search(index=index, body=body))
    return bool(answer["hits"]["hits"])
