"""What the product tower learns from: the BERT teacher's token states of every product text."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from reranker.training.bert import Bert


@dataclass(frozen=True)
class TeacherStates:
    """The teacher's token states of every text, computed once: ragged, float16."""

    ids: list[NDArray[np.int64]]
    states: list[NDArray[np.float16]]  # each (T, d)


def teacher_states(
    bert: Bert, ids: Sequence[Sequence[int]], progress: Callable[[int, int], None]
) -> TeacherStates:
    """Run the teacher over token ids, like lengths together; results in the order given."""
    order = sorted(range(len(ids)), key=lambda i: len(ids[i]))
    states: list[NDArray[np.float16]] = [np.empty((0, 0), np.float16)] * len(ids)
    for start in range(0, len(order), 128):
        rows = order[start : start + 128]
        half = bert.states([ids[i] for i in rows])[0].half().numpy()
        for row, i in enumerate(rows):
            states[i] = half[row, : len(ids[i])].copy()
        progress(min(start + 128, len(order)), len(order))
    return TeacherStates([np.array(i, dtype=np.int64) for i in ids], states)
