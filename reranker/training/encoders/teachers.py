"""The encoders that the query encoder is distilled from, and how each was trained to read."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from reranker.encoders.codec import normalise
from reranker.training.encoders.bert import Encoder
from reranker.training.plan import Teacher
from reranker.types import Floats

_BATCH = 64


@dataclass(frozen=True)
class ReadTexts:
    """What a teacher makes of n texts: unit vectors (n, d), and the states of each text's tokens (T, w)."""

    pooled: Floats
    tokens: list[NDArray[np.float16]]


class TeacherReader:
    """Reads texts as a teacher does. Markers and prefixes are part of a text's vector, not of its tokens."""

    def __init__(self, teacher: Teacher, encoder: Encoder) -> None:
        self._teacher, self._bert = teacher, encoder

    def read_products(self, texts: Sequence[str], most: int, projection: Floats | None = None) -> ReadTexts:
        """Read at most `most` tokens of each product text; `projection` (d, w) narrows the token states."""
        return self._read(texts, self._teacher.product_prefix, most, projection)

    def read_queries(self, texts: Sequence[str], most: int, projection: Floats | None = None) -> ReadTexts:
        """Read at most `most` tokens of each query; `projection` (d, w) narrows the token states."""
        return self._read(texts, self._teacher.query_prefix, most, projection)

    def _read(self, texts: Sequence[str], prefix: str, most: int, projection: Floats | None) -> ReadTexts:
        bert = self._bert
        first = 1 + len(bert.tokenizer.encode(prefix, add_special_tokens=False).ids)
        ids = bert.token_ids([prefix + text for text in texts], most + first - 1)
        pooled = np.zeros((len(texts), bert.dimension), np.float32)
        tokens: list[NDArray[np.float16]] = [np.empty((0, 0), np.float16)] * len(texts)
        order = sorted(range(len(ids)), key=lambda i: len(ids[i]))
        for start in range(0, len(order), _BATCH):
            rows = order[start : start + _BATCH]
            states = bert.states([ids[i] for i in rows])[0].float().numpy()
            for row, i in enumerate(rows):
                own = states[row, : len(ids[i])]
                pooled[i] = normalise(own.mean(0))
                inner = normalise(own[first:-1] if len(own) > first + 1 else own[:1])
                tokens[i] = (inner if projection is None else inner @ projection).astype(np.float16)
        return ReadTexts(pooled, tokens)
