"""The query side: text → BERT token states → one k-NN vector and projected token vectors."""

import numpy as np
from tokenizers import Tokenizer

from reranker.encoders.codec import normalise
from reranker.encoders.onnx_tower import Tower
from reranker.text.intent import trim_query
from reranker.text.query_type import classify_query
from reranker.text.subword_tokens import measure_pieces, measure_unknown_share, select_tokens
from reranker.text.word_tokens import split_words
from reranker.types import EncodedQuery, Floats


def encode_query(
    text: str, tokenizer: Tokenizer, tower: Tower, projection: Floats, most: int, reads_cjk: bool = False
) -> EncodedQuery:
    """Encode one query of at most `most` tokens, the two markers included; the rest is not read.

    `reads_cjk` tells whether the tokenizer is one of Chinese or Japanese.

    Intent words ("buy", 购买) are left out first. The vector is the mean of all token states, as
    all-MiniLM-L6-v2 was trained; markers such as [CLS] and [SEP] have no token vector, since they match
    anything.
    """
    phrase = trim_query(text)
    encoding = tokenizer.encode(phrase)
    stay = select_tokens(encoding, most) or [0]
    ids = [encoding.ids[i] for i in stay] if encoding.ids else [0]  # no tokens, no markers: still a vector
    marks = [encoding.special_tokens_mask[i] for i in stay] if encoding.ids else [0]
    states = tower.states(np.array([ids], dtype=np.int64), np.array([len(ids)]))[0]  # (Lq, d)
    inner = states if all(marks) else states[np.array(marks) == 0]
    unknown = measure_unknown_share(tokenizer, ids, marks)
    return EncodedQuery(
        text,
        normalise(states.mean(0)),
        normalise(inner @ projection),
        split_words(phrase),
        unknown,
        classify_query(phrase),
        measure_pieces(encoding, phrase, reads_cjk),
    )
