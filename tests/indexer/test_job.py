import json
import threading
from pathlib import Path

import pytest
from opensearchpy import OpenSearch

from indexer.guessing import guess_field_map
from indexer.job import IndexJob, Progress, run_index_job
from indexer.reading import open_catalogue
from mappings.errors import CatalogueError, ClusterDown, IndexingError
from mappings.settings import IndexSettings
from tests.indexer.stand_in import Shelf, StandInEncoder, shelf


@pytest.fixture
def cluster() -> tuple[OpenSearch, Shelf]:
    return shelf()


def job_for(tmp_path: Path, lines: list[str], batch: int = 4, limit: int | None = None) -> IndexJob:
    path = tmp_path / "mugs.csv"
    path.write_text("id,title,color\n" + "".join(f"{line}\n" for line in lines))
    catalogue = open_catalogue(path)
    return IndexJob(
        catalogue=catalogue,
        field_map=guess_field_map(catalogue),
        alias="mugs",
        rejects=tmp_path / "rejects.jsonl",
        settings=IndexSettings(batch=batch),
        limit=limit,
    )


MUGS = [f"{number},Mug {number},blue" for number in range(10)]


def test_a_catalogue_goes_in_whole_and_the_alias_points_at_it(
    tmp_path: Path, cluster: tuple[OpenSearch, Shelf]
) -> None:
    client, connection = cluster
    encoder = StandInEncoder()
    steps: list[Progress] = []
    report = run_index_job(job_for(tmp_path, MUGS), client, encoder, steps.append)
    assert (report.indexed, report.rejected, report.duplicates) == (10, 0, 0)
    assert report.index.startswith("mugs-2")
    assert (report.alias, report.model, report.bytes, report.removed) == ("mugs", encoder.version, 1000, ())
    assert report.products_per_second > 0
    assert connection.aliases == {"mugs": {report.index}}
    assert encoder.batches == [4, 4, 2]
    documents = connection.indexes[report.index]["documents"]
    assert documents.keys() == {str(number) for number in range(10)}
    assert documents["3"]["title"] == "Mug 3"
    assert documents["3"]["facets"] == ["color=blue"]
    assert steps[-1] == Progress(10, 1.0)
    assert not (tmp_path / "rejects.jsonl").exists()


def test_the_index_says_what_made_it(tmp_path: Path, cluster: tuple[OpenSearch, Shelf]) -> None:
    client, connection = cluster
    report = run_index_job(job_for(tmp_path, MUGS), client, StandInEncoder())
    body = connection.indexes[report.index]["body"]
    noted = body["mappings"]["_meta"]["attune"]
    assert (noted["alias"], noted["model"], noted["dimension"]) == ("mugs", StandInEncoder.version, 4)
    assert noted["fields"] == {"id": "id", "title": ["title"], "price_scale": 1.0, "attributes": ["color"]}
    assert body["mappings"]["properties"]["attune"]["properties"]["vector"]["dimension"] == 4
    document = connection.indexes[report.index]["documents"]["0"]["attune"]
    assert (document["version"], document["model"]) == (noted["version"], noted["model"])
    assert max(document["vector"]) == 127  # bytes, as the field's data_type says


def test_bad_records_duplicates_and_refused_documents_go_to_the_reject_file(
    tmp_path: Path, cluster: tuple[OpenSearch, Shelf]
) -> None:
    client, connection = cluster
    connection.refuse["7"] = [400]
    lines = [*MUGS[:5], ",no id,", "3,again,", *MUGS[5:], "11,,", '12,"open']
    report = run_index_job(job_for(tmp_path, lines), client, StandInEncoder())
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
        run_index_job(job_for(tmp_path, [",a,", ",b,"] * 10), client, StandInEncoder())
    assert connection.indexes == {}
    assert connection.aliases == {}
    assert len((tmp_path / "rejects.jsonl").read_text().splitlines()) == 20
    with pytest.raises(CatalogueError, match="no usable product: it is empty"):
        run_index_job(job_for(tmp_path, []), client, StandInEncoder())


def test_a_second_run_replaces_the_first(tmp_path: Path, cluster: tuple[OpenSearch, Shelf]) -> None:
    client, connection = cluster
    first = run_index_job(job_for(tmp_path, MUGS), client, StandInEncoder())
    second = run_index_job(job_for(tmp_path, MUGS[:3]), client, StandInEncoder())
    assert second.removed == (first.index,)
    assert connection.aliases == {"mugs": {second.index}}
    assert connection.indexes.keys() == {second.index}


def test_a_run_that_fails_leaves_the_alias_alone(tmp_path: Path, cluster: tuple[OpenSearch, Shelf]) -> None:
    client, connection = cluster
    threads = threading.active_count()
    first = run_index_job(job_for(tmp_path, MUGS), client, StandInEncoder())
    with pytest.raises(RuntimeError, match="the encoder failed"):
        run_index_job(job_for(tmp_path, [*MUGS, "11,unencodable,"]), client, StandInEncoder())
    connection.down_at = connection.bulks
    with pytest.raises(ClusterDown, match="stopped answering"):
        run_index_job(job_for(tmp_path, MUGS), client, StandInEncoder())
    connection.down_at, connection.refuse = -1, {"5": [500]}
    with pytest.raises(IndexingError, match="can't take documents"):
        run_index_job(job_for(tmp_path, MUGS), client, StandInEncoder())
    assert connection.aliases == {"mugs": {first.index}}
    assert connection.indexes.keys() == {first.index}
    assert len(connection.deleted) == 3
    assert threading.active_count() == threads


def test_an_index_that_searches_use_is_not_removed_when_an_answer_is_lost(
    tmp_path: Path, cluster: tuple[OpenSearch, Shelf]
) -> None:
    client, connection = cluster
    connection.lose_answer = True
    with pytest.raises(IndexingError, match="took too long pointing alias mugs"):
        run_index_job(job_for(tmp_path, MUGS), client, StandInEncoder())
    (index,) = connection.aliases["mugs"]
    assert len(connection.indexes[index]["documents"]) == 10


def test_an_index_of_the_alias_name_stops_the_run_before_it_starts(
    tmp_path: Path, cluster: tuple[OpenSearch, Shelf]
) -> None:
    client, connection = cluster
    client.indices.create(index="mugs", body={})
    with pytest.raises(IndexingError, match="mugs is an index"):
        run_index_job(job_for(tmp_path, MUGS), client, StandInEncoder())
    assert connection.indexes.keys() == {"mugs"}


def test_a_limit_counts_products(tmp_path: Path, cluster: tuple[OpenSearch, Shelf]) -> None:
    client, _ = cluster
    steps: list[Progress] = []
    job = job_for(tmp_path, [",no id,", *MUGS], limit=5)
    report = run_index_job(job, client, StandInEncoder(), steps.append)
    assert (report.indexed, report.rejected) == (5, 1)
    assert steps[-1].share == 1.0
