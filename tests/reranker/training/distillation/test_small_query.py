from dataclasses import replace
from pathlib import Path

import pytest
import torch

from mappings.errors import ModelError
from reranker.training.distillation.small_query import reduce_query_encoder
from reranker.training.encoders.bert import Bert
from reranker.training.recipe import DistillationConfig, SmallQueryConfig

QUERIES = [f"{colour} {noun}" for colour in ("red", "blue", "black") for noun in ("mouse", "toner", "laptop")]
NONE = DistillationConfig(steps=0)
CONFIG = SmallQueryConfig(1, 16, DistillationConfig(steps=60, batch=8, learning_rate=3e-3, warmup=5))


@pytest.fixture(scope="module")
def bert(tiny_bert: Path) -> Bert:
    return Bert(tiny_bert)


def agreement(small: Bert, bert: Bert) -> float:
    ids = bert.token_ids(QUERIES, 16)
    ours, lengths = small.states(ids)
    theirs, _ = bert.states(ids)
    inside = torch.arange(ours.shape[1]) < lengths[:, None]
    return float(torch.nn.functional.cosine_similarity(ours[inside], theirs[inside], dim=-1).mean())


def test_fewer_layers_learn_to_say_the_same_of_queries(bert: Bert) -> None:
    untrained = reduce_query_encoder(bert, QUERIES, replace(CONFIG, distil=NONE), lambda *_: None)
    seen: list[tuple[int, int]] = []
    small = reduce_query_encoder(bert, QUERIES, CONFIG, lambda *at: seen.append(at))
    assert len(small.network.encoder.layer) == 1
    assert len(bert.network.encoder.layer) == 2  # the whole encoder stays whole
    assert agreement(untrained, bert) < 0.6
    assert agreement(small, bert) > 0.9
    assert seen[-1] == (60, 60)
    assert not any(p.requires_grad for p in small.network.parameters())
    torch.testing.assert_close(small.word_embeddings, bert.word_embeddings)


def test_padding_changes_nothing(bert: Bert) -> None:
    small = reduce_query_encoder(bert, QUERIES, replace(CONFIG, distil=NONE), lambda *_: None)
    long, short = bert.token_ids(["acme black toner 3 cable", "mouse"], 16)
    together, _ = small.states([long, short])
    alone, _ = small.states([short])
    torch.testing.assert_close(together[1, : len(short)], alone[0], atol=0.05, rtol=0.05)


@pytest.mark.parametrize("layers", [0, 3])
def test_layers_that_are_not_there_are_refused(bert: Bert, layers: int) -> None:
    with pytest.raises(ModelError, match=f"has 2 layers, not {layers}"):
        reduce_query_encoder(bert, QUERIES, replace(CONFIG, layers=layers), lambda *_: None)
