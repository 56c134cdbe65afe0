"""Take Attune's fields out of the documents of a shop's index."""

from collections.abc import Iterator

from indexer.attach.documents import VectorRemoval
from indexer.attach.shards import BEFORE_ALL, list_changes, read_positions
from indexer.attach.shop_index import ShopIndex
from indexer.store.bulk import BulkResult, map_in_order, split_chunks, write_bulk
from indexer.store.lock import Lock
from indexer.store.scan import count_documents, refresh_index
from indexer.store.session import IndexSession
from mappings import fields
from mappings.errors import IndexingError


def remove_vectors(session: IndexSession, index: ShopIndex, lock: Lock) -> int:
    """Take Attune's fields out of every document of an index; return how many had vectors."""
    client, retry = session.client, session.retry
    refresh_index(client, index.name, retry)
    total = count_documents(client, index.name, {"exists": {"field": fields.MODEL}}, retry)
    done = 0

    def write(removals: list[VectorRemoval]) -> list[BulkResult]:
        return write_bulk(client, index.name, removals, retry)

    for removals, results in map_in_order(write, _list_removals(session, index)):
        lock.check()
        retry.check_stop()
        refusals = [result for result in results if result.refusal]
        if refusals:
            raise IndexingError(
                f"OpenSearch refused to update {refusals[0].id} of {index.name}: {refusals[0].refusal}"
            )
        done += len(removals)
        session.on_progress(done, 1.0)
    return total


def _list_removals(session: IndexSession, index: ShopIndex) -> Iterator[list[VectorRemoval]]:
    for position in read_positions(session.client, index.name, session.retry)[index.uuid]:
        for page in list_changes(session.client, index, position, BEFORE_ALL, session.retry):
            removals = [VectorRemoval(key) for key in page.documents]
            yield from split_chunks(removals, session.settings.batch)
