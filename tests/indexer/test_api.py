"""The Python API: its names, and the examples in the docstrings of its jobs."""

import doctest
import re
from pathlib import Path
from typing import Any

import pytest

import indexer
from reranker.model import load_model
from tests.fakes.memory_opensearch import open_memory

README = Path(__file__).parents[2] / "indexer" / "README.md"
CATALOGUE = "id,title,price\n1,Blue mug,9.5\n2,Red mug,8\n"
CHANGES = '{"id": "1", "_op": "update", "price": 7}\n{"id": "2", "_op": "delete"}\n'


@pytest.fixture
def names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the examples use: the API, a client, a folder with a catalogue and changes, a rebuilt index."""
    monkeypatch.chdir(tmp_path)
    Path("mugs.csv").write_text(CATALOGUE)
    client, _ = open_memory()
    names = {name: getattr(indexer, name) for name in indexer.__all__}
    return {**names, "client": client, "load_model": load_model, "Path": Path}


@pytest.mark.parametrize("job", [["rebuild_index"], ["verify_index"], ["apply_changes"], ["roll_back"]])
def test_the_examples_of_the_jobs_work(names: dict[str, Any], job: list[str]) -> None:
    run_example(names, "rebuild_index")
    Path("prices.jsonl").write_text(CHANGES)
    if job == ["roll_back"]:
        Path("mugs.csv").write_text(CATALOGUE + "3,Green mug,7\n")
        session = names["IndexSession"](names["client"], "shop", names["OneEncoder"](load_model(None)))
        catalogue = indexer.open_catalogue(Path("mugs.csv"))
        source = indexer.CatalogueSource(catalogue, indexer.guess_field_map(catalogue))
        assert indexer.rebuild_index(session, source, Path("rejects.jsonl")).indexed == 3
    if job != ["rebuild_index"]:
        run_example(names, *job)


def run_example(names: dict[str, Any], job: str) -> None:
    (example,) = doctest.DocTestFinder(recurse=False).find(names[job], job, globs=names)
    assert example.examples
    result = doctest.DocTestRunner().run(example)
    assert (result.failed, result.attempted) == (0, len(example.examples))


def test_the_example_of_the_readme_works(names: dict[str, Any]) -> None:
    Path("products.csv").write_text(CATALOGUE)
    (example,) = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    defined: dict[str, Any] = {"client": names["client"]}
    exec(example, defined)
    assert defined["report"].indexed == 2


def test_every_name_is_there_and_no_other() -> None:
    assert sorted(indexer._MODULES) == sorted(indexer.__all__)
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        indexer.nothing  # noqa: B018
