from pathlib import Path

import pytest
from opensearchpy import OpenSearch

from indexer.rebuild.job import run_index_job
from indexer.rebuild.rollback import RollbackReport, roll_back
from indexer.store.retry import Patience
from mappings.errors import IndexingError
from mappings.settings import IndexSettings
from tests.fakes.encoder import StandInEncoder
from tests.fakes.jobs import MUGS, T0, One, change, job_for
from tests.fakes.shelf import Shelf, shelf

NONE = Patience(0)


@pytest.fixture
def cluster(tmp_path: Path) -> tuple[OpenSearch, Shelf, str, str]:
    client, connection = shelf()
    first = run_index_job(job_for(tmp_path, MUGS), client, StandInEncoder(), patience=NONE)
    cups = [f"{number},Cup {number},red" for number in range(10)]
    second = run_index_job(job_for(tmp_path, cups, moment_ms=T0 + 5), client, StandInEncoder(), patience=NONE)
    return client, connection, first.index, second.index


def back(client: OpenSearch, to: str = "") -> RollbackReport:
    return roll_back(client, "mugs", to, One(StandInEncoder()), IndexSettings(), NONE)


def test_searches_go_back_and_forth(cluster: tuple[OpenSearch, Shelf, str, str]) -> None:
    client, connection, first, second = cluster
    report = back(client)
    assert report == RollbackReport(first, second, "mugs", StandInEncoder.version, 0)
    assert connection.aliases["mugs"] == {first}
    with pytest.raises(IndexingError, match=f"no index before {first}: there are {second}"):
        back(client)
    assert back(client, second).index == second
    assert connection.aliases["mugs"] == {second}
    with pytest.raises(IndexingError, match="other is no other complete index"):
        back(client, "other")


def test_changes_since_come_along(tmp_path: Path, cluster: tuple[OpenSearch, Shelf, str, str]) -> None:
    client, connection, first, _ = cluster
    lines = [
        '{"id": "1", "title": "Glass 1"}',
        '{"id": "2", "_op": "update", "price": 2}',
        '{"id": "3", "_op": "delete"}',
    ]
    change(client, tmp_path, lines, StandInEncoder())
    assert back(client).brought == 3
    documents = connection.indexes[first].documents
    assert documents["0"]["title"] == "Mug 0"
    assert documents["1"]["title"] == "Glass 1"
    assert (documents["2"]["title"], documents["2"]["price"]) == ("Cup 2", 2.0)
    assert "3" not in documents
