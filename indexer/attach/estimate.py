"""Say what attaching would do, how long it takes and how much it adds, and leave the index as it is."""

import json
import time
from dataclasses import dataclass

from indexer.attach.documents import ID_COLUMN, ShopProducts
from indexer.attach.sample import ShopSample
from indexer.attach.shop_index import ShopIndex, check_knn, make_attachment
from indexer.attach.trial import AttachTimes, measure_attaching
from indexer.catalogue.field_map import FieldMap
from indexer.store.documents import vector_fields
from indexer.store.scan import count_documents
from indexer.store.session import IndexSession
from mappings import fields
from mappings.types import JsonObject, Product
from reranker.understanding.learning import SAMPLE

_ENCODED = 64
"""Products of the sample that are encoded to measure the time."""

_GRAPH_BYTES = 2 * 16 * 4
"""Bytes of a vector's links in the HNSW graph: twice m, four bytes each."""


@dataclass(frozen=True, slots=True)
class AttachEstimate:
    """What attaching would do.

    Copies take the place of the indexes `copied`; the others are attached as they are. Of `documents`,
    `encoded` have vectors of this model already. `seconds` is the time of all that is done
    for the others from this machine, `bytes` the most that they add to the index. `products` are some of the
    sample as they would be encoded, `without_text` the share of the sample without a text to encode.
    """

    name: str
    indexes: tuple[str, ...]
    copied: tuple[str, ...]
    documents: int
    encoded: int
    seconds: float
    bytes: int
    without_text: float
    products: tuple[Product, ...]


def estimate_attaching(
    session: IndexSession, indexes: list[ShopIndex], sample: ShopSample, field_map: FieldMap
) -> AttachEstimate:
    """Estimate the work of attaching indexes, of which a sample was read.

    The time is measured on copies of a few documents, in an index that is deleted afterwards. Raises
    IndexingError where the cluster has no k-NN plugin, ClusterDown, JobStopped and ModelError.
    """
    client, retry = session.client, session.retry
    check_knn(client, retry)
    encoder = session.encoders.current
    counts = [count_documents(client, index.name, {"match_all": {}}, retry) for index in indexes]
    current: JsonObject = {"term": {fields.MODEL: encoder.version}}
    documents = sum(counts)
    encoded = sum(count_documents(client, index.name, current, retry) for index in indexes)
    reader = ShopProducts(field_map)
    products = [
        product
        for document in sample.documents
        if (product := reader.read(str(document[ID_COLUMN]), document))
    ]
    began = time.perf_counter()
    encoder.encode_products(products[:1])  # loads the model
    loading = time.perf_counter() - began
    vectors = encoder.encode_products(products[:_ENCODED])
    sizes = [
        len(json.dumps(vector_fields(each, encoder.version, session.settings.vectors)))
        + len(each.stored)
        + encoder.dimension * (1 if session.settings.vectors == "byte" else 4)
        + _GRAPH_BYTES
        for each in vectors
    ]
    remaining = documents - encoded
    largest = indexes[counts.index(max(counts))]
    attachment = make_attachment(session, largest, field_map)
    times = measure_attaching(session, largest, attachment) if remaining else AttachTimes()
    copies = sum(count for index, count in zip(indexes, counts, strict=True) if not index.allows_vectors)
    seconds = (
        loading
        + times.preparing
        + times.copying * copies
        + times.encoding * remaining
        + times.learning * min(documents, SAMPLE)
    )
    return AttachEstimate(
        name=session.alias,
        indexes=tuple(index.name for index in indexes),
        copied=tuple(index.name for index in indexes if not index.allows_vectors),
        documents=documents,
        encoded=encoded,
        seconds=round(seconds, 1),
        bytes=round(sum(sizes) / max(len(sizes), 1) * remaining),
        without_text=round(1 - len(products) / max(len(sample.documents), 1), 3),
        products=tuple(products[:3]),
    )
