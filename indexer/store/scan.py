"""Documents that an index holds, fetched by id or read through."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from opensearchpy import OpenSearch
from opensearchpy.exceptions import NotFoundError, TransportError
from opensearchpy.helpers import ScanError, scan

from indexer.store.id_set import SeenIds
from indexer.store.opensearch_errors import opensearch_errors, reason_of
from indexer.store.retry import Patience, Pauses, passing, short
from mappings import fields
from mappings.types import JsonObject

SCROLL = "10m"


@dataclass(frozen=True, slots=True)
class Stored:
    """One document: its version in OpenSearch, and its `_source` as far as it was asked for.

    `place` is its place in its shard's history, which every write changes; -1 where it was not asked for.
    """

    id: str
    version: int
    source: JsonObject
    place: int = -1

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

    def ask() -> list[JsonObject]:
        return found(client.mget(index=index, body=body, params={"_source": source}))

    return {
        of["_id"]: Stored(of["_id"], of["_version"], of.get("_source", {}))
        for of in patience.call(f"reading from index {index}", ask)
    }


def found(answer: JsonObject) -> list[JsonObject]:
    """Return the documents of an answer to mget that are there.

    Raises TransportError where it is not known of one, as while a shard starts: OpenSearch says so in an
    answer of status 200, and what is not known is not missing.
    """
    for of in answer["docs"]:
        if "error" in of:
            raise TransportError(503, reason_of(of["error"]), of)
    return [of for of in answer["docs"] if of.get("found")]


def every(
    client: OpenSearch, index: str, query: JsonObject, patience: Patience, source: bool = True
) -> Iterator[Stored]:
    """Yield every document that a query finds once, whole or without its `source`.

    They are those of now. Where OpenSearch goes away meanwhile, what it has then and was not yielded follows.
    """
    body: JsonObject = {"query": query, "version": True, "seq_no_primary_term": True, "_source": source}
    pauses = Pauses(patience)
    with SeenIds() as seen, opensearch_errors(f"reading from index {index}"):
        while True:
            hits: Iterable[JsonObject] = scan(
                client,
                index=index,
                query=body,
                size=250 if source else 2000,
                scroll=SCROLL,
                allow_partial_search_results="false",
            )
            try:
                for hit in hits:
                    if seen.first_line(hit["_id"], 1) is None:
                        place = hit.get("_seq_no", -1)
                        yield Stored(hit["_id"], hit["_version"], hit.get("_source", {}), place)
            except (TransportError, ScanError) as error:
                failed = error if isinstance(error, TransportError) else TransportError(503, str(error), {})
                if not _may_pass(failed) or not pauses.pause(f"reading from index {index}: {short(failed)}"):
                    raise failed from error
            else:
                return


def refresh(client: OpenSearch, index: str, patience: Patience) -> None:
    """Make everything that was written to `index` searchable."""
    patience.call(f"refreshing {index}", lambda: client.indices.refresh(index=index))


def counted(client: OpenSearch, index: str, query: JsonObject, patience: Patience) -> int:
    """Return how many documents of `index` a query finds, on all of its shards."""

    def ask() -> int:
        answer = client.count(index=index, body={"query": query})
        if answer.get("_shards", {}).get("failed"):
            raise TransportError(503, "not all shards answer", answer)
        return int(answer["count"])

    return patience.call(f"counting {index}", ask)


def _may_pass(error: TransportError) -> bool:
    """Whether reading anew may work later. A node that was restarted does not know its scrolls: 404."""
    lost_scroll = isinstance(error, NotFoundError) and "index_not_found" not in str(error.error)
    return lost_scroll or passing(error)
