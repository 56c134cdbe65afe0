"""`attune index` as schedulers and pipes run it: exit codes, what is printed where, signals."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from opensearchpy.helpers import scan

from indexer.store.jobs_index import JOBS_INDEX, open_jobs_index
from indexer.store.lock import hold_lock
from mappings.types import JsonObject
from reranker.model import load_model
from tests.integration.indexing.shop import MUGS, RETRY, Shop, everything, mug
from tests.integration.stack import ROOT, SLOW_MACHINE_SECONDS


def started(shop: Shop, arguments: Sequence[str | Path], **environment: str) -> subprocess.Popen[str]:
    host = shop.client.transport.get_connection().host
    given = {"ATTUNE_OPENSEARCH_URL": host, "PYTHONPATH": str(ROOT), **environment}
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "plugin_api", "index", *map(str, arguments), "--alias", shop.alias],
        env={**os.environ, **given},
        cwd=shop.folder,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def ended(process: subprocess.Popen[str], given: str = "") -> tuple[int, str, str]:
    said, wrong = process.communicate(given, timeout=SLOW_MACHINE_SECONDS)
    return process.returncode, said, wrong


def run(shop: Shop, *arguments: str | Path, given: str = "") -> tuple[int, str, str]:
    return ended(started(shop, arguments), given)


def lines(records: Sequence[JsonObject]) -> str:
    return "".join(json.dumps(record) + "\n" for record in records)


def locks(shop: Shop) -> list[str]:
    shop.client.indices.refresh(index=JOBS_INDEX)
    query = {"query": {"term": {"kind": "lock"}}}
    hits = scan(shop.client, index=JOBS_INDEX, query=query)
    return [hit["_id"] for hit in hits if f":{shop.alias}:" in hit["_id"]]


def test_a_catalogue_its_comparison_and_changes_through_a_pipe(shop: Shop) -> None:
    catalogue = shop.write("mugs.jsonl", [*MUGS, {"id": "bad"}])
    before = everything(shop.client)
    status, said, wrong = run(shop, catalogue, "--dry-run")
    assert (status, wrong) == (0, "")
    assert "A rebuild would add 20, change 0 and drop 0 products, and encode 20. Nothing was changed." in said
    assert everything(shop.client) == before

    metrics = shop.folder / "index.prom"
    status, said, wrong = run(shop, catalogue, "--json", "--metrics", metrics)
    assert (status, wrong) == (0, "")
    report = json.loads(said)
    assert (report["indexed"], report["rejected"]) == (20, 1)
    written = f'attune_index_records{{alias="{shop.alias}",job="rebuild",outcome="indexed"}} 20.0'
    assert written in metrics.read_text()
    assert len((shop.folder / "mugs.jsonl.rejects.jsonl").read_text().splitlines()) == 1

    events = [mug(1, price=3.5, _op="upsert"), {"id": "2", "_op": "delete"}]
    status, said, wrong = run(shop, "-", "--changes", given=lines(events))
    assert (status, wrong) == (0, "")
    assert "Applied 2 of 2 changes" in said
    assert "1 whole product, 0 partial, 1 deleted; 0 encoded" in said
    assert locks(shop) == []

    status, said, _ = run(shop, catalogue, "--verify", "--json")
    found = json.loads(said)
    assert (status, found["equal"], found["newer"], found["deleted"]) == (0, True, 1, 1)
    shop.client.delete(index=shop.alias, id="5", params={"refresh": "true"})
    status, said, _ = run(shop, catalogue, "--verify")
    assert status == 1
    assert "1 missing in the index:\n  5: line 6: 'Mug 5'\n" in said


def test_a_folder_is_gone_through_and_followed_until_it_is_told_to_end(shop: Shop) -> None:
    shop.rebuild(encoder=load_model(None, 1))
    folder = shop.folder / "feed"
    folder.mkdir()
    text = lines([{"id": "1", "_op": "update", "price": 7}])
    (folder / "a.jsonl").write_text(text)
    (folder / "b.jsonl").write_bytes(b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR")
    process = started(shop, [folder, "--changes", "--follow", "0.2"])
    wait_for(process, (folder / "failed" / "b.jsonl.reason.txt").exists)
    assert (folder / "done" / "a.jsonl").exists()
    (folder / "c.jsonl").write_text(lines([{"id": "2", "_op": "update", "price": 8}]))
    wait_for(process, (folder / "done" / "c.jsonl").exists)
    process.send_signal(signal.SIGTERM)
    status, said, wrong = ended(process)
    assert status == 0
    assert "Applied 2 of 2 changes" in said
    assert "b.jsonl" in wrong
    assert "\x1b" not in wrong + said
    assert locks(shop) == []
    assert (shop.prices()["1"], shop.prices()["2"]) == (7, 8)


def test_exit_codes_tell_schedulers_what_to_do(shop: Shop) -> None:
    catalogue = shop.write("mugs.jsonl", MUGS)
    empty = shop.write("empty.jsonl", [{"id": "1"}])
    jobs = open_jobs_index(shop.client, RETRY)
    with hold_lock(jobs, shop.alias, "rebuild"):
        busy = started(shop, [catalogue])
        wrong_use = started(shop, ["-"])
        status, _, wrong = ended(busy)
        assert status == 3
        assert "another job (rebuild) is at work on this alias" in wrong.splitlines()[-1]
    assert ended(wrong_use)[0] == 2
    status, _, wrong = run(shop, empty)
    assert status == 1
    assert wrong.splitlines()[-1].startswith("attune: ")
    assert shop.made() == []


def test_a_rebuild_that_is_told_to_end_leaves_no_lock_and_is_gone_on_with(shop: Shop) -> None:
    catalogue = shop.write("mugs.jsonl", [mug(n, title=f"Mug of colour {n}") for n in range(2000)])
    process = started(shop, [catalogue, "--json"], ATTUNE_INDEX_BATCH="16")
    wait_for(process, lambda: bool(shop.made()))
    process.terminate()
    assert ended(process)[0] == 1
    assert locks(shop) == []
    status, said, _ = run(shop, catalogue, "--json")
    report = json.loads(said)
    assert (status, report["resumed"], report["indexed"]) == (0, True, 2000)
    assert len(shop.made()) == 1


def wait_for(process: subprocess.Popen[str], ready: Callable[[], bool]) -> None:
    deadline = time.monotonic() + SLOW_MACHINE_SECONDS
    while not ready():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.1)
