"""Read what changed in an index: OpenSearch numbers the writes of each shard.

A shard's checkpoint is the number up to which every write has reached all of its copies: none of them is ever
taken back or comes late, whatever fails. A document changed since an earlier checkpoint has a number above
that. So a job that remembers the checkpoint of each shard misses nothing, and reading everything is reading
from before the first write. Deletes leave no document to find.

Numbers belong to one history of a shard. A restored snapshot, a split or shrunk index and an index made anew
under the same name have other histories: what was remembered means nothing there.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from opensearchpy import OpenSearch
from opensearchpy.exceptions import NotFoundError, TransportError

from indexer.attach.shop_index import ShopIndex
from indexer.store.retry import RetryPolicy
from mappings.types import JsonObject

BEFORE_ALL = -1
"""The checkpoint of a shard without writes."""

_PAGE = 2000
"""Documents that one request lists, without their `_source`."""

_STATS = (
    "_shards.failed,indices.*.uuid,indices.*.shards.*.routing.primary,"
    "indices.*.shards.*.seq_no.global_checkpoint,indices.*.shards.*.commit.user_data.history_uuid"
)


@dataclass(frozen=True, slots=True)
class ShardPosition:
    """How far one shard of an index got: all of its writes up to `checkpoint` are in all of its copies."""

    number: int
    history: str
    checkpoint: int


@dataclass(frozen=True, slots=True)
class DocumentKey:
    """A document as a listing has it: where it lies, and the number of its last write."""

    id: str
    shard: int
    seq_no: int
    primary_term: int
    routing: str | None = None

    @property
    def address(self) -> JsonObject:
        """The document's id, and its routing where it has one, as requests name them."""
        return {"_id": self.id, **({} if self.routing is None else {"routing": self.routing})}


@dataclass(frozen=True, slots=True)
class ChangePage:
    """Changed documents of one shard. With them all of its changes up to `checkpoint` are known."""

    shard: int
    documents: tuple[DocumentKey, ...]
    checkpoint: int


def read_positions(client: OpenSearch, name: str, retry: RetryPolicy) -> dict[str, list[ShardPosition]]:
    """Return the present positions of the shards behind an index or alias, by the index's UUID.

    A shard whose primary is not available is missing.
    """

    def ask() -> JsonObject:
        params = {"level": "shards", "filter_path": _STATS}
        try:
            answer: JsonObject = client.indices.stats(index=name, metric="docs", params=params)
        except NotFoundError as error:  # as between the two steps of whoever replaces an index
            raise TransportError(503, f"there is no index or alias {name}", error.info) from error
        if answer.get("_shards", {}).get("failed"):
            raise TransportError(503, "not all shards answer", answer)
        return answer

    answer = retry.call(f"looking at the shards of {name}", ask)
    return {
        index["uuid"]: [
            ShardPosition(
                number=int(number),
                history=copy["commit"]["user_data"]["history_uuid"],
                checkpoint=int(copy["seq_no"]["global_checkpoint"]),
            )
            for number, copies in sorted(index.get("shards", {}).items(), key=lambda shard: int(shard[0]))
            for copy in copies
            if copy["routing"]["primary"]
        ]
        for index in answer.get("indices", {}).values()
    }


def dump_positions(positions: Iterable[ShardPosition]) -> JsonObject:
    """Return positions as the jobs index holds them, by the number of the shard."""
    return {
        str(position.number): {"history": position.history, "checkpoint": position.checkpoint}
        for position in positions
    }


def parse_positions(shards: Mapping[str, JsonObject]) -> dict[int, ShardPosition]:
    """Return the positions that the jobs index holds: number of the shard → position."""
    return {
        int(number): ShardPosition(int(number), shard["history"], shard["checkpoint"])
        for number, shard in shards.items()
    }


def list_changes(
    client: OpenSearch, index: ShopIndex, position: ShardPosition, after: int, retry: RetryPolicy
) -> Iterator[ChangePage]:
    """Yield the documents of a refreshed shard that changed after the write `after`, in that order.

    Memory does not grow with their number. A document that changes meanwhile is missing: its new number is
    above the position's checkpoint.
    """
    width = _PAGE
    while after < position.checkpoint:
        end = min(position.checkpoint, after + width)
        documents = _list_documents(client, index, position.number, (after, end), retry)
        is_full = len(documents) == _PAGE
        # A long history may have few documents left: each was written many times.
        width = width * 2 if len(documents) < _PAGE // 2 else _PAGE
        after = documents[-1].seq_no if is_full else end
        yield ChangePage(position.number, tuple(documents), after)


def _list_documents(
    client: OpenSearch, index: ShopIndex, shard: int, between: tuple[int, int], retry: RetryPolicy
) -> list[DocumentKey]:
    body: JsonObject = {
        "query": {"range": {"_seq_no": {"gt": between[0], "lte": between[1]}}},
        "sort": [{"_seq_no": "asc"}],
        "size": _PAGE,
        "_source": False,
        "seq_no_primary_term": True,
        "track_total_hits": False,
    }
    # A replica may show a refresh later than the primary.
    params = {"preference": f"_shards:{shard}|_primary", "allow_partial_search_results": "false"}

    def ask() -> list[JsonObject]:
        hits: list[JsonObject] = client.search(index=index.name, body=body, params=params)["hits"]["hits"]
        return hits

    return [
        DocumentKey(hit["_id"], shard, hit["_seq_no"], hit["_primary_term"], hit.get("_routing"))
        for hit in retry.call(f"reading changes of {index.name}", ask)
    ]
