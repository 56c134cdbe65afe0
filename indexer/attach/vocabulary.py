"""Teach attached indexes the vocabulary of their products: what a query's words mean there."""

import binascii
from collections.abc import Iterator, Mapping

from indexer.attach.attachment import Attachment
from indexer.attach.documents import ShopProducts
from indexer.attach.shop_index import find_shop_indexes, put_metadata
from indexer.store.session import IndexSession
from mappings.fields import ATTUNE, FACTS
from mappings.types import JsonObject
from reranker.understanding.learning import SAMPLE, VocabularyLearner

_PAGE = 500
"""Documents that one request returns."""


def teach_vocabulary(session: IndexSession, attachment: Attachment) -> int:
    """Learn the vocabulary of the products behind the session's name, and record it in each index's mapping.

    It is learnt from up to 10,000 documents drawn at random. Return how many products these held. Raises
    IndexingError and ClusterDown.
    """
    learner, reader, count = VocabularyLearner(), ShopProducts(attachment.field_map), 0
    for hit in _draw_documents(session):
        source = hit.get("_source", {})
        product = reader.read(str(hit["_id"]), source)
        if product:
            learner.add(product, _read_facts(source.get(ATTUNE)))
            count += 1
    vocabulary = learner.learn().to_text()
    for index in find_shop_indexes(session):
        if index.attachment:
            put_metadata(session, index, index.attachment, vocabulary)
    return count


def _draw_documents(session: IndexSession) -> Iterator[JsonObject]:
    """Yield random documents behind the name, without their vectors."""
    anywhere = {"function_score": {"random_score": {"seed": 1, "field": "_seq_no"}}}
    for start in range(0, SAMPLE, _PAGE):
        body: JsonObject = {
            "query": anywhere,
            "from": start,
            "size": _PAGE,
            "_source": {"excludes": [f"{ATTUNE}.vector", f"{ATTUNE}.tokens"]},
            "track_total_hits": False,
        }
        hits = session.retry.call(
            f"reading a sample of {session.alias}",
            lambda body=body: session.client.search(index=session.alias, body=body)["hits"]["hits"],  # type: ignore[misc]
        )
        yield from hits
        if len(hits) < _PAGE:
            return


def _read_facts(values: object) -> bytes | None:
    """Return the facts that a document has, None where it has none that can be read."""
    text = values.get(FACTS.removeprefix(f"{ATTUNE}.")) if isinstance(values, Mapping) else None
    try:
        return binascii.a2b_base64(text) if isinstance(text, str) else None
    except binascii.Error:
        return None
