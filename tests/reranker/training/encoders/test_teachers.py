from pathlib import Path

import numpy as np

from reranker.training.encoders.bert import Bert
from reranker.training.encoders.teachers import TeacherReader
from reranker.training.plan import Teacher

TEXTS = ["red mouse", "a", "wireless keyboard with red keys"]


def read_states(folder: Path, text: str) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    bert = Bert(folder)
    states = bert.states(bert.token_ids([text], 99))[0][0].numpy()
    return np.asarray(states / np.linalg.norm(states, axis=1, keepdims=True), np.float32)


def test_a_teacher_reads_its_prefix_and_its_tokens_leave_it_out(tiny_bert: Path) -> None:
    reader = TeacherReader(Teacher("e5", lambda _: tiny_bert, "red ", "keyboard "), Bert(tiny_bert))
    prefix = Bert(tiny_bert).tokenizer.encode("red ", add_special_tokens=False).ids
    read = reader.read_queries(TEXTS, 50)
    for text, tokens in zip(TEXTS, read.tokens, strict=True):
        states = read_states(tiny_bert, f"red {text}")
        assert np.allclose(tokens, states[1 + len(prefix) : -1], atol=0.02)
    assert not np.allclose(read.pooled, reader.read_products(TEXTS, 50).pooled, atol=0.02)


def test_a_prefix_takes_no_room_from_the_text(tiny_bert: Path) -> None:
    plain, prefixed = (
        TeacherReader(Teacher("any", lambda _: tiny_bert, prefix), Bert(tiny_bert)).read_queries(TEXTS, 5)
        for prefix in ("", "red keyboard ")
    )
    assert [len(each) for each in plain.tokens] == [len(each) for each in prefixed.tokens]
