"""The documents of a shop: read as products by a field map, and updated with Attune's fields alone."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass

from opensearchpy import OpenSearch

from indexer.attach.shards import DocumentKey
from indexer.catalogue.field_map import FieldMap
from indexer.catalogue.product_maker import ProductMaker
from indexer.catalogue.records import Record
from indexer.store.documents import encode_facts, encode_key, hash_content, vector_fields
from indexer.store.retry import RetryPolicy
from indexer.store.scan import select_existing
from mappings.fields import ATTUNE
from mappings.types import JsonObject, Product
from reranker.types import EncodedProduct

ID_COLUMN = "_id"
"""The column that every document of an index has: its id."""

_REMOVE = f"if (ctx._source.remove('{ATTUNE}') == null) {{ ctx.op = 'none' }}"
_ATTEMPTS = 20
"""Times that OpenSearch tries a removal that the shop's writes overtake."""


@dataclass(frozen=True, slots=True)
class ShopDocument:
    """A document of a shop as it is now. Number and term of its last write tell it from later states."""

    key: DocumentKey
    seq_no: int
    primary_term: int
    version: int
    source: JsonObject

    @property
    def attune(self) -> JsonObject:
        """The fields under `attune`, empty where the document was not encoded."""
        own = self.source.get(ATTUNE)
        return own if isinstance(own, dict) else {}


@dataclass(frozen=True, slots=True)
class VectorUpdate:
    """Attune's fields for one document; all its other fields stay.

    It is refused as stale where the document was written since it was read.
    """

    document: ShopDocument
    values: JsonObject

    @property
    def id(self) -> str:
        """The document's id."""
        return self.document.key.id

    def as_action(self, index: str) -> JsonObject:
        """Return the action as the client's bulk helpers take it."""
        expected = {"if_seq_no": self.document.seq_no, "if_primary_term": self.document.primary_term}
        return {**_make_update(index, self.document.key), **expected, "doc": {ATTUNE: self.values}}


@dataclass(frozen=True, slots=True)
class VectorRemoval:
    """Takes Attune's fields out of a document, whatever else is written to it meanwhile."""

    key: DocumentKey

    @property
    def id(self) -> str:
        """The document's id."""
        return self.key.id

    def as_action(self, index: str) -> JsonObject:
        """Return the action as the client's bulk helpers take it."""
        return {**_make_update(index, self.key), "retry_on_conflict": _ATTEMPTS, "script": _REMOVE}


def _make_update(index: str, key: DocumentKey) -> JsonObject:
    return {"_op_type": "update", "_index": index, **key.address}


def fetch_documents(
    client: OpenSearch, index: str, keys: Sequence[DocumentKey], retry: RetryPolicy
) -> list[ShopDocument]:
    """Return the documents as they are now, those that still exist, in the order of the keys."""
    return [
        ShopDocument(key, doc["_seq_no"], doc["_primary_term"], doc["_version"], doc.get("_source", {}))
        for key, doc in _look_up(client, index, keys, retry, "true")
    ]


def list_missing(
    client: OpenSearch, index: str, keys: Sequence[DocumentKey], retry: RetryPolicy
) -> list[DocumentKey]:
    """Return those of the documents that an index does not have."""
    present = {key for key, _ in _look_up(client, index, keys, retry, "false")}
    return [key for key in keys if key not in present]


def _look_up(
    client: OpenSearch, index: str, keys: Sequence[DocumentKey], retry: RetryPolicy, source: str
) -> list[tuple[DocumentKey, JsonObject]]:
    """Return OpenSearch's answers for the documents that exist. They come in the order of the keys."""
    if not keys:
        return []
    body = {"docs": [key.address for key in keys]}

    def ask() -> list[tuple[DocumentKey, JsonObject]]:
        answer = client.mget(index=index, body=body, params={"_source": source})
        select_existing(answer)
        return [(key, doc) for key, doc in zip(keys, answer["docs"], strict=True) if doc.get("found")]

    return retry.call(f"reading from index {index}", ask)


class ShopProducts:
    """Reads the products of a shop's documents by a field map, and makes Attune's fields of them.

    Thread-safe as far as one thread reads at a time.
    """

    def __init__(self, field_map: FieldMap) -> None:
        self._maker = ProductMaker(field_map)
        # OpenSearch itself makes `attune.price` of these as it stores a document.
        self._prices = json.dumps([field_map.price, field_map.price_scale])

    def read(self, document_id: str, source: JsonObject) -> Product | None:
        """Return the product of a document, None where it has neither title nor description."""
        values = {name: value for name, value in source.items() if name != ATTUNE}
        product = self._maker.product(document_id, Record(0, values, "", 0.0))
        return product if product.title or product.description else None

    def make_values(self, product: Product, encoded: EncodedProduct, model: str, vectors: str) -> JsonObject:
        """Return the fields under `attune` of a document; without an id, they are not current."""
        own = {**vector_fields(encoded, model, vectors), "facts": encode_facts(product)}
        key = {"key": encode_key(product.id, own)} if product.id else {}
        return {**own, **key, "hash": self._hash(product)}

    def is_current(self, values: JsonObject, product: Product, model: str) -> bool:
        """Return whether a document's fields under `attune` are those of its product as it is now."""
        return (
            values.get("hash") == self._hash(product)
            and values.get("model") == model
            and {"vector", "tokens", "facts"} <= values.keys()
            and values.get("key") == encode_key(product.id, values)
        )

    def _hash(self, product: Product) -> str:
        """Return a hash of all that the fields are made of: with other price fields they are others too."""
        content = f"{hash_content(product)} {self._prices}"
        return hashlib.blake2b(content.encode(), digest_size=16).hexdigest()
