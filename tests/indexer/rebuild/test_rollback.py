from pathlib import Path

import pytest
from opensearchpy import OpenSearch

from indexer.rebuild.rollback import RollbackReport, roll_back
from mappings.errors import IndexingError
from tests.fakes.fake_encoder import FakeEncoder
from tests.fakes.memory_opensearch import MemoryOpenSearch, open_memory
from tests.fakes.mug_jobs import T0, change_mugs, open_session, rebuild_mugs


@pytest.fixture
def cluster(tmp_path: Path) -> tuple[OpenSearch, MemoryOpenSearch, str, str]:
    client, connection = open_memory()
    first = rebuild_mugs(client, tmp_path)
    cups = [f"{number},Cup {number},red" for number in range(10)]
    second = rebuild_mugs(client, tmp_path, cups, moment_ms=T0 + 5)
    return client, connection, first.index, second.index


def back(client: OpenSearch, to: str = "") -> RollbackReport:
    return roll_back(open_session(client), to)


def test_searches_go_back_and_forth(cluster: tuple[OpenSearch, MemoryOpenSearch, str, str]) -> None:
    client, connection, first, second = cluster
    report = back(client)
    assert report == RollbackReport(first, second, "mugs", FakeEncoder.version, 0)
    assert connection.aliases["mugs"] == {first}
    with pytest.raises(IndexingError, match=f"no index before {first}: there are {second}"):
        back(client)
    assert back(client, second).index == second
    assert connection.aliases["mugs"] == {second}
    with pytest.raises(IndexingError, match="other is not another complete index"):
        back(client, "other")


def test_changes_since_come_along(
    tmp_path: Path, cluster: tuple[OpenSearch, MemoryOpenSearch, str, str]
) -> None:
    client, connection, first, _ = cluster
    lines = [
        '{"id": "1", "title": "Glass 1"}',
        '{"id": "2", "_op": "update", "price": 2}',
        '{"id": "3", "_op": "delete"}',
    ]
    change_mugs(client, tmp_path, lines)
    assert back(client).changes_copied == 3
    documents = connection.indexes[first].documents
    assert documents["0"]["title"] == "Mug 0"
    assert documents["1"]["title"] == "Glass 1"
    assert (documents["2"]["title"], documents["2"]["price"]) == ("Cup 2", 2.0)
    assert "3" not in documents
