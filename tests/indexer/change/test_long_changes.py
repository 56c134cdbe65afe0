import json
import time
from pathlib import Path

import pytest

from indexer.change import job as change_job
from indexer.rebuild.job import REBUILD, WRITING, run_index_job
from indexer.store.jobs_index import open_jobs
from indexer.store.lock import is_locked, locked
from indexer.store.retry import Patience
from tests.fakes.encoder import StandInEncoder
from tests.fakes.jobs import MUGS, change, job_for
from tests.fakes.shelf import shelf

NONE = Patience(0)


def test_a_batch_that_takes_long_lets_others_write_in_between(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    client, connection = shelf()
    run_index_job(job_for(tmp_path, MUGS), client, StandInEncoder(), patience=NONE)
    jobs = open_jobs(client, NONE)
    pauses: list[float] = []
    monkeypatch.setattr(change_job, "HOLD_SECONDS", -1.0)
    monkeypatch.setattr(time, "sleep", lambda seconds: pauses.append(seconds))
    lines = [json.dumps({"id": str(n), "title": f"Cup {n}"}) for n in range(10)]
    with locked(jobs, "mugs", REBUILD):
        report = change(client, tmp_path, lines, StandInEncoder())
        assert is_locked(jobs, "mugs", REBUILD)
    assert (report.changes, report.upserted, report.encoded) == (10, 10, 10)
    assert pauses == [change_job.YIELD_SECONDS] * 3  # parts of four
    assert not is_locked(jobs, "mugs", REBUILD)
    assert not is_locked(jobs, "mugs", WRITING)
    (index,) = connection.aliases["mugs"]
    held = connection.indexes[index].documents
    assert [str(held[str(n)]["title"])[:3] for n in range(10)] == ["Cup"] * 10
