from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import BertConfig, BertModel

from mappings.types import Product
from reranker.encoders.codec import normalise
from reranker.training.distillation.query_distillation import (
    QueryDistillationData,
    distil_query_encoder,
    draw_distillation_data,
)
from reranker.training.encoders.bert import Bert
from reranker.training.encoders.teachers import TeacherReader
from reranker.training.plan import Teacher
from reranker.training.recipe import QueryDistillationConfig
from reranker.types import Floats

CONFIG = QueryDistillationConfig(
    steps=80,
    learning_rate=1e-3,
    warmup=4,
    clusters=3,
    neighbours=3,
    random_negatives=2,
    queries=12,
    nearest=6,
    token_width=16,
)


@pytest.fixture(scope="module")
def other_bert(tiny_bert: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Another encoder with the same tokenizer, of another width."""
    folder = tmp_path_factory.mktemp("other")
    (folder / "tokenizer.json").write_bytes((tiny_bert / "tokenizer.json").read_bytes())
    torch.manual_seed(5)
    config = BertConfig.from_pretrained(
        tiny_bert, hidden_size=48, intermediate_size=96, num_attention_heads=4
    )
    BertModel(config).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def data(products: list[Product]) -> QueryDistillationData:
    pairs = [(f"{p.brand} {p.category}", p) for p in products[:10]]
    return draw_distillation_data([(products[10:], 40, 60, 0.6)], pairs, 0.4, 7)


def make_reader(folder: Path) -> TeacherReader:
    return TeacherReader(Teacher(folder.name, lambda _: folder), Bert(folder))


def cosines(bert: Bert, data: QueryDistillationData) -> Floats:
    """Of every query with every product (Q, P)."""

    def pooled(texts: list[str]) -> Floats:
        return normalise(
            np.stack([bert.states([ids])[0][0].numpy().mean(0) for ids in bert.token_ids(texts, 40)])
        )

    return pooled([q for q, _ in data.queries]) @ pooled(list(data.texts)).T


def test_data_is_drawn_by_group(data: QueryDistillationData, products: list[Product]) -> None:
    assert [len(group) for group in data.groups] == [40, 10]
    assert list(data.shares) == [0.6, 0.4]
    assert len(data.texts) == 50
    people = data.queries[-10:]
    assert [row for _, row in people] == list(range(40, 50))
    assert people[0][0] == f"{products[0].brand} {products[0].category}"
    assert all(0 <= row < 50 for _, row in data.queries)


def test_tuning_brings_the_student_to_the_mean_of_its_teachers(
    tiny_bert: Path, other_bert: Path, data: QueryDistillationData
) -> None:
    folders = [other_bert, other_bert, tiny_bert]
    wanted = np.mean([cosines(Bert(folder), data) for folder in folders], axis=0)
    teachers = [make_reader(folder) for folder in folders]
    student = Bert(tiny_bert)
    words = student.word_embeddings.clone()
    before = np.corrcoef(cosines(student, data).ravel(), wanted.ravel())[0, 1]
    made = distil_query_encoder(student, teachers, data, CONFIG, lambda *_: None)
    after = np.corrcoef(cosines(made, data).ravel(), wanted.ravel())[0, 1]
    assert after > before + 0.05
    assert torch.equal(made.word_embeddings, words)
    assert not any(p.requires_grad for p in made.network.parameters())


def test_tuning_is_seeded(tiny_bert: Path, other_bert: Path, data: QueryDistillationData) -> None:
    short = replace(CONFIG, steps=2)
    first, second = (
        distil_query_encoder(Bert(tiny_bert), [make_reader(other_bert)], data, short, lambda *_: None).network
        for _ in range(2)
    )
    for one, two in zip(first.parameters(), second.parameters(), strict=True):
        assert torch.equal(one, two)
