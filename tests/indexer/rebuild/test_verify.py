from dataclasses import asdict
from pathlib import Path

import pytest
from opensearchpy import OpenSearch

from indexer.rebuild.verify import Difference, VerifyReport, verify_index
from tests.fakes.memory_opensearch import MemoryCluster, open_memory
from tests.fakes.mug_jobs import MUGS, T0, change_mugs, open_session, rebuild_mugs, write_mugs


@pytest.fixture
def cluster(tmp_path: Path) -> MemoryCluster:
    client, connection = open_memory()
    rebuild_mugs(client, tmp_path)
    return client, connection


def verify(client: OpenSearch, folder: Path, lines: list[str], moment_ms: int = T0) -> VerifyReport:
    session = open_session(client)
    return verify_index(session, write_mugs(folder, lines, moment_ms), session.indexes.find_live())


def test_an_index_is_equal_to_what_made_it(tmp_path: Path, cluster: MemoryCluster) -> None:
    found = verify(cluster[0], tmp_path, [*MUGS, "3,again,", ",no id,"])
    assert found.equal
    assert (found.products, found.same, found.duplicates, found.rejected) == (10, 10, 1, 1)
    assert found.to_encode == 0


def test_each_difference_is_told(tmp_path: Path, cluster: MemoryCluster) -> None:
    client, connection = cluster
    (index,) = connection.aliases["mugs"]
    kept = connection.indexes[index].entries
    kept["5"].source["attune"]["hash"] = "other"
    kept["6"].source["attune"]["model"] = "other"
    kept["0"].source["attune"]["vector"] = [-1, -1, 1, -1]
    kept["stray"] = kept.pop("7")
    found = verify(client, tmp_path, [*MUGS[:4], "4,Cup 4,blue", *MUGS[5:]])
    assert not found.equal
    numbers = {name: value for name, value in asdict(found).items() if isinstance(value, int) and value}
    assert numbers == {
        "products": 10, "same": 5, "missing": 1, "extra": 1, "fields": 1, "vectors": 3, "to_encode": 4,
    }  # fmt: skip
    assert found.examples == [
        Difference("vectors", "0", "not what encoding it gives"),
        Difference("fields", "4", "title"),
        Difference("vectors", "5", "of another text"),
        Difference("vectors", "6", "of model other instead of 0123456789ab"),
        Difference("missing", "7", "line 9: 'Mug 7'"),
        Difference("extra", "stray", "the catalogue has no such product"),
    ]


def test_changes_since_are_no_differences(tmp_path: Path, cluster: MemoryCluster) -> None:
    client, _ = cluster
    lines = ['{"id": "1", "title": "Cup"}', '{"id": "2", "_op": "delete"}', '{"id": "new", "title": "New"}']
    change_mugs(client, tmp_path, lines)
    found = verify(client, tmp_path, MUGS)
    assert found.equal
    assert (found.same, found.newer, found.deleted) == (8, 1, 1)
    later = verify(client, tmp_path, MUGS, T0 + 2000)
    assert (later.same, later.fields, later.missing, later.extra) == (8, 1, 1, 1)


def test_without_an_index_all_is_missing(tmp_path: Path) -> None:
    client, _ = open_memory()
    found = verify(client, tmp_path, MUGS)
    assert (found.products, found.missing, found.to_encode, len(found.examples)) == (10, 10, 10, 10)
