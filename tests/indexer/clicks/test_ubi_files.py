import gzip
import json
from pathlib import Path

import pytest

from indexer.clicks.ubi_files import read_ubi_files
from mappings.errors import LabelsError
from reranker.training.clicks.click_log import LoggedAction, LoggedSearch, UnusableRecord

QUERY = {"query_id": "q1", "user_query": "hub", "client_id": "ann", "query_response_hit_ids": ["7"]}
EVENT = {
    "action_name": "click",
    "query_id": "q1",
    "event_attributes": {"object": {"object_id": "7"}, "position": {"ordinal": 1}},
}


def test_reads_documents_and_names_bad_lines(tmp_path: Path) -> None:
    queries, events = tmp_path / "queries.jsonl", tmp_path / "events.jsonl.gz"
    queries.write_text(
        f'{json.dumps(QUERY)}\n\n{{"query_id": \n["q1"]\n{{"query_id": "q2"}}\n', encoding="utf-8"
    )
    with gzip.open(events, "wt", encoding="utf-8") as file:
        file.write(json.dumps(EVENT) + "\n")
    log = read_ubi_files(queries, events)
    first, *bad = log.searches
    assert isinstance(first, LoggedSearch)
    assert (first.query_id, first.shown) == ("q1", ("7",))
    assert [found.where for found in bad if isinstance(found, UnusableRecord)] == [
        f"{queries} line {number}" for number in (3, 4, 5)
    ]
    assert isinstance(bad[2], UnusableRecord)
    assert bad[2].reason == "no user_query"
    (action,) = log.actions
    assert isinstance(action, LoggedAction)
    assert (action.name, action.ids, action.position) == ("click", ("7",), 1)


def test_reads_exports_and_bulk_files(tmp_path: Path) -> None:
    queries, events = tmp_path / "queries.jsonl", tmp_path / "events.jsonl"
    queries.write_text(
        json.dumps({"_index": "ubi_queries", "_id": "x", "_source": QUERY}) + "\n", encoding="utf-8"
    )
    lines = [{"index": {"_index": "ubi_events"}}, EVENT, {"create": {}}, EVENT]
    events.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    log = read_ubi_files(queries, events)
    assert [type(found) for found in log.searches] == [LoggedSearch]
    assert [type(found) for found in log.actions] == [LoggedAction, LoggedAction]


def test_missing_and_damaged_files_are_refused(tmp_path: Path) -> None:
    queries, events = tmp_path / "queries.jsonl", tmp_path / "events.jsonl.gz"
    with pytest.raises(LabelsError, match=r"click log .*queries\.jsonl does not exist"):
        read_ubi_files(queries, events)
    queries.write_text("", encoding="utf-8")
    with pytest.raises(LabelsError, match="is a folder"):
        read_ubi_files(queries, tmp_path)
    events.write_bytes(gzip.compress(b"{}\n" * 1000)[:-12])
    with pytest.raises(LabelsError, match="is damaged"):
        list(read_ubi_files(queries, events).actions)
