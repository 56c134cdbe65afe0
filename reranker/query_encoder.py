"""The query side: text → BERT token states → one k-NN vector and projected token vectors."""

import numpy as np
from tokenizers import Tokenizer

from reranker.onnx import Tower
from reranker.stored import unit
from reranker.types import EncodedQuery, Floats
from reranker.words import words


def encode_query(
    text: str, tokenizer: Tokenizer, tower: Tower, projection: Floats, most: int
) -> EncodedQuery:
    """Encode one query of at most `most` tokens, the two markers included; the rest is not read.

    The vector is the mean of all token states, as all-MiniLM-L6-v2 was trained; the markers [CLS] and [SEP]
    have no token vector, since they match anything.
    """
    ids = tokenizer.encode(text).ids
    if len(ids) > most:
        ids = [*ids[: most - 1], ids[-1]]
    states = tower.states(np.array([ids], dtype=np.int64), np.array([len(ids)]))[0]  # (Lq, d)
    inner = states[1:-1] if len(states) > 2 else states
    return EncodedQuery(text, unit(states.mean(0)), unit(inner @ projection), words(text))
