import json
from pathlib import Path

from indexer.store.jobs_index import open_jobs_index
from indexer.store.lock import REBUILD, WRITING, hold_lock, is_locked
from tests.fakes.memory_opensearch import open_memory
from tests.fakes.mug_jobs import NO_RETRY, change_mugs, rebuild_mugs


def test_a_batch_that_takes_long_lets_others_write_in_between(tmp_path: Path) -> None:
    client, connection = open_memory()
    rebuild_mugs(client, tmp_path)
    jobs = open_jobs_index(client, NO_RETRY)
    connection.requests.clear()
    lines = [json.dumps({"id": str(n), "title": f"Cup {n}"}) for n in range(10)]
    with hold_lock(jobs, "mugs", REBUILD):
        report = change_mugs(client, tmp_path, lines, hold_seconds=-1.0)
        assert is_locked(jobs, "mugs", REBUILD)
    assert (report.changes, report.upserted, report.encoded) == (10, 10, 10)
    released = [url for method, url in connection.requests if method == "DELETE" and "writing" in url]
    assert len(released) == 3  # parts of four
    assert not is_locked(jobs, "mugs", REBUILD)
    assert not is_locked(jobs, "mugs", WRITING)
    (index,) = connection.aliases["mugs"]
    documents = connection.indexes[index].documents
    assert [str(documents[str(n)]["title"])[:3] for n in range(10)] == ["Cup"] * 10
