from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from mappings.types import Product
from reranker.encoders.codec import normalise
from reranker.encoders.onnx_tower import Tower
from reranker.encoders.product_encoder import tokenise_products
from reranker.text.product_text import build_product_text
from reranker.training.distillation.product_distillation import Distillation, distil_tower
from reranker.training.distillation.teacher import (
    QueryStates,
    TeacherStates,
    compute_query_states,
    compute_teacher_states,
)
from reranker.training.encoders.bert import Bert
from reranker.training.encoders.export import export_product_tower, export_query_tower
from reranker.training.encoders.gpt2 import ProductTower, mean_pool
from reranker.training.encoders.initialisation import build_tower_from_bert
from reranker.training.recipe import DistillationConfig


def quiet(done: int, total: int) -> None:
    assert 0 < done <= total


@pytest.fixture(scope="module")
def bert(tiny_bert: Path) -> Bert:
    return Bert(tiny_bert)


@pytest.fixture(scope="module")
def teacher(bert: Bert, products: list[Product]) -> TeacherStates:
    rows = tokenise_products(bert.tokenizer, [build_product_text(p) for p in products], 32)
    return compute_teacher_states(bert, [row.ids for row in rows], quiet)


def cosine(tower: ProductTower, teacher: TeacherStates) -> float:
    found = []
    for ids, states in zip(teacher.ids, teacher.states, strict=True):
        with torch.inference_mode():
            ours = mean_pool(tower(torch.from_numpy(ids)[None]), torch.tensor([len(ids)]))[0].numpy()
        theirs = states.astype(np.float32).mean(0)
        found.append(float(ours @ theirs / np.linalg.norm(theirs)))
    return float(np.mean(found))


def test_teacher_states_come_back_in_order(bert: Bert, teacher: TeacherStates) -> None:
    for i in (0, 30, 71):
        alone, _ = bert.states([teacher.ids[i]])
        assert np.allclose(alone[0].numpy(), teacher.states[i].astype(np.float32), atol=0.05)


def test_distillation_brings_the_tower_to_its_teacher(bert: Bert, teacher: TeacherStates) -> None:
    tower = build_tower_from_bert(bert, (0, 1), 32)
    before = cosine(tower, teacher)
    frozen = tower.transformer.wte.weight.clone()
    config = DistillationConfig(steps=60, batch=16, warmup=5, learning_rate=3e-3)
    distil_tower(tower, teacher, np.ones(len(teacher.ids)), config, quiet)
    after = cosine(tower, teacher)
    assert after > max(before, 0.9)
    assert torch.equal(frozen, tower.transformer.wte.weight)


def test_distillation_is_seeded(bert: Bert, teacher: TeacherStates) -> None:
    config = DistillationConfig(steps=3, batch=4)
    first, second = (
        distil_tower(build_tower_from_bert(bert, (1,), 32), teacher, np.ones(len(teacher.ids)), config, quiet)
        for _ in range(2)
    )
    assert torch.equal(first.head.weight, second.head.weight)


def test_queries_draw_neighbourhoods_and_teach_how_they_rank(
    bert: Bert, teacher: TeacherStates, products: list[Product]
) -> None:
    queries = [(f"{p.brand} {p.category}", row) for row, p in enumerate(products)]
    asked = compute_query_states(bert, queries, 16)

    def rank_error(tower: ProductTower) -> float:
        theirs = np.stack([s.astype(np.float32).mean(0) for s in teacher.states])
        with torch.inference_mode():
            ours = np.stack([tower(torch.from_numpy(ids)[None])[0].mean(0).numpy() for ids in teacher.ids])
        off = asked.pooled @ (normalise(ours) - normalise(theirs)).T
        return float((off - off.mean(1, keepdims=True)).std())

    def run(config: DistillationConfig, of: QueryStates | None) -> ProductTower:
        work = Distillation(
            build_tower_from_bert(bert, (0, 1), 32),
            teacher,
            np.ones(len(teacher.ids)),
            config,
            torch.device("cpu"),
            of,
        )
        while work.step < work.steps:
            work.advance()
        return work.finished()

    config = DistillationConfig(
        steps=50,
        batch=16,
        warmup=5,
        learning_rate=2e-3,
        neighbour_pool=40,
        rank_weight=1.0,
        token_rank_weight=0.5,
    )
    taught, unasked = run(config, asked), run(replace(config, rank_weight=0.0, token_rank_weight=0.0), asked)
    assert (
        rank_error(taught) < rank_error(unasked) < rank_error(build_tower_from_bert(bert, (0, 1), 32).eval())
    )
    assert torch.equal(taught.head.weight, run(config, asked).head.weight)


def test_exported_towers_say_what_torch_says(bert: Bert, teacher: TeacherStates, tmp_path: Path) -> None:
    tower = build_tower_from_bert(bert, (0, 1), 32).eval()
    export_product_tower(tower, tmp_path / "product.onnx")
    export_query_tower(bert, tmp_path / "query.onnx")
    ids = np.zeros((2, 9), dtype=np.int64)
    lengths = np.array([9, 5])
    ids[0], ids[1, :5] = teacher.ids[0][:9], teacher.ids[1][:5]
    with torch.inference_mode():
        expected = tower(torch.from_numpy(ids)).numpy()
        for_query, _ = bert.states([ids[0], ids[1, :5]])
    for name, wanted in (("product.onnx", expected), ("query.onnx", for_query.numpy())):
        found = Tower(tmp_path / name, 1).states(ids, lengths)
        for row, length in enumerate(lengths):
            a, b = found[row, :length].ravel(), wanted[row, :length].ravel()
            assert a @ b / np.linalg.norm(a) / np.linalg.norm(b) > 0.98
