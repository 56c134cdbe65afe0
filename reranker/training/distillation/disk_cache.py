"""A disk cache of the long stages' results, written in parts: a stopped run continues with the next part.

The teacher's states of 20,000 products are about 1 GB: they are read from the file as they are needed.
"""

from collections.abc import Callable, Sequence
from itertools import accumulate
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mappings.types import Product
from reranker.model import Model
from reranker.training.distillation.teacher import TeacherStates
from reranker.training.run.files import write_atomically
from reranker.training.run.progress import ReportProgress
from reranker.types import EncodedProduct

PART = 512
"""Texts or products a part: seconds of work on 2 cores."""


def cache_states(
    read: Callable[[Sequence[int]], Sequence[NDArray[np.float16]]],
    ids: Sequence[Sequence[int]],
    dimension: int,
    file: Path,
    progress: ReportProgress,
) -> TeacherStates:
    """Return the teacher's states (T, d) of every text, kept in `file`.

    `read` returns those of the texts whose rows it is given, as many states a text as it has `ids`. The file
    holds them by length, shortest text first; what a stopped run left of it is taken over.
    """
    order = sorted(range(len(ids)), key=lambda i: len(ids[i]))
    ends = list(accumulate(len(ids[i]) for i in order))  # in states
    row_bytes = 2 * dimension
    with file.open("ab") as out:
        whole_parts = int(np.searchsorted(ends, out.tell() // row_bytes, side="right"))
        done = whole_parts if whole_parts == len(order) else whole_parts // PART * PART
        out.truncate((ends[done - 1] if done else 0) * row_bytes)
        for start in range(done, len(order), PART):
            for states in read(order[start : start + PART]):
                out.write(states.astype(np.float16).tobytes())
            out.flush()
            progress(min(start + PART, len(order)), len(order))
    everything = np.asarray(np.memmap(file, np.float16, "r", shape=(ends[-1], dimension)))
    states_of: list[NDArray[np.float16]] = [everything[:0]] * len(ids)
    for i, end in zip(order, ends, strict=True):
        states_of[i] = everything[end - len(ids[i]) : end]
    return TeacherStates([np.array(i, dtype=np.int64) for i in ids], states_of)


def cache_encodings(
    model: Model, products: Sequence[Product], folder: Path, progress: ReportProgress
) -> list[EncodedProduct]:
    """Return the products as `model` encodes them, in the order given, kept in `folder`."""
    folder.mkdir(exist_ok=True)
    encoded: list[EncodedProduct] = []
    for start in range(0, len(products), PART):
        part = folder / f"{start:09d}.npz"
        if not part.is_file():
            _write(part, model.encode_products(products[start : start + PART]))
        encoded += _read(part)
        progress(len(encoded), len(products))
    return encoded


def _write(path: Path, encoded: Sequence[EncodedProduct]) -> None:
    with write_atomically(path) as unfinished, unfinished.open("wb") as out:
        np.savez(
            out,
            vectors=np.stack([e.vector for e in encoded]),
            stored=np.frombuffer(b"".join(e.stored for e in encoded), dtype=np.uint8),
            ends=np.cumsum([len(e.stored) for e in encoded]),
        )


def _read(path: Path) -> list[EncodedProduct]:
    with np.load(path, allow_pickle=False) as arrays:
        vectors, stored, ends = arrays["vectors"], arrays["stored"].tobytes(), arrays["ends"].tolist()
    return [
        EncodedProduct(vector, stored[start:end])
        for vector, start, end in zip(vectors, [0, *ends[:-1]], ends, strict=True)
    ]
