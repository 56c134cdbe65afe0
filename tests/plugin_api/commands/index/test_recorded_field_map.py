"""What `attune index` takes from the note of the index in use: the field map and --simplified."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from indexer.catalogue.field_map import FieldMap
from indexer.rebuild.job import rebuild_index
from indexer.rebuild.product_source import CatalogueSource
from indexer.sources.files import open_catalogue
from indexer.store.session import IndexSession, OneEncoder
from mappings.errors import CatalogueError
from plugin_api.cli import attune
from reranker.model import Model, load_model
from tests.fakes.memory_opensearch import MemoryCluster, open_memory
from tests.fakes.mug_jobs import NO_RETRY, T0

MAP = FieldMap("sku", title=("name", "size"), price=("cents",), price_scale=0.01, attributes=("color",))
"""Not what anyone would guess of HEADER."""

HEADER = "sku,name,size,title,cents,color"
MUGS = [f"{number},Mug,{number} l,Cup,950,blue" for number in range(6)]


@pytest.fixture(scope="module")
def model() -> Model:
    return load_model(None, 1)


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> MemoryCluster:
    client, connection = open_memory()
    monkeypatch.setattr("plugin_api.commands.index.session.connect", lambda _: client)
    return client, connection


@pytest.fixture
def indexed(cluster: MemoryCluster, tmp_path: Path, model: Model) -> Callable[[Path, FieldMap, bool], None]:
    def indexed(path: Path, field_map: FieldMap, simplified: bool = False) -> None:
        source = CatalogueSource(open_catalogue(path), field_map, simplified)
        session = IndexSession(cluster[0], "mugs", OneEncoder(model), retry=NO_RETRY)
        rebuild_index(session, source, tmp_path / "rejects.jsonl")

    return indexed


@pytest.fixture
def mugs(tmp_path: Path, indexed: Callable[[Path, FieldMap], None]) -> Path:
    """The catalogue that the index `mugs` was made of, by MAP."""
    path = catalogue(tmp_path, HEADER, *MUGS)
    indexed(path, MAP)
    return path


def catalogue(folder: Path, *lines: str, moment_ms: int = T0) -> Path:
    path = folder / "mugs.csv"
    path.write_text("".join(f"{line}\n" for line in lines))
    os.utime(path, ns=(moment_ms * 1_000_000,) * 2)
    return path


def run(*arguments: str | Path) -> Result:
    command = ["index", *map(str, arguments), "--alias", "mugs"]
    return CliRunner().invoke(attune, command, catch_exceptions=False)


def test_a_catalogue_is_compared_by_the_map_of_the_index(mugs: Path) -> None:
    verified = run(mugs, "--verify")
    assert (verified.exit_code, "Catalogue and index are equal." in verified.stdout) == (0, True)
    assert "guessed" not in verified.stdout


def test_a_map_of_the_option_goes_first(mugs: Path, tmp_path: Path) -> None:
    (tmp_path / "map.toml").write_text('id = "sku"\ntitle = "title"')
    verified = run(mugs, "--verify", "--fields", tmp_path / "map.toml", "--json")
    found = json.loads(verified.stdout)
    assert (verified.exit_code, found["fields"]) == (1, 6)
    assert found["examples"][0]["what"] == "attributes, facets, price, title"


@pytest.mark.parametrize("mode", ["--full", "--verify"])
def test_a_dry_run_guesses_as_a_rebuild_does(mugs: Path, mode: str) -> None:
    told = run(mugs, mode, "--dry-run")
    assert told.exit_code == 0
    assert 'Field map guessed from the columns (correct it by --fields):\n  id = "sku"\n' in told.stdout
    assert "A rebuild would add 0, change 6 and drop 0 products" in told.stdout


def test_an_index_without_a_noted_map_is_compared_by_a_guess(mugs: Path, cluster: MemoryCluster) -> None:
    (index,) = cluster[1].aliases["mugs"]
    del cluster[1].indexes[index].body["mappings"]["_meta"]["attune"]["fields"]
    verified = run(mugs, "--verify")
    assert (verified.exit_code, "Field map guessed" in verified.stdout) == (1, True)


@pytest.mark.parametrize("header", ["sku,size,title,cents,color", "id,size,title,amount,color", ""])
def test_a_catalogue_without_the_columns_of_the_index_is_told_which(
    mugs: Path, tmp_path: Path, header: str
) -> None:
    path = catalogue(tmp_path, *filter(None, [header]))
    missing = ", ".join(sorted({"sku", "name", "size", "cents"} - set(header.split(","))))
    with pytest.raises(CatalogueError, match=rf"has no column {missing}, which index mugs-\d+ was made by"):
        run(path, "--verify")


def test_attributes_may_come_and_go(mugs: Path, tmp_path: Path) -> None:
    rows = [line.rpartition(",")[0] for line in (HEADER, *MUGS)]
    verified = run(catalogue(tmp_path, *rows), "--verify", "--json")
    found = json.loads(verified.stdout)
    assert (verified.exit_code, found["fields"]) == (1, 6)
    assert found["examples"][0]["what"] == "attributes, facets"


def test_a_catalogue_without_versions_is_as_new_as_its_file(
    tmp_path: Path, indexed: Callable[[Path, FieldMap], None]
) -> None:
    path = catalogue(tmp_path, "id,title,at", f"1,Mug,{T0}", f"2,Jug,{T0}")
    indexed(path, FieldMap("id", title=("title",), version="at"))
    (tmp_path / "changes.jsonl").write_text(f'{{"id": "3", "title": "Cup", "at": {T0 + 2000}}}\n')
    assert run(tmp_path / "changes.jsonl", "--changes").exit_code == 0
    assert run(path, "--verify").exit_code == 0
    for moment_ms, status in ((T0 + 1000, 0), (T0 + 3000, 1)):
        unversioned = catalogue(tmp_path, "id,title", "1,Mug", "2,Jug", moment_ms=moment_ms)
        verified = run(unversioned, "--verify", "--json")
        assert (verified.exit_code, json.loads(verified.stdout)["extra"]) == (status, status)


def test_what_was_simplified_is_compared_simplified(
    tmp_path: Path,
    indexed: Callable[[Path, FieldMap, bool], None],
    cluster: MemoryCluster,
) -> None:
    path = catalogue(tmp_path, "id,title", "1,藍牙鍵盤")
    indexed(path, FieldMap("id", title=("title",)), True)
    (index,) = cluster[1].aliases["mugs"]
    assert cluster[1].indexes[index].documents["1"]["title"] == "蓝牙键盘"
    assert run(path, "--verify").exit_code == 0


def test_changes_without_the_id_of_the_index_fail_and_those_behind_go_on(mugs: Path, tmp_path: Path) -> None:
    folder = tmp_path / "changes"
    folder.mkdir()
    (folder / "a.csv").write_text("id,cents\n1,990\n")
    (folder / "b.jsonl").write_text("")
    (folder / "c.jsonl").write_text('{"sku": "1", "_op": "update", "cents": 990}\n')
    with pytest.raises(CatalogueError, match=r"a.csv has no column sku, which index mugs-\d+ was made by"):
        run(folder / "a.csv", "--changes")
    applied = run(folder, "--changes", "--json", "--rejects", tmp_path / "rejects.jsonl")
    report = json.loads(applied.stdout)
    assert (applied.exit_code, report["streams"], report["updated"]) == (0, 2, 1)
    assert sorted(path.name for path in (folder / "done").iterdir()) == ["b.jsonl", "c.jsonl"]
    assert "has no column sku" in (folder / "failed" / "a.csv.reason.txt").read_text()
