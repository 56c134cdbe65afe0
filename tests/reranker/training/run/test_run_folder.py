from contextlib import suppress
from pathlib import Path

import pytest

from mappings.errors import ModelError
from reranker.training.run.files import write_atomically
from reranker.training.run.run_folder import _RUN, locate_partial_work, open_run

THIS = {"seed": 7, "catalogue": "abc"}


def test_a_second_process_is_kept_out(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    with (
        open_run(folder, THIS, fresh=False, replace=False),
        pytest.raises(ModelError, match="another process is at"),
        open_run(folder, THIS, fresh=False, replace=False),
    ):
        pass


def test_what_was_decided_and_how_long_it_took_outlive_the_process(tmp_path: Path) -> None:
    with open_run(tmp_path / "m", THIS, False, False) as run:
        run.decide("steps", 12)
    with open_run(tmp_path / "m", THIS, False, False) as run:
        assert run.resumed
        assert run.decide("steps", 99) == 12
        assert run.seconds > 0


def test_finishing_gives_the_folder_its_name_and_leaves_nothing_else(tmp_path: Path) -> None:
    for text, replace in (("one", False), ("two", True)):
        with open_run(tmp_path / "m", {**THIS, "text": text}, fresh=False, replace=replace) as run:
            (run.work / "made").mkdir()
            (run.work / "made" / "file").write_text(text)
            run.finish(run.work / "made")
        assert (tmp_path / "m" / "file").read_text() == text
        assert [path.name for path in tmp_path.iterdir()] == ["m"]


def test_a_damaged_run_says_what_to_do(tmp_path: Path) -> None:
    work = locate_partial_work(tmp_path / "m")
    work.mkdir()
    (work / _RUN).write_text("{")
    with pytest.raises(ModelError, match="--fresh"), open_run(tmp_path / "m", THIS, False, False):
        pass
    with open_run(tmp_path / "m", THIS, fresh=True, replace=False) as run:
        assert not run.resumed


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(ModelError, match="can't write"),
        open_run(tmp_path / "file" / "m", THIS, False, False),
    ):
        pass


def test_a_file_is_complete_or_absent(tmp_path: Path) -> None:
    with suppress(RuntimeError), write_atomically(tmp_path / "a") as unfinished:
        unfinished.write_text("half")
        raise RuntimeError
    assert not (tmp_path / "a").exists()
    with write_atomically(tmp_path / "a") as unfinished:
        unfinished.write_text("whole")
    assert (tmp_path / "a").read_text() == "whole"
    assert not unfinished.exists()
