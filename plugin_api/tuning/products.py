"""Products of an index as probes need them: a sample to make queries from, and facts by id."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from opensearchpy import OpenSearch

from indexer.store.opensearch_errors import translate_errors
from mappings import fields
from mappings.types import JsonObject, Product
from plugin_api.opensearch.doc_values import read_binary, read_lowest
from reranker.understanding.facts import pack_facts

ReadProduct = Callable[[str, JsonObject], Product]
"""An id and a document's `_source` → the product."""


@dataclass(frozen=True, slots=True)
class KnownProduct:
    """The packed facts and the price of a product."""

    facts: bytes
    price: float | None


class FactsReader:
    """Facts and prices of an index's products by id, remembered. Not thread-safe.

    Where the index has no `attune.facts`, they are made from the documents.
    """

    def __init__(self, client: OpenSearch, index: str, read_product: ReadProduct, has_facts: bool) -> None:
        self._client, self._index, self._read = client, index, read_product
        self._has_facts = has_facts
        self._known: dict[str, KnownProduct] = {}

    def fetch(self, ids: Sequence[str]) -> dict[str, KnownProduct]:
        """Return those of the products; one that is gone has neither facts nor a price."""
        missing = [i for i in ids if i not in self._known]
        if missing:
            self._known |= dict.fromkeys(missing, KnownProduct(b"", None))
            self._known |= self._ask(missing)
        return {i: self._known[i] for i in ids}

    def _ask(self, ids: Sequence[str]) -> dict[str, KnownProduct]:
        body: JsonObject = {"query": {"ids": {"values": list(ids)}}, "size": len(ids)}
        if self._has_facts:
            body |= {"_source": False, "docvalue_fields": [fields.FACTS, fields.DEMANDED_PRICE]}
        else:
            body |= {"_source": {"excludes": [fields.ATTUNE]}}
        with translate_errors(f"reading products of {self._index}"):
            hits = self._client.search(index=self._index, body=body)["hits"]["hits"]
        return {hit["_id"]: self._read_hit(hit) for hit in hits}

    def _read_hit(self, hit: JsonObject) -> KnownProduct:
        if not self._has_facts:
            product = self._read(hit["_id"], hit["_source"])
            return KnownProduct(pack_facts(product), product.price)
        values = hit.get("fields", {})
        return KnownProduct(
            read_binary(values.get(fields.FACTS)), read_lowest(values.get(fields.DEMANDED_PRICE, ()))
        )


def fetch_sample(
    client: OpenSearch, index: str, count: int, read_product: ReadProduct, seed: int
) -> list[Product]:
    """Return `count` products of an index drawn at random, the same ones for the same seed and index."""
    body: JsonObject = {
        "query": {"function_score": {"random_score": {"seed": seed, "field": "_seq_no"}}},
        "size": count,
        "_source": {"excludes": [fields.ATTUNE]},
    }
    with translate_errors(f"reading products of {index}"):
        hits = client.search(index=index, body=body)["hits"]["hits"]
    products = [read_product(hit["_id"], hit.get("_source", {})) for hit in hits]
    return [product for product in products if product.title]
