"""Changes that came to one index → another: to the one being built, or to the one that is rolled back to."""

from collections.abc import Iterator

from opensearchpy import OpenSearch

from indexer.alias import MadeIndex
from indexer.documents import content_hash, document, document_with, shown_product, stored_vectors
from indexer.encoder import ProductEncoder
from indexer.jobs_index import JobsIndex
from indexer.patience import Patience
from indexer.stored import Stored, every, versions
from indexer.writer import Action, chunks, write
from mappings import fields
from mappings.errors import IndexingError

CHANGED = {"term": {fields.CHANGED: True}}
"""Finds the documents that changes wrote."""


def catch_up(
    client: OpenSearch,
    jobs: JobsIndex,
    alias: str,
    source: MadeIndex,
    target: str,
    since: int,
    encoder: ProductEncoder,
    kind: str,
    patience: Patience,
) -> int:
    """Bring `target` every change of version above `since` that `source` holds, and every delete.

    Products are encoded again where `source` was made with another model than `encoder`. Repeating it brings
    what came meanwhile; what `target` has already is left out. Returns how many changes it brought.
    """
    brought = 0
    patience.call(f"refreshing {source.name}", lambda: client.indices.refresh(index=source.name))
    for chunk in chunks(_changed(client, source.name, since), 250):
        held = versions(client, target, [of.id for of in chunk], patience)
        lacking = [of for of in chunk if held.get(of.id, -1) < of.version]
        brought += _write(client, target, _actions(lacking, encoder, kind), patience)
    for deleted in jobs.buried_since(alias, since):
        held = versions(client, target, list(deleted), patience)
        actions = [
            Action(product, version, None)
            for product, version in deleted.items()
            if product in held and held[product] <= version
        ]
        brought += _write(client, target, actions, patience)
    return brought


def _changed(client: OpenSearch, index: str, since: int) -> Iterator[Stored]:
    newer = {"range": {fields.VERSION: {"gt": since}}}
    return every(client, index, {"bool": {"filter": [CHANGED, newer]}})


def _actions(documents: list[Stored], encoder: ProductEncoder, kind: str) -> list[Action]:
    ready = {of.id: of.source for of in documents if _fits(of, encoder, kind)}
    others = [shown_product(of.id, of.source) for of in documents if of.id not in ready]
    encoded = (
        dict(zip((p.id for p in others), encoder.encode_products(others), strict=True)) if others else {}
    )
    actions = []
    for of in documents:
        product = shown_product(of.id, of.source)
        if of.id in ready:
            body = document_with(product, stored_vectors(of.source), of.version, changed=True)
        else:
            body = document(product, encoded[of.id], encoder.version, of.version, kind, changed=True)
        actions.append(Action(of.id, of.version, body))
    return actions


def _fits(of: Stored, encoder: ProductEncoder, kind: str) -> bool:
    """Whether a document's vectors are what the target's would be."""
    own = of.own
    floats = any(isinstance(component, float) for component in own.get("vector", []))
    return (
        own.get("model") == encoder.version
        and own.get("hash") == content_hash(shown_product(of.id, of.source))
        and floats == (kind == "float")
    )


def _write(client: OpenSearch, target: str, actions: list[Action], patience: Patience) -> int:
    if not actions:
        return 0
    outcomes = write(client, target, actions, patience)
    for of in outcomes:
        if of.refusal:
            raise IndexingError(f"a change of product {of.id} can't be brought to {target}: {of.refusal}")
    return sum(of.done for of in outcomes)
