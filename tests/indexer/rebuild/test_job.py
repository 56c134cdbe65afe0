import json
import threading
from pathlib import Path

import pytest
from opensearchpy import OpenSearch

from indexer.rebuild.job import Progress, run_index_job
from indexer.rebuild.product_source import supply_of_index
from indexer.store.alias import Aliases
from indexer.store.jobs_index import JOBS_INDEX
from indexer.store.retry import Patience
from mappings.errors import CatalogueError, ClusterDown, IndexingError
from mappings.settings import IndexSettings
from tests.fakes.encoder import StandInEncoder
from tests.fakes.jobs import MUGS, T0, change, job_for
from tests.fakes.shelf import Shelf, shelf

NONE = Patience(0)


@pytest.fixture
def cluster() -> tuple[OpenSearch, Shelf]:
    return shelf()


def indexes(connection: Shelf) -> set[str]:
    return connection.indexes.keys() - {JOBS_INDEX}


def test_a_catalogue_goes_in_whole_and_the_alias_points_at_it(
    tmp_path: Path, cluster: tuple[OpenSearch, Shelf]
) -> None:
    client, connection = cluster
    encoder = StandInEncoder()
    steps: list[Progress] = []
    report = run_index_job(job_for(tmp_path, MUGS), client, encoder, steps.append, NONE)
    assert (report.indexed, report.encoded, report.rejected, report.duplicates) == (10, 10, 0, 0)
    assert report.index.startswith("mugs-2")
    assert (report.alias, report.model, report.bytes, report.removed) == ("mugs", encoder.version, 1000, ())
    assert (report.resumed, report.kept, report.brought) == (False, (), 0)
    assert report.products_per_second > 0
    assert 0 <= report.encoding_share <= 1
    assert connection.aliases == {"mugs": {report.index}}
    assert encoder.batches == [4, 4, 2]
    documents = connection.indexes[report.index].documents
    assert documents.keys() == {str(number) for number in range(10)}
    assert documents["3"]["title"] == "Mug 3"
    assert documents["3"]["facets"] == ["color=blue"]
    assert steps[-1] == Progress(10, 1.0)
    assert not (tmp_path / "rejects.jsonl").exists()


def test_the_index_says_what_made_it(tmp_path: Path, cluster: tuple[OpenSearch, Shelf]) -> None:
    client, connection = cluster
    report = run_index_job(job_for(tmp_path, MUGS), client, StandInEncoder(), patience=NONE)
    index = connection.indexes[report.index]
    noted = index.body["mappings"]["_meta"]["attune"]
    assert (noted["alias"], noted["model"], noted["dimension"]) == ("mugs", StandInEncoder.version, 4)
    assert (noted["source"], noted["version"], noted["state"]) == ("mugs.csv", T0, "complete")
    assert noted["fields"] == {"id": "id", "title": ["title"], "price_scale": 1.0, "attributes": ["color"]}
    assert index.body["mappings"]["properties"]["attune"]["properties"]["vector"]["dimension"] == 4
    document = index.documents["0"]["attune"]
    assert (document["version"], document["model"]) == (T0, noted["model"])
    assert {of.version for of in index.kept.values()} == {T0}
    assert max(document["vector"]) == 127  # bytes, as the field's data_type says


def test_refreshes_and_copies_wait_until_the_end(tmp_path: Path, cluster: tuple[OpenSearch, Shelf]) -> None:
    client, connection = cluster
    job = job_for(tmp_path, MUGS, IndexSettings(batch=4, shards=2))
    report = run_index_job(job, client, StandInEncoder(), patience=NONE)
    made = connection.indexes[report.index].body["settings"]["index"]
    assert (made["refresh_interval"], made["number_of_replicas"], made["number_of_shards"]) == ("-1", 0, 2)
    assert connection.settings == [{"index": {"refresh_interval": None, "number_of_replicas": 0}}]


def test_bad_records_duplicates_and_refused_documents_go_to_the_reject_file(
    tmp_path: Path, cluster: tuple[OpenSearch, Shelf]
) -> None:
    client, connection = cluster
    connection.refuse["7"] = [400]
    lines = [*MUGS[:5], ",no id,", "3,again,", *MUGS[5:], "11,,", '12,"open']
    report = run_index_job(job_for(tmp_path, lines), client, StandInEncoder(), patience=NONE)
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
    tmp_path: Path, cluster: tuple[OpenSearch, Shelf]
) -> None:
    client, connection = cluster
    with pytest.raises(CatalogueError, match=r"no usable product \(first: line 2: no id\); see "):
        run_index_job(job_for(tmp_path, [",a,", ",b,"] * 10), client, StandInEncoder(), patience=NONE)
    assert indexes(connection) == set()
    assert connection.aliases == {}
    assert len((tmp_path / "rejects.jsonl").read_text().splitlines()) == 20
    with pytest.raises(CatalogueError, match="no usable product: it is empty"):
        run_index_job(job_for(tmp_path, []), client, StandInEncoder(), patience=NONE)


def test_only_new_text_is_encoded_and_the_old_index_is_kept(
    tmp_path: Path, cluster: tuple[OpenSearch, Shelf]
) -> None:
    client, connection = cluster
    encoder = StandInEncoder()
    first = run_index_job(job_for(tmp_path, MUGS), client, encoder, patience=NONE)
    encoder.batches.clear()
    changed = [*MUGS[:8], "8,Cup 8,blue", "10,Mug 10,blue"]
    second = run_index_job(job_for(tmp_path, changed, moment_ms=T0 + 5), client, encoder, patience=NONE)
    assert (second.indexed, second.encoded, encoder.batches) == (10, 2, [2])
    assert second.kept == (first.index,)
    third = run_index_job(job_for(tmp_path, changed, moment_ms=T0 + 5), client, encoder, patience=NONE)
    assert (third.encoded, third.kept, third.removed) == (0, (second.index,), (first.index,))
    assert connection.aliases == {"mugs": {third.index}}
    assert connection.indexes[third.index].documents == connection.indexes[second.index].documents
    other = StandInEncoder()
    other.version = "another model"
    assert run_index_job(job_for(tmp_path, changed), client, other, patience=NONE).encoded == 10


def test_a_run_that_was_killed_is_gone_on_with(tmp_path: Path, cluster: tuple[OpenSearch, Shelf]) -> None:
    client, connection = cluster
    threads = threading.active_count()
    first = run_index_job(job_for(tmp_path, MUGS), client, StandInEncoder(), patience=NONE)
    job = job_for(tmp_path, [f"{number},Cup {number},red" for number in range(10)], moment_ms=T0 + 5)
    connection.fails.append(("_bulk", 0))

    def stop(progress: Progress) -> None:
        if progress.indexed >= 4:
            connection.fails[0] = ("_bulk", 1)

    with pytest.raises(ClusterDown, match="stopped answering"):
        run_index_job(job, client, StandInEncoder(), stop, NONE)
    (half,) = indexes(connection) - {first.index}
    held = len(connection.indexes[half].documents)
    assert 0 < held < 10
    assert connection.aliases == {"mugs": {first.index}}
    encoder = StandInEncoder()
    report = run_index_job(job, client, encoder, patience=NONE)
    assert (report.index, report.resumed, report.indexed, report.encoded) == (half, True, 10, 10 - held)
    assert connection.aliases == {"mugs": {half}}
    assert threading.active_count() == threads


def test_what_another_catalogue_left_half_done_is_used_and_deleted(
    tmp_path: Path, cluster: tuple[OpenSearch, Shelf]
) -> None:
    client, connection = cluster
    with pytest.raises(RuntimeError, match="the encoder failed"):
        run_index_job(job_for(tmp_path, [*MUGS, "11,unencodable,"]), client, StandInEncoder(), patience=NONE)
    assert len(indexes(connection)) == 1
    (left,) = indexes(connection)
    held = len(connection.indexes[left].documents)
    report = run_index_job(job_for(tmp_path, MUGS, moment_ms=T0 + 1), client, StandInEncoder(), patience=NONE)
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
    tmp_path: Path, cluster: tuple[OpenSearch, Shelf], lose: set[str], lines: list[str], why: str
) -> None:
    client, connection = cluster
    first = run_index_job(job_for(tmp_path, MUGS), client, StandInEncoder(), patience=NONE)
    connection.lose = lose
    with pytest.raises(IndexingError, match=f"verification: .*{why}.*stays as it was"):
        run_index_job(job_for(tmp_path, lines, moment_ms=T0 + 1), client, StandInEncoder(), patience=NONE)
    assert connection.aliases == {"mugs": {first.index}}
    assert indexes(connection) == {first.index}


def test_a_smaller_catalogue_is_taken_where_that_is_meant(
    tmp_path: Path, cluster: tuple[OpenSearch, Shelf]
) -> None:
    client, _ = cluster
    run_index_job(job_for(tmp_path, MUGS), client, StandInEncoder(), patience=NONE)
    few = IndexSettings(batch=4, min_share=0.0)
    assert (
        run_index_job(job_for(tmp_path, MUGS[:2], few), client, StandInEncoder(), patience=NONE).indexed == 2
    )
    assert (
        run_index_job(job_for(tmp_path, MUGS, limit=1), client, StandInEncoder(), patience=NONE).indexed == 1
    )


def test_changes_newer_than_the_catalogue_are_in_the_next_index(
    tmp_path: Path, cluster: tuple[OpenSearch, Shelf]
) -> None:
    client, connection = cluster
    run_index_job(job_for(tmp_path, MUGS), client, StandInEncoder(), patience=NONE)
    lines = [
        '{"id": "1", "title": "Cup 1"}',
        '{"id": "new", "title": "New mug"}',
        '{"id": "2", "_op": "delete"}',
        '{"id": "3", "_op": "delete", "_version": 1600000000000}',
    ]
    change(client, tmp_path, lines, StandInEncoder())
    job = job_for(tmp_path, MUGS, moment_ms=T0 + 500)

    def meanwhile(progress: Progress) -> None:
        if progress.indexed == 10:
            change(client, tmp_path, ['{"id": "4", "_op": "delete"}'], StandInEncoder(), T0 + 2000)

    report = run_index_job(job, client, StandInEncoder(), meanwhile, NONE)
    documents = connection.indexes[report.index].documents
    assert documents.keys() == {*"01356789", "new"}
    assert documents["1"]["title"] == "Cup 1"
    assert report.brought == 4
    later = run_index_job(
        job_for(tmp_path, MUGS, moment_ms=T0 + 9000), client, StandInEncoder(), patience=NONE
    )
    assert connection.indexes[later.index].documents.keys() == set("0123456789")
    assert later.brought == 0


def test_another_model_needs_no_catalogue(tmp_path: Path, cluster: tuple[OpenSearch, Shelf]) -> None:
    client, connection = cluster
    run_index_job(job_for(tmp_path, MUGS), client, StandInEncoder(), patience=NONE)
    change(
        client, tmp_path, ['{"id": "1", "title": "Cup 1"}', '{"id": "2", "_op": "delete"}'], StandInEncoder()
    )
    live = Aliases(client, "mugs", NONE).live()
    assert live is not None
    other = StandInEncoder()
    other.version = "another model"
    job = job_for(tmp_path, MUGS)
    again = type(job)(supply_of_index(client, live, Patience(0)), job.alias, job.rejects, job.settings)

    def meanwhile(progress: Progress) -> None:
        if progress.indexed == 9:
            change(client, tmp_path, ['{"id": "3", "title": "Cup 3"}'], StandInEncoder(), T0 + 2000)

    report = run_index_job(again, client, other, meanwhile, NONE)
    before, after = (connection.indexes[name] for name in (live.name, report.index))
    assert {key: of.version for key, of in after.kept.items()} == {
        key: of.version for key, of in before.kept.items()
    }
    for key, source in after.documents.items():
        own = source["attune"]
        assert own["model"] == "another model"
        assert {**own, "model": "0123456789ab"} == before.documents[key]["attune"]


def test_a_swap_whose_answer_is_lost_is_known_by_the_next_run(
    tmp_path: Path, cluster: tuple[OpenSearch, Shelf]
) -> None:
    client, connection = cluster
    connection.lose_answer = True
    with pytest.raises(IndexingError, match="took too long pointing alias mugs"):
        run_index_job(job_for(tmp_path, MUGS), client, StandInEncoder(), patience=NONE)
    (index,) = connection.aliases["mugs"]
    assert len(connection.indexes[index].documents) == 10
    report = run_index_job(job_for(tmp_path, MUGS), client, StandInEncoder(), patience=NONE)
    assert report.kept == (index,)


def test_an_index_of_the_alias_name_stops_the_run_before_it_starts(
    tmp_path: Path, cluster: tuple[OpenSearch, Shelf]
) -> None:
    client, connection = cluster
    client.indices.create(index="mugs", body={})
    with pytest.raises(IndexingError, match="mugs is an index"):
        run_index_job(job_for(tmp_path, MUGS), client, StandInEncoder(), patience=NONE)
    assert indexes(connection) == {"mugs"}


def test_a_limit_counts_products(tmp_path: Path, cluster: tuple[OpenSearch, Shelf]) -> None:
    client, _ = cluster
    steps: list[Progress] = []
    job = job_for(tmp_path, [",no id,", *MUGS], limit=5)
    report = run_index_job(job, client, StandInEncoder(), steps.append, NONE)
    assert (report.indexed, report.rejected) == (5, 1)
    assert steps[-1].share == 1.0
