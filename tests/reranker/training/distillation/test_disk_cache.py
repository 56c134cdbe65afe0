from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from reranker.training.distillation import disk_cache as kept
from reranker.training.distillation.disk_cache import cache_states

IDS = [[1] * n for n in (5, 2, 9, 1, 4, 7, 3)]
DIMENSION = 6


class Teacher:
    """A text's states are its row number; notes which it was asked for."""

    def __init__(self) -> None:
        self.asked: list[int] = []

    def __call__(self, rows: Sequence[int]) -> list[NDArray[np.float16]]:
        self.asked += rows
        return [np.full((len(IDS[row]), DIMENSION), row, np.float16) for row in rows]


def quiet(done: int, total: int) -> None:
    assert 0 < done <= total


@pytest.mark.parametrize("torn", [0, 1, 100, 250, 10_000])
def test_what_a_stopped_run_left_is_taken_over_whole_parts_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, torn: int
) -> None:
    monkeypatch.setattr(kept, "PART", 2)
    file = tmp_path / "states"
    first = Teacher()
    cache_states(first, IDS, DIMENSION, file, quiet)
    assert sorted(first.asked) == list(range(len(IDS)))
    whole = file.read_bytes()
    file.write_bytes(whole[:torn])
    again = Teacher()
    found = cache_states(again, IDS, DIMENSION, file, quiet)
    assert file.read_bytes() == whole
    assert len(again.asked) < len(IDS) if torn >= 100 else len(again.asked) == len(IDS)
    for row, states in enumerate(found.states):
        assert states.shape == (len(IDS[row]), DIMENSION)
        assert (states == row).all()
