import pytest
from opensearchpy.exceptions import AuthorizationException, ConnectionTimeout, NotFoundError

from indexer.writer import Written, create_index, finish_index, opensearch_errors, write_documents
from mappings.errors import ClusterDown, IndexingError
from tests.indexer.stand_in import shelf

DOCUMENTS = [(str(number), {"title": f"Mug {number}"}) for number in range(5)]


def test_documents_are_written_with_refreshes_off_until_the_end() -> None:
    client, connection = shelf()
    create_index(client, "mugs", {"settings": {"index": {"knn": True}}})
    assert list(write_documents(client, "mugs", DOCUMENTS)) == [Written(str(n), "") for n in range(5)]
    assert finish_index(client, "mugs") == 1000
    assert connection.indexes["mugs"]["documents"] == dict(DOCUMENTS)
    assert connection.indexes["mugs"]["body"]["settings"] == {
        "index": {"knn": True, "refresh_interval": "-1"}
    }
    assert connection.settings == [{"index": {"refresh_interval": None}}]


def test_a_refused_document_is_reported_and_the_rest_is_written() -> None:
    client, connection = shelf()
    create_index(client, "mugs", {})
    connection.refuse["2"] = [400]
    found = list(write_documents(client, "mugs", DOCUMENTS))
    assert found[2] == Written("2", "refused with 400")
    assert connection.indexes["mugs"]["documents"].keys() == {"0", "1", "3", "4"}


def test_an_overloaded_cluster_is_asked_again() -> None:
    client, connection = shelf()
    create_index(client, "mugs", {})
    connection.refuse["2"] = [429, 429]
    found = list(write_documents(client, "mugs", DOCUMENTS, backoff_seconds=0.001))
    assert sorted(written.id for written in found) == ["0", "1", "2", "3", "4"]
    assert all(not written.refusal for written in found)
    assert connection.bulks == 3


@pytest.mark.parametrize("statuses", [[429] * 20, [503]])
def test_a_cluster_that_stays_unable_ends_the_run(statuses: list[int]) -> None:
    client, connection = shelf()
    create_index(client, "mugs", {})
    connection.refuse["2"] = statuses
    with pytest.raises(IndexingError, match="disk space"):
        list(write_documents(client, "mugs", DOCUMENTS, backoff_seconds=0.0001))


def test_a_cluster_that_goes_away() -> None:
    client, connection = shelf()
    create_index(client, "mugs", {})
    connection.down_at = 0
    with pytest.raises(ClusterDown, match="stopped answering while writing to index mugs"):
        list(write_documents(client, "mugs", DOCUMENTS))


def test_errors_of_the_client_become_one_line() -> None:
    with pytest.raises(IndexingError, match="took too long doing it"), opensearch_errors("doing it"):
        raise ConnectionTimeout("TIMEOUT", "slow", OSError())
    with pytest.raises(IndexingError, match=r"403.*opensearch\.password"), opensearch_errors("doing it"):
        raise AuthorizationException(403, "forbidden", {"error": {"reason": "no permission"}})
    with pytest.raises(IndexingError, match="404 no such index"), opensearch_errors("doing it"):
        raise NotFoundError(404, "index_not_found", {"error": {"reason": "no such index"}, "status": 404})
