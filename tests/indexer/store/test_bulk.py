from collections.abc import Iterator

import pytest
from opensearchpy.exceptions import AuthorizationException, ConnectionTimeout, NotFoundError

from indexer.store.bulk import BulkAction, BulkResult, map_in_order, split_chunks, write_bulk
from indexer.store.opensearch_errors import translate_errors
from indexer.store.retry import RetryPolicy
from mappings.errors import ClusterDown, IndexingError
from tests.fakes.memory_opensearch import open_memory

ACTIONS = [BulkAction(str(number), 7, {"title": f"Mug {number}"}) for number in range(5)]
RETRY = RetryPolicy(60, first_pause=0.001)
NO_RETRY = RetryPolicy(0)


def test_documents_are_written_with_their_versions() -> None:
    client, connection = open_memory()
    client.indices.create(index="mugs", body={})
    assert write_bulk(client, "mugs", ACTIONS, NO_RETRY) == [BulkResult(str(number)) for number in range(5)]
    assert {id_: of.version for id_, of in connection.indexes["mugs"].entries.items()} == dict.fromkeys(
        "01234", 7
    )
    assert write_bulk(client, "mugs", [], NO_RETRY) == []


def test_the_older_is_stale_and_the_equal_and_the_newer_are_written() -> None:
    client, connection = open_memory()
    client.indices.create(index="mugs", body={})
    write_bulk(client, "mugs", ACTIONS, NO_RETRY)
    again = [
        BulkAction("0", 6, {"title": "old"}),
        BulkAction("1", 7, {"title": "again"}),
        BulkAction("2", 8, None),
    ]
    outcomes = write_bulk(
        client, "mugs", [*again, BulkAction("3", 6, None), BulkAction("9", 8, None)], NO_RETRY
    )
    assert [of.stale for of in outcomes] == [True, False, False, True, False]
    assert all(of.done != of.stale for of in outcomes)
    documents = connection.indexes["mugs"].documents
    assert (documents["0"], documents["1"]) == ({"title": "Mug 0"}, {"title": "again"})
    assert documents.keys() == {"0", "1", "3", "4"}


def test_a_refused_document_is_reported_and_the_rest_is_written() -> None:
    client, connection = open_memory()
    client.indices.create(index="mugs", body={})
    connection.refuse["2"] = [400]
    found = write_bulk(client, "mugs", ACTIONS, NO_RETRY)
    assert found[2] == BulkResult("2", "refused with 400")
    assert connection.indexes["mugs"].documents.keys() == {"0", "1", "3", "4"}


def test_a_document_that_is_not_json_is_refused_and_the_rest_is_written() -> None:
    client, connection = open_memory()
    client.indices.create(index="mugs", body={})
    deep: list[object] = []
    for _ in range(100_000):
        deep = [deep]
    bad = [BulkAction("a", 7, {"url": "http://a/\ud800"}), BulkAction("b", 7, {"title": deep})]
    results = write_bulk(client, "mugs", [bad[0], *ACTIONS, bad[1]], NO_RETRY)
    assert [result.id for result in results if result.refusal] == ["a", "b"]
    assert "can't be written as JSON" in results[0].refusal
    assert connection.indexes["mugs"].documents.keys() == set("01234")


def test_a_document_that_alone_fails_again_and_again_is_refused() -> None:
    client, connection = open_memory()
    client.indices.create(index="mugs", body={})
    connection.refuse |= {"2": [500] * 20, "3": [500] * 4}
    found = write_bulk(client, "mugs", ACTIONS, RETRY)
    assert found[2] == BulkResult("2", "refused with 500")
    assert connection.indexes["mugs"].documents.keys() == {"0", "1", "3", "4"}


def test_an_overloaded_cluster_is_asked_again_for_what_it_did_not_take() -> None:
    client, connection = open_memory()
    client.indices.create(index="mugs", body={})
    connection.refuse["2"] = [429, 503]
    found = write_bulk(client, "mugs", ACTIONS, RETRY)
    assert [of.id for of in found] == list("01234")
    assert all(of.done for of in found)
    assert len(connection.requests) == 1 + 3


def test_a_connection_that_is_lost_for_a_while_loses_nothing() -> None:
    client, connection = open_memory()
    client.indices.create(index="mugs", body={})
    connection.fails.append(("_bulk", 3))
    assert all(of.done for of in write_bulk(client, "mugs", ACTIONS, RETRY))
    assert len(connection.indexes["mugs"].documents) == 5


@pytest.mark.parametrize("statuses", [[429] * 20, [503]])
def test_a_cluster_that_stays_unable_ends_the_run(statuses: list[int]) -> None:
    client, connection = open_memory()
    client.indices.create(index="mugs", body={})
    connection.refuse["2"] = statuses
    with pytest.raises(IndexingError, match="disk space"):
        write_bulk(client, "mugs", ACTIONS, NO_RETRY)


def test_a_cluster_that_stays_away_ends_the_run() -> None:
    client, connection = open_memory()
    client.indices.create(index="mugs", body={})
    connection.fails.append(("_bulk", 1000))
    with pytest.raises(ClusterDown, match="stopped answering while writing to index mugs"):
        write_bulk(client, "mugs", ACTIONS, RetryPolicy(0.05, first_pause=0.001))


def test_work_of_several_batches_at_a_time_comes_in_order() -> None:
    assert list(map_in_order(lambda batch: batch * 2, range(7), 3)) == [(n, n * 2) for n in range(7)]
    assert list(split_chunks(range(5), 2)) == [[0, 1], [2, 3], [4]]


def test_an_error_in_a_batch_reaches_the_reader() -> None:
    def work(batch: int) -> int:
        if batch == 2:
            raise RuntimeError("no")
        return batch

    found: Iterator[tuple[int, int]] = map_in_order(work, range(5), 2)
    assert [next(found), next(found)] == [(0, 0), (1, 1)]
    with pytest.raises(RuntimeError, match="no"):
        next(found)


def test_errors_of_the_client_become_one_line() -> None:
    with pytest.raises(IndexingError, match="took too long doing it"), translate_errors("doing it"):
        raise ConnectionTimeout("TIMEOUT", "slow", OSError())
    with pytest.raises(IndexingError, match=r"403.*opensearch\.password"), translate_errors("doing it"):
        raise AuthorizationException(403, "forbidden", {"error": {"reason": "no permission"}})
    with pytest.raises(IndexingError, match="404 no such index"), translate_errors("doing it"):
        raise NotFoundError(404, "index_not_found", {"error": {"reason": "no such index"}, "status": 404})
