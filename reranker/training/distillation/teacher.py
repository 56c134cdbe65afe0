"""What the product tower learns from: the BERT teacher's token states of every product text.

Where the product tower has a tokenizer of its own, the teacher's states are carried over to its tokens by
where both stand in the text.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from reranker.encoders.codec import normalise
from reranker.encoders.product_encoder import TokenRow, tokenise_products
from reranker.text.product_text import ProductText
from reranker.training.encoders.bert import Encoder
from reranker.training.run.progress import ReportProgress
from reranker.types import Floats


@dataclass(frozen=True)
class TeacherStates:
    """The teacher's token states of every text, computed once: ragged, float16."""

    ids: list[NDArray[np.int64]]
    states: list[NDArray[np.float16]]  # each (T, d)


def compute_teacher_states(
    bert: Encoder, ids: Sequence[Sequence[int]], progress: ReportProgress
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


@dataclass(frozen=True)
class QueryStates:
    """Made queries as the teacher reads them; `rows` (Q,) says of which text each was made."""

    pooled: Floats  # (Q, d) unit rows
    tokens: list[NDArray[np.float16]]  # each (L, d), unit rows, markers left out
    rows: NDArray[np.int64]


def compute_query_states(bert: Encoder, queries: Sequence[tuple[str, int]], most: int) -> QueryStates:
    """Run the teacher over (query, row of its text) pairs, at most `most` tokens each."""
    read = compute_teacher_states(
        bert, bert.token_ids([text for text, _ in queries], most), lambda *_: None
    ).states
    first = max(1, len(bert.tokenizer.encode("").ids) - 1)  # markers before the text; one closes it
    inner = [states[first:-1] if len(states) > first + 1 else states for states in read]
    return QueryStates(
        normalise(np.stack([states.astype(np.float32).mean(0) for states in read])),
        [normalise(states.astype(np.float32)).astype(np.float16) for states in inner],
        np.array([row for _, row in queries]),
    )


@dataclass(frozen=True, slots=True)
class Reading:
    """One text as the teacher reads it and as the product tower does: the same row where they read alike."""

    teacher: TokenRow
    product: TokenRow

    def head(self) -> "Reading":
        """Return the reading without the attended text."""
        head = self.product.head()
        return Reading(head if self.teacher is self.product else self.teacher.head(), head)


def tokenise_readings(
    bert: Encoder, tokenizer: Tokenizer, texts: Sequence[ProductText], most: int
) -> list[Reading]:
    """Tokenise texts for the teacher and, by `tokenizer`, for the product tower: at most `most` tokens each.

    A teacher with another tokenizer may take twice as many tokens for the same text.
    """
    rows = tokenise_products(tokenizer, texts, most)
    if tokenizer.to_str() == bert.product_tokenizer.to_str():
        return [Reading(row, row) for row in rows]
    own = tokenise_products(bert.product_tokenizer, texts, min(2 * most, bert.most_tokens))
    return [Reading(*both) for both in zip(own, rows, strict=True)]


def compute_product_states(
    bert: Encoder, texts: Sequence[Reading], progress: ReportProgress
) -> TeacherStates:
    """Run the teacher over texts; return its states token by token of the product tower's."""
    own_states = compute_teacher_states(bert, [text.teacher.ids for text in texts], progress)
    states = [
        own if text.teacher is text.product else align_states(own, text.teacher, text.product)
        for own, text in zip(own_states.states, texts, strict=True)
    ]
    return TeacherStates([np.array(text.product.ids, dtype=np.int64) for text in texts], states)


def align_states(states: NDArray[np.float16], own: TokenRow, other: TokenRow) -> NDArray[np.float16]:
    """Carry a tower's token states (T, d) over to another tokenizer's tokens of the same text (U, d).

    Each token gets the mean of the states that overlap it; markers and what nothing overlaps, such as a
    separate white space, get the nearest one that does not begin later.
    """
    here, there = np.array(own.spans), np.array(other.spans)  # (T, 2), (U, 2)
    begin = np.maximum(there[:, None, 0], here[None, :, 0])
    end = np.minimum(there[:, None, 1], here[None, :, 1])
    weights = (end > begin).astype(np.float32)  # (U, T)
    alone = np.flatnonzero(weights.sum(1) == 0)
    behind = there[alone, None, 0] - here[None, :, 0]
    weights[alone, np.where(behind < 0, np.iinfo(np.int64).max, behind).argmin(1)] = 1.0
    result: Floats = weights / weights.sum(1, keepdims=True) @ states.astype(np.float32)
    return result.astype(np.float16)
