from pathlib import Path

import pytest

from mappings.errors import CatalogueError
from mappings.settings import IndexSettings
from tests.fakes.fake_encoder import FakeEncoder
from tests.fakes.memory_opensearch import MemoryOpenSearch, open_memory
from tests.fakes.mug_jobs import MUGS, T0, rebuild_mugs

MANY = [f"{number},Mug {number},blue" for number in range(100)]
BAD = [f",no id {number},red" for number in range(11)]


def index_of(memory: MemoryOpenSearch) -> str:
    (index,) = memory.aliases["mugs"]
    return index


def test_too_many_rejects_end_a_rebuild_before_the_alias_moves(tmp_path: Path) -> None:
    client, memory = open_memory()
    first = rebuild_mugs(client, tmp_path)
    with pytest.raises(
        CatalogueError, match=r"11 records of .*mugs.csv were rejected, 10% of them all"
    ) as raised:
        rebuild_mugs(client, tmp_path, [*MANY, *BAD], T0 + 1)
    assert "line 102: no id" in str(raised.value)
    assert "index.max_rejected_share" in str(raised.value)
    assert index_of(memory) == first.index
    assert len((tmp_path / "rejects.jsonl").read_text().splitlines()) == 11


def test_who_means_it_encodes_nothing_again(tmp_path: Path) -> None:
    client, memory = open_memory()
    with pytest.raises(CatalogueError, match="were rejected"):
        rebuild_mugs(client, tmp_path, [*MANY, *BAD])
    assert not memory.aliases
    encoder = FakeEncoder()
    settings = IndexSettings(batch=4, max_rejected_share=0.1)
    report = rebuild_mugs(client, tmp_path, [*MANY, *BAD], encoder=encoder, settings=settings)
    assert (report.resumed, report.indexed, report.rejected, encoder.batches) == (True, 100, 11, [])


def test_a_few_rejects_never_end_a_rebuild(tmp_path: Path) -> None:
    client, _ = open_memory()
    report = rebuild_mugs(client, tmp_path, [*MUGS[:5], *BAD[:10]])
    assert (report.indexed, report.rejected) == (5, 10)


def test_a_field_that_can_no_longer_be_read_ends_a_rebuild(tmp_path: Path) -> None:
    client, memory = open_memory()

    def rebuild(unreadable: int, moment_ms: int, **settings: float) -> str:
        cells = ["nine fifty"] * unreadable + ["9.50"] * (100 - unreadable)
        lines = [f"{number},Mug {number},{cell}" for number, cell in enumerate(cells)]
        return rebuild_mugs(
            client, tmp_path, lines, moment_ms, settings=IndexSettings(**settings), header="id,title,price"
        ).index

    first = rebuild(20, T0)
    assert memory.indexes[first].body["mappings"]["_meta"]["attune"]["unreadable"] == {"price": 20}
    second = rebuild(24, T0 + 1)  # not many more than before
    with pytest.raises(CatalogueError, match=r"price could not be read in 60% .*, and in 24% for") as raised:
        rebuild(60, T0 + 2)
    assert "nine fifty" in str(raised.value)
    assert "index.max_unreadable_share" in str(raised.value)
    assert index_of(memory) == second
    third = rebuild(60, T0 + 2, max_unreadable_share=1.0)
    assert index_of(memory) == third
