import json
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from indexer.catalogue.guessing import guess_field_map
from indexer.catalogue.records import Record
from indexer.change.job import ChangeJob, ChangesReport, apply_changes
from indexer.sources.change_stream import ChangeStream
from indexer.sources.files import open_catalogue
from indexer.store.jobs_index import JOBS_INDEX, open_jobs_index
from indexer.store.lock import CHANGES, hold_lock
from mappings.errors import IndexingError, JobRunning, SettingsError
from mappings.types import JsonObject
from tests.fakes.fake_encoder import FakeEncoder
from tests.fakes.memory_opensearch import MemoryCluster, MemoryOpenSearch, open_memory
from tests.fakes.mug_jobs import NO_RETRY, T0, change_mugs, open_session, rebuild_mugs


@pytest.fixture
def cluster(tmp_path: Path) -> MemoryCluster:
    client, connection = open_memory()
    rebuild_mugs(client, tmp_path)
    return client, connection


def documents(connection: MemoryOpenSearch) -> dict[str, dict[str, object]]:
    (index,) = connection.aliases["mugs"]
    return connection.indexes[index].documents


def versions(connection: MemoryOpenSearch) -> dict[str, int]:
    (index,) = connection.aliases["mugs"]
    return {key: of.version for key, of in connection.indexes[index].entries.items()}


def test_whole_products_parts_and_deletes(tmp_path: Path, cluster: MemoryCluster) -> None:
    client, connection = cluster
    before = json.loads(json.dumps(documents(connection)))
    encoder = FakeEncoder()
    lines = [
        '{"id": "1", "title": "Cup 1", "color": "red"}',
        '{"id": "2", "_op": "update", "price": 3}',
        '{"id": "3", "_op": "update", "title": "Cup 3"}',
        '{"id": "4", "_op": "delete"}',
        '{"id": "new", "title": "New"}',
        '{"id": "6", "title": "Mug 6", "color": "blue"}',
    ]
    report = change_mugs(client, tmp_path, lines, encoder)
    assert (report.changes, report.upserted, report.updated, report.deleted) == (6, 3, 2, 1)
    assert (report.encoded, report.stale, report.unchanged, report.rejected, report.streams) == (
        3,
        0,
        0,
        0,
        1,
    )
    after = documents(connection)
    assert after.keys() == {*"012356789", "new"}
    assert (after["1"]["title"], after["1"]["attributes"]) == ("Cup 1", {"color": "red"})
    assert after["2"] == {**before["2"], "price": 3.0} | {"attune": after["2"]["attune"]}
    assert after["2"]["attune"] == {**before["2"]["attune"], "version": T0 + 1000, "changed": True}
    assert (after["3"]["title"], after["3"]["attributes"]) == ("Cup 3", {"color": "blue"})
    assert after["3"]["attune"]["hash"] != before["3"]["attune"]["hash"]
    assert after["6"]["attune"]["vector"] == before["6"]["attune"]["vector"]
    assert versions(connection)["0"] == T0
    assert {versions(connection)[key] for key in ("1", "2", "3", "6", "new")} == {T0 + 1000}


def test_prices_need_no_encoder(tmp_path: Path, cluster: MemoryCluster) -> None:
    client, connection = cluster
    encoder = FakeEncoder()
    lines = [json.dumps({"id": str(n), "price": n, "available": n % 2}) for n in range(10)]
    report = change_mugs(client, tmp_path, lines, encoder, default="update")
    assert (report.updated, report.encoded, encoder.batches) == (10, 0, [])
    assert [of["price"] for of in documents(connection).values()] == [float(n) for n in range(10)]
    again = change_mugs(client, tmp_path, lines, encoder, default="update")
    assert (again.updated, again.unchanged) == (0, 10)


def test_changes_of_one_product_are_applied_in_their_order(tmp_path: Path, cluster: MemoryCluster) -> None:
    client, connection = cluster
    lines = [
        '{"id": "1", "_op": "update", "price": 1}',
        '{"id": "1", "_op": "update", "color": "red"}',
        '{"id": "1", "_op": "update", "title": "Cup"}',
        '{"id": "2", "_op": "delete"}',
        '{"id": "2", "title": "Back again"}',
        '{"id": "3", "title": "Short life"}',
        '{"id": "3", "_op": "delete"}',
    ]
    change_mugs(client, tmp_path, lines)
    after = documents(connection)
    assert (after["1"]["title"], after["1"]["price"], after["1"]["attributes"]) == (
        "Cup",
        1.0,
        {"color": "red"},
    )
    assert after["2"]["title"] == "Back again"
    assert "3" not in after


def test_what_comes_late_changes_nothing(tmp_path: Path, cluster: MemoryCluster) -> None:
    client, connection = cluster
    change_mugs(client, tmp_path, ['{"id": "1", "title": "Cup"}', '{"id": "2", "_op": "delete"}'])
    held = json.loads(json.dumps(documents(connection)))
    late = [
        '{"id": "1", "title": "Older"}',
        '{"id": "1", "_op": "update", "price": 1}',
        '{"id": "1", "_op": "delete"}',
        '{"id": "2", "title": "Older"}',
    ]
    report = change_mugs(client, tmp_path, late, moment_ms=T0 + 999)
    assert (report.stale, report.upserted, report.encoded) == (4, 0, 0)
    assert documents(connection) == held
    change_mugs(client, tmp_path, ['{"id": "2", "title": "Newer"}'], moment_ms=T0 + 1001)
    assert documents(connection)["2"]["title"] == "Newer"


def test_a_named_file_that_is_older_than_the_catalogue_is_applied(
    tmp_path: Path, cluster: MemoryCluster
) -> None:
    client, connection = cluster

    def change(line: str, moment_ms: int) -> ChangesReport:
        return change_mugs(client, tmp_path, [line], moment_ms=moment_ms, follows_catalogue=True)

    report = change('{"id": "1", "_op": "update", "price": 1}', T0 - 5000)
    assert (report.updated, report.stale, report.redated) == (1, 0, 1)
    report = change('{"id": "1", "_op": "update", "price": 2}', T0 - 9000)
    assert (report.updated, report.stale) == (1, 0)
    assert documents(connection)["1"]["price"] == 2.0
    assert change('{"id": "1", "_op": "update", "price": 3}', T0 + 1000).redated == 0
    late = change('{"id": "1", "_op": "update", "price": 4}', T0 - 5000)
    assert (late.updated, late.stale) == (0, 1)  # another change is newer
    assert documents(connection)["1"]["price"] == 3.0
    rebuild_mugs(client, tmp_path)
    assert documents(connection)["1"]["price"] == 3.0


def test_what_cant_be_applied_is_told(tmp_path: Path, cluster: MemoryCluster) -> None:
    client, connection = cluster
    connection.refuse["1"] = [400]
    lines = [
        '{"id": "1", "title": "Cup"}',
        '{"id": "none", "_op": "update", "price": 1}',
        '{"id": "2", "_op": "update", "title": ""}',
        '{"id": "3", "_op": "sideways"}',
        "{",
        '{"id": "4", "title": "Cup 4"}',
    ]
    report = change_mugs(client, tmp_path, lines)
    assert (report.rejected, report.upserted) == (5, 1)
    rows = [json.loads(line) for line in (tmp_path / "changes.rejects.jsonl").read_text().splitlines()]
    reasons = {row["line"]: row["reason"] for row in rows}
    assert reasons[1] == "OpenSearch refused the document: refused with 400"
    assert reasons[2] == "no product none in the index to update: send all of it"
    assert "no text" in reasons[3]
    assert "unknown operation 'sideways'" in reasons[4]
    assert "broken JSON" in reasons[5]
    assert documents(connection)["4"]["title"] == "Cup 4"


def test_a_dry_run_counts_and_changes_nothing(tmp_path: Path, cluster: MemoryCluster) -> None:
    client, connection = cluster
    held = json.loads(json.dumps(documents(connection)))
    encoder = FakeEncoder()
    lines = [
        '{"id": "1", "title": "Cup"}',
        '{"id": "2", "_op": "update", "price": 1}',
        '{"id": "3", "_op": "delete"}',
    ]
    report = change_mugs(client, tmp_path, lines, encoder, dry=True)
    assert (report.upserted, report.updated, report.deleted, report.encoded) == (1, 1, 1, 1)
    assert documents(connection) == held
    assert encoder.batches == []
    kinds = [of["kind"] for of in connection.indexes[JOBS_INDEX].documents.values()]
    assert "tombstone" not in kinds


def test_without_an_index_there_is_nothing_to_change(tmp_path: Path) -> None:
    client, _ = open_memory()
    with pytest.raises(IndexingError, match="make one first by `attune index FILE --alias mugs`"):
        change_mugs(client, tmp_path, ['{"id": "1", "title": "Cup"}'])


def test_counts_are_not_compared_with_times(tmp_path: Path, cluster: MemoryCluster) -> None:
    client, _ = cluster
    with pytest.raises(SettingsError, match=r"version 7 is a count, and index mugs-.* has times"):
        change_mugs(client, tmp_path, ['{"id": "1", "title": "Cup", "_version": 7}'])


def test_one_job_of_changes_at_a_time(tmp_path: Path, cluster: MemoryCluster) -> None:
    client, connection = cluster
    with (
        hold_lock(open_jobs_index(client, NO_RETRY), "mugs", CHANGES),
        pytest.raises(JobRunning, match="is at work") as raised,
    ):
        change_mugs(client, tmp_path, ['{"id": "1", "title": "Cup"}'])
    assert raised.value.exit_code == 3
    assert change_mugs(client, tmp_path, ['{"id": "1", "title": "Cup"}']).upserted == 1
    assert not [of for of in connection.indexes[JOBS_INDEX].documents.values() if of["kind"] == "lock"]


class BrokenSource:
    """A source whose reading fails after one record, as only a fault in a reader can."""

    name = "broken.jsonl"
    moment_ms = T0 + 1000

    def records(self) -> Iterator[Record]:
        yield Record(1, {"id": "1", "title": "Cup 1"}, "", 0.5)
        raise RecursionError("too deep")

    def columns(self) -> tuple[str, ...]:
        return ("id", "title")

    def missing(self, wanted: Iterable[str]) -> tuple[str, ...]:
        return tuple(set(wanted) - {"id", "title"})

    def details(self) -> list[JsonObject]:
        return []


def test_a_stream_that_cant_be_applied_is_refused_and_the_next_one_goes_on(
    tmp_path: Path, cluster: MemoryCluster
) -> None:
    client, connection = cluster
    refused: list[str] = []
    good, counted = tmp_path / "good.jsonl", tmp_path / "counted.jsonl"
    good.write_text('{"id": "3", "title": "Cup 3"}\n')
    counted.write_text('{"id": "2", "title": "Cup 2", "_version": 7}\n')
    streams = [
        ChangeStream(BrokenSource(), on_nack=lambda error: refused.append(str(error))),
        ChangeStream(open_catalogue(counted), on_nack=lambda error: refused.append(str(error))),
        ChangeStream(open_catalogue(good)),
    ]
    job = ChangeJob(lambda stream: guess_field_map(stream.source, partial=True), tmp_path / "rejects.jsonl")
    report = apply_changes(open_session(client), job, streams)
    assert report.streams == 1
    assert refused[0] == "broken.jsonl can't be read after line 1: RecursionError: too deep"
    assert "version 7 is a count" in refused[1]
    assert documents(connection)["3"]["title"] == "Cup 3"


def test_the_good_fields_of_a_change_are_applied(tmp_path: Path, cluster: MemoryCluster) -> None:
    client, connection = cluster
    report = change_mugs(
        client, tmp_path, ['{"id": "1", "_op": "update", "price": 7.5, "available": "perhaps"}']
    )
    assert (report.updated, report.rejected, report.unreadable) == (1, 0, 1)
    assert documents(connection)["1"]["price"] == 7.5
