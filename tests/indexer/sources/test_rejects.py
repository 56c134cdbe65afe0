import json
import os
from pathlib import Path

import pytest

from indexer.catalogue.records import Reject
from indexer.sources.rejects import MAX_RAW_CHARACTERS, RejectFile
from mappings.errors import CatalogueError


def test_rejects_are_written_and_counted_by_kind(tmp_path: Path) -> None:
    with RejectFile(tmp_path / "r.jsonl") as file:
        file.write(Reject(3, "no id", "x" * 5000))
        file.write(Reject(4, "duplicate", "raw \udc80", "duplicate"))
        file.write(Reject(9, "refused", "raw", "document"))
    rows = [json.loads(line) for line in (tmp_path / "r.jsonl").read_text().splitlines()]
    assert rows[0] == {"line": 3, "kind": "record", "reason": "no id", "raw": "x" * MAX_RAW_CHARACTERS}
    assert [row["kind"] for row in rows] == ["record", "duplicate", "document"]
    assert (file.rejected, file.duplicates, file.first) == (2, 1, "line 3: no id")


def test_without_rejects_nothing_stays_not_even_an_earlier_file(tmp_path: Path) -> None:
    (tmp_path / "r.jsonl").write_text("of an earlier run")
    with RejectFile(tmp_path / "r.jsonl"):
        pass
    assert not (tmp_path / "r.jsonl").exists()


def test_a_file_that_can_not_be_written_is_an_error_up_front(tmp_path: Path) -> None:
    with pytest.raises(CatalogueError, match="--rejects"), RejectFile(tmp_path / "none" / "r.jsonl"):
        pass


def test_a_link_is_not_written_through(tmp_path: Path) -> None:
    (tmp_path / "victim").write_text("untouched")
    (tmp_path / "r.jsonl").symlink_to(tmp_path / "victim")
    with pytest.raises(CatalogueError, match="can't be written"), RejectFile(tmp_path / "r.jsonl"):
        pass
    assert (tmp_path / "victim").read_text() == "untouched"


def test_a_device_stays(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    with RejectFile(tmp_path / "pipe"):
        pass
    os.close(reader)
    assert (tmp_path / "pipe").is_fifo()
