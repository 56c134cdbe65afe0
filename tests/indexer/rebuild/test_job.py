import json
import threading
from pathlib import Path

import pytest

from indexer.rebuild.job import rebuild_index
from indexer.rebuild.product_source import open_index_source
from indexer.store.documents import encode_key
from indexer.store.jobs_index import JOBS_INDEX
from mappings.errors import CatalogueError, ClusterDown, IndexingError
from mappings.settings import IndexSettings
from tests.fakes.fake_encoder import FakeEncoder
from tests.fakes.memory_opensearch import MemoryCluster, MemoryOpenSearch, open_memory
from tests.fakes.mug_jobs import MUGS, NO_RETRY, T0, change_mugs, open_session, rebuild_mugs


@pytest.fixture
def cluster() -> MemoryCluster:
    return open_memory()


def indexes(connection: MemoryOpenSearch) -> set[str]:
    return connection.indexes.keys() - {JOBS_INDEX}


def test_a_catalogue_goes_in_whole_and_the_alias_points_at_it(tmp_path: Path, cluster: MemoryCluster) -> None:
    client, connection = cluster
    encoder = FakeEncoder()
    steps: list[tuple[int, float]] = []
    report = rebuild_mugs(client, tmp_path, encoder=encoder, on_progress=lambda *step: steps.append(step))
    assert (report.indexed, report.encoded, report.rejected, report.duplicates) == (10, 10, 0, 0)
    assert report.index.startswith("mugs-2")
    assert (report.alias, report.model, report.bytes, report.removed) == ("mugs", encoder.version, 1000, ())
    assert (report.resumed, report.kept, report.changes_copied) == (False, (), 0)
    assert report.products_per_second > 0
    assert 0 <= report.encoding_share <= 1
    assert connection.aliases == {"mugs": {report.index}}
    assert encoder.batches == [4, 4, 2]
    documents = connection.indexes[report.index].documents
    assert documents.keys() == {str(number) for number in range(10)}
    assert documents["3"]["title"] == "Mug 3"
    assert documents["3"]["facets"] == ["color=blue"]
    assert steps[-1] == (10, 1.0)
    assert not (tmp_path / "rejects.jsonl").exists()


def test_the_index_says_what_made_it(tmp_path: Path, cluster: MemoryCluster) -> None:
    client, connection = cluster
    report = rebuild_mugs(client, tmp_path)
    index = connection.indexes[report.index]
    metadata = index.body["mappings"]["_meta"]["attune"]
    assert (metadata["alias"], metadata["model"], metadata["dimension"]) == ("mugs", FakeEncoder.version, 4)
    assert (metadata["source"], metadata["version"], metadata["state"]) == ("mugs.csv", T0, "complete")
    assert metadata["fields"] == {"id": "id", "title": "title", "attributes": ["color"]}
    assert index.body["mappings"]["properties"]["attune"]["properties"]["vector"]["dimension"] == 4
    document = index.documents["0"]["attune"]
    assert (document["version"], document["model"]) == (T0, metadata["model"])
    assert {of.version for of in index.entries.values()} == {T0}
    assert max(document["vector"]) == 127  # bytes, as the field's data_type says


def test_refreshes_and_copies_wait_until_the_end(tmp_path: Path, cluster: MemoryCluster) -> None:
    client, connection = cluster
    report = rebuild_mugs(client, tmp_path, settings=IndexSettings(batch=4, shards=2))
    made = connection.indexes[report.index].body["settings"]["index"]
    assert (made["refresh_interval"], made["number_of_replicas"], made["number_of_shards"]) == ("-1", 0, 2)
    assert connection.settings == [{"index": {"refresh_interval": None, "number_of_replicas": 0}}]


def test_bad_records_duplicates_and_refused_documents_go_to_the_reject_file(
    tmp_path: Path, cluster: MemoryCluster
) -> None:
    client, connection = cluster
    connection.refuse["7"] = [400]
    lines = [*MUGS[:5], ",no id,", "3,again,", *MUGS[5:], "11,,", '12,"open']
    report = rebuild_mugs(client, tmp_path, lines)
    assert (report.indexed, report.rejected, report.duplicates) == (9, 4, 1)
    rows = [json.loads(line) for line in (tmp_path / "rejects.jsonl").read_text().splitlines()]
    found = {row["line"]: row for row in rows}
    assert {line: row["kind"] for line, row in found.items()} == {
        7: "record",
        8: "duplicate",
        11: "document",
        14: "record",
        15: "record",
    }
    assert found[11]["reason"] == "OpenSearch refused the document: refused with 400"
    assert found[11]["raw"] == "7,Mug 7,blue\n"


def test_a_file_without_a_usable_product_is_an_error_and_leaves_nothing(
    tmp_path: Path, cluster: MemoryCluster
) -> None:
    client, connection = cluster
    with pytest.raises(CatalogueError, match=r"no usable product \(first: line 2: no id\); see "):
        rebuild_mugs(client, tmp_path, [",a,", ",b,"] * 10)
    assert indexes(connection) == set()
    assert connection.aliases == {}
    assert len((tmp_path / "rejects.jsonl").read_text().splitlines()) == 20
    with pytest.raises(CatalogueError, match="no usable product: it is empty"):
        rebuild_mugs(client, tmp_path, [])


def test_only_new_text_is_encoded_and_the_old_index_is_kept(tmp_path: Path, cluster: MemoryCluster) -> None:
    client, connection = cluster
    encoder = FakeEncoder()
    first = rebuild_mugs(client, tmp_path, encoder=encoder)
    encoder.batches.clear()
    changed = [*MUGS[:8], "8,Cup 8,blue", "10,Mug 10,blue"]
    second = rebuild_mugs(client, tmp_path, changed, moment_ms=T0 + 5, encoder=encoder)
    assert (second.indexed, second.encoded, encoder.batches) == (10, 2, [2])
    assert second.kept == (first.index,)
    third = rebuild_mugs(client, tmp_path, changed, moment_ms=T0 + 5, encoder=encoder)
    assert (third.encoded, third.kept, third.removed) == (0, (second.index,), (first.index,))
    assert connection.aliases == {"mugs": {third.index}}
    assert connection.indexes[third.index].documents == connection.indexes[second.index].documents
    other = FakeEncoder("another model")
    assert rebuild_mugs(client, tmp_path, changed, encoder=other).encoded == 10


def test_a_run_that_was_killed_is_gone_on_with(tmp_path: Path, cluster: MemoryCluster) -> None:
    client, connection = cluster
    threads = threading.active_count()
    first = rebuild_mugs(client, tmp_path)
    cups = [f"{number},Cup {number},red" for number in range(10)]
    connection.fails.append(("_bulk", 0))

    def stop(indexed: int, share: float) -> None:
        if indexed >= 4:
            connection.fails[0] = ("_bulk", 1)

    with pytest.raises(ClusterDown, match="stopped answering"):
        rebuild_mugs(client, tmp_path, cups, T0 + 5, on_progress=stop)
    (half,) = indexes(connection) - {first.index}
    held = len(connection.indexes[half].documents)
    assert 0 < held < 10
    assert connection.aliases == {"mugs": {first.index}}
    encoder = FakeEncoder()
    report = rebuild_mugs(client, tmp_path, cups, T0 + 5, encoder)
    assert (report.index, report.resumed, report.indexed, report.encoded) == (half, True, 10, 10 - held)
    assert connection.aliases == {"mugs": {half}}
    assert threading.active_count() == threads


def test_what_another_catalogue_left_half_done_is_used_and_deleted(
    tmp_path: Path, cluster: MemoryCluster
) -> None:
    client, connection = cluster
    with pytest.raises(RuntimeError, match="the encoder failed"):
        rebuild_mugs(client, tmp_path, [*MUGS, "11,unencodable,"])
    assert len(indexes(connection)) == 1
    (left,) = indexes(connection)
    held = len(connection.indexes[left].documents)
    report = rebuild_mugs(client, tmp_path, moment_ms=T0 + 1)
    assert not report.resumed
    assert 0 < report.encoded == 10 - held  # its vectors were of use
    assert indexes(connection) == {report.index}


@pytest.mark.parametrize(
    ("lose", "lines", "why"),
    [
        ({"3", "4"}, MUGS, "it holds 8 products of the catalogue instead of 10"),
        ({"0"}, MUGS, "product 0 is missing"),
        (set(), MUGS[:4], "it would have 4 products where searches have 10 now"),
    ],
)
def test_an_index_that_is_not_what_it_should_be_is_not_used(
    tmp_path: Path, cluster: MemoryCluster, lose: set[str], lines: list[str], why: str
) -> None:
    client, connection = cluster
    first = rebuild_mugs(client, tmp_path)
    connection.lose = lose
    with pytest.raises(IndexingError, match=f"sanity checks: .*{why}.*stays as it was"):
        rebuild_mugs(client, tmp_path, lines, moment_ms=T0 + 1)
    assert connection.aliases == {"mugs": {first.index}}
    assert indexes(connection) == {first.index}


def test_a_smaller_catalogue_is_taken_where_that_is_meant(tmp_path: Path, cluster: MemoryCluster) -> None:
    client, _ = cluster
    rebuild_mugs(client, tmp_path)
    few = IndexSettings(batch=4, min_share=0.0)
    assert rebuild_mugs(client, tmp_path, MUGS[:2], settings=few).indexed == 2
    assert rebuild_mugs(client, tmp_path, limit=1).indexed == 1


def test_changes_newer_than_the_catalogue_are_in_the_next_index(
    tmp_path: Path, cluster: MemoryCluster
) -> None:
    client, connection = cluster
    rebuild_mugs(client, tmp_path)
    lines = [
        '{"id": "1", "title": "Cup 1"}',
        '{"id": "new", "title": "New mug"}',
        '{"id": "2", "_op": "delete"}',
        '{"id": "3", "_op": "delete", "_version": 1600000000000}',
    ]
    change_mugs(client, tmp_path, lines)

    def meanwhile(indexed: int, share: float) -> None:
        if indexed == 10:
            change_mugs(client, tmp_path, ['{"id": "4", "_op": "delete"}'], moment_ms=T0 + 2000)

    report = rebuild_mugs(client, tmp_path, moment_ms=T0 + 500, on_progress=meanwhile)
    documents = connection.indexes[report.index].documents
    assert documents.keys() == {*"01356789", "new"}
    assert documents["1"]["title"] == "Cup 1"
    assert report.changes_copied == 4
    later = rebuild_mugs(client, tmp_path, moment_ms=T0 + 9000)
    assert connection.indexes[later.index].documents.keys() == set("0123456789")
    assert later.changes_copied == 0


def test_another_model_needs_no_catalogue(tmp_path: Path, cluster: MemoryCluster) -> None:
    client, connection = cluster
    rebuild_mugs(client, tmp_path)
    change_mugs(client, tmp_path, ['{"id": "1", "title": "Cup 1"}', '{"id": "2", "_op": "delete"}'])
    live = open_session(client).indexes.find_live()
    assert live is not None
    source = open_index_source(client, live, NO_RETRY)

    def meanwhile(indexed: int, share: float) -> None:
        if indexed == 9:
            change_mugs(client, tmp_path, ['{"id": "3", "title": "Cup 3"}'], moment_ms=T0 + 2000)

    session = open_session(client, FakeEncoder("another model"), on_progress=meanwhile)
    report = rebuild_index(session, source, tmp_path / "rejects.jsonl")
    before, after = (connection.indexes[name] for name in (live.name, report.index))
    assert {key: of.version for key, of in after.entries.items()} == {
        key: of.version for key, of in before.entries.items()
    }
    for key, source in after.documents.items():
        own = source["attune"]
        assert own["model"] == "another model"
        assert own["key"] == encode_key(key, own)
        same = {"model": "0123456789ab", "key": before.documents[key]["attune"]["key"]}
        assert {**own, **same} == before.documents[key]["attune"]


def test_a_swap_whose_answer_is_lost_is_known_by_the_next_run(tmp_path: Path, cluster: MemoryCluster) -> None:
    client, connection = cluster
    connection.lose_answer = True
    with pytest.raises(IndexingError, match="took too long pointing alias mugs"):
        rebuild_mugs(client, tmp_path)
    (index,) = connection.aliases["mugs"]
    assert len(connection.indexes[index].documents) == 10
    report = rebuild_mugs(client, tmp_path)
    assert report.kept == (index,)


def test_an_index_of_the_alias_name_stops_the_run_before_it_starts(
    tmp_path: Path, cluster: MemoryCluster
) -> None:
    client, connection = cluster
    client.indices.create(index="mugs", body={})
    with pytest.raises(IndexingError, match="mugs is an index"):
        rebuild_mugs(client, tmp_path)
    assert indexes(connection) == {"mugs"}


def test_a_limit_counts_products(tmp_path: Path, cluster: MemoryCluster) -> None:
    client, _ = cluster
    steps: list[float] = []
    report = rebuild_mugs(
        client,
        tmp_path,
        [",no id,", *MUGS],
        on_progress=lambda _, share: steps.append(share),
        limit=5,
    )
    assert (report.indexed, report.rejected) == (5, 1)
    assert steps[-1] == 1.0
