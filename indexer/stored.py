"""Documents that an index holds, fetched by id or read through."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from opensearchpy import OpenSearch
from opensearchpy.helpers import scan

from indexer.patience import Patience
from mappings import fields
from mappings.types import JsonObject

SCROLL = "10m"


@dataclass(frozen=True, slots=True)
class Stored:
    """One document: its version in OpenSearch, and its `_source` as far as it was asked for."""

    id: str
    version: int
    source: JsonObject

    @property
    def own(self) -> JsonObject:
        """What stands under `attune`."""
        own: JsonObject = self.source.get(fields.ATTUNE, {})
        return own


def stored(client: OpenSearch, index: str, ids: Sequence[str], patience: Patience) -> dict[str, Stored]:
    """Return the documents of `ids` that `index` holds, whether or not it was refreshed: id → document.

    They come whole: leaving a part of `_source` out costs OpenSearch ten times what it saves.
    """
    return _got(client, index, ids, patience, "true")


def versions(client: OpenSearch, index: str, ids: Sequence[str], patience: Patience) -> dict[str, int]:
    """Return the versions of the documents of `ids` that `index` holds: id → version."""
    return {of.id: of.version for of in _got(client, index, ids, patience, "false").values()}


def _got(
    client: OpenSearch, index: str, ids: Sequence[str], patience: Patience, source: str
) -> dict[str, Stored]:
    if not ids:
        return {}
    body = {"ids": list(ids)}
    answer = patience.call(
        f"reading from index {index}", lambda: client.mget(index=index, body=body, params={"_source": source})
    )
    return {
        of["_id"]: Stored(of["_id"], of["_version"], of.get("_source", {}))
        for of in answer["docs"]
        if of.get("found")
    }


def every(client: OpenSearch, index: str, query: JsonObject, source: bool = True) -> Iterator[Stored]:
    """Yield every document that a query finds, as of now, whole or without its `source`."""
    body: JsonObject = {"query": query, "version": True, "_source": source}
    size = 250 if source else 2000
    hits: Iterable[JsonObject] = scan(client, index=index, query=body, size=size, scroll=SCROLL)
    for hit in hits:
        yield Stored(hit["_id"], hit["_version"], hit.get("_source", {}))
