"""Say what attaching would do, how long it takes and how much it adds, without writing anything."""

import json
import time
from dataclasses import dataclass

from indexer.attach.documents import ID_COLUMN, ShopProducts
from indexer.attach.sample import ShopSample
from indexer.attach.shop_index import ShopIndex, check_attachable, check_knn
from indexer.catalogue.field_map import FieldMap
from indexer.store.documents import vector_fields
from indexer.store.scan import count_documents
from indexer.store.session import IndexSession
from mappings import fields
from mappings.types import JsonObject, Product

_ENCODED = 64
"""Products of the sample that are encoded to measure the time."""

_GRAPH_BYTES = 2 * 16 * 4
"""Bytes of a vector's links in the HNSW graph: twice m, four bytes each."""


@dataclass(frozen=True, slots=True)
class AttachEstimate:
    """What attaching would do.

    Of `documents`, `encoded` have vectors of this model already. `seconds` is the time of encoding the others
    on this machine, `bytes` the most that they add to the index. `products` are some of the sample as they
    would be encoded, `without_text` the share of the sample without a text to encode.
    """

    name: str
    indexes: tuple[str, ...]
    in_place: bool
    documents: int
    encoded: int
    seconds: float
    bytes: int
    without_text: float
    products: tuple[Product, ...]


def estimate_attaching(
    session: IndexSession, indexes: list[ShopIndex], sample: ShopSample, field_map: FieldMap
) -> AttachEstimate:
    """Check that the indexes can be attached, and estimate the work by a sample.

    Raises IndexingError where they can't, ClusterDown and ModelError.
    """
    client, retry = session.client, session.retry
    check_knn(client, retry)
    for index in indexes:
        check_attachable(index)
    encoder = session.encoders.current
    documents = encoded = 0
    current: JsonObject = {"term": {fields.MODEL: encoder.version}}
    for index in indexes:
        documents += count_documents(client, index.name, {"match_all": {}}, retry)
        encoded += count_documents(client, index.name, current, retry)
    reader = ShopProducts(field_map)
    products = [
        product
        for document in sample.documents
        if (product := reader.read(str(document[ID_COLUMN]), document))
    ]
    encoder.encode_products(products[:1])  # loads the model
    began = time.perf_counter()
    vectors = encoder.encode_products(products[:_ENCODED]) if products else []
    seconds = (time.perf_counter() - began) / max(len(vectors), 1)
    sizes = [
        len(json.dumps(vector_fields(each, encoder.version, session.settings.vectors)))
        + len(each.stored)
        + encoder.dimension * (1 if session.settings.vectors == "byte" else 4)
        + _GRAPH_BYTES
        for each in vectors
    ]
    remaining = documents - encoded
    return AttachEstimate(
        name=session.alias,
        indexes=tuple(index.name for index in indexes),
        in_place=all(index.allows_vectors for index in indexes),
        documents=documents,
        encoded=encoded,
        seconds=round(seconds * remaining, 1),
        bytes=round(sum(sizes) / max(len(sizes), 1) * remaining),
        without_text=round(1 - len(products) / max(len(sample.documents), 1), 3),
        products=tuple(products[:3]),
    )
