"""The pipeline as the shipped weights are made: without a base, from all judgements."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mappings.errors import ModelError
from mappings.types import Judgement, Product
from reranker.model import load_model
from reranker.training.pipeline import run_training
from reranker.training.plan import Teacher, TrainingPlan
from reranker.training.recipe import (
    DistillationConfig,
    QueryDistillationConfig,
    Recipe,
    ScorerConfig,
    SoftConfig,
)
from reranker.training.run.progress import ReportProgress


def check_progress(done: int, total: int) -> None:
    assert 0 < done <= total


def quiet_stages(stage: str) -> ReportProgress:
    assert stage
    return check_progress


RECIPE = Recipe(
    product=DistillationConfig(steps=20, batch=8, warmup=2),
    soft=SoftConfig(queries=20),
    scorer=ScorerConfig(epochs=2),
    token_width=16,
    product_tokens=32,
)


@pytest.fixture(scope="module")
def plan(tiny_bert: Path, products: list[Product], tmp_path_factory: pytest.TempPathFactory) -> TrainingPlan:
    return TrainingPlan(
        folder=tmp_path_factory.mktemp("model"),
        products=products,
        others=products[:5],
        pairs=[("red mouse", products[0], 1.0), ("toner", products[1], 0.0)],
        judgements=[
            Judgement(noun, p.id, 3 if p.category == noun else 0)
            for noun in ("mouse", "toner", "laptop")
            for p in products[::5]
        ],
        query_encoder=str(tiny_bert),
        query_encoder_label="a tiny BERT",
        cross_validate=True,
        replaces=True,
        recipe=RECIPE,
    )


@pytest.fixture(scope="module")
def folder(plan: TrainingPlan) -> Path:
    figures = run_training(plan, quiet_stages).figures
    assert set(figures) == {
        "product_tower_cosine",
        *(f"judged_pool_ndcg@10_{name}" for name in ("attune", "article", "cosine", "bm25")),
    }
    assert all(0 <= figure <= 1 for figure in figures.values())
    return plan.folder


def test_the_weights_made_are_a_model(folder: Path, products: list[Product]) -> None:
    model = load_model(folder)
    encoded = model.encode_products(products)
    query = model.encode_query("red mouse")
    scores = model.score(query, [e.stored for e in encoded])
    assert scores.shape == (len(products),)
    assert np.isfinite(scores).all()
    assert model.config.product_heads == 4
    origin = model.config.origin
    assert origin["recipe"]["product_tokens"] == 32
    assert origin["query_tower"] == "a tiny BERT"
    assert len(origin["trained_queries"]) == 3


def test_no_path_of_this_machine_is_written_down(plan: TrainingPlan, folder: Path) -> None:
    assert str(plan.query_encoder) not in (folder / "config.json").read_text(encoding="utf-8")


def test_teachers_distil_the_query_encoder(
    plan: TrainingPlan, folder: Path, tiny_bert: Path, products: list[Product], tmp_path: Path
) -> None:
    query = QueryDistillationConfig(
        steps=2,
        clusters=2,
        neighbours=2,
        random_negatives=1,
        queries=6,
        nearest=5,
        product_tokens=32,
        token_width=8,
    )
    recipe = replace(RECIPE, query=query, query_main=(30, 40, 0.5), query_others=(5, 5, 0.2))
    work: list[Path] = []

    def unpack(at: Path) -> Path:
        work.append(at)
        return tiny_bert

    teachers = [Teacher("one", unpack), Teacher("two", unpack, "query: ", "passage: ")]

    pairs = [("red mouse", products[0], 1.0)] * 8
    made = tmp_path / "model"
    run_training(replace(plan, folder=made, recipe=recipe, pairs=pairs, teachers=teachers), quiet_stages)
    assert [path.name for path in work] == ["model.partial"] * 2
    assert (made / "query.onnx").read_bytes() != (folder / "query.onnx").read_bytes()
    assert load_model(made).encode_query("red mouse").vector.shape == (32,)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"products": ()}, "without products"),
        ({"query_encoder": None}, "nothing to start from"),
        ({"budget_minutes": 1.0}, "a budget needs a base"),
    ],
)
def test_a_plan_that_cannot_be_carried_out_is_refused(
    plan: TrainingPlan, change: dict[str, object], message: str
) -> None:
    with pytest.raises(ModelError, match=message):
        run_training(replace(plan, **change), quiet_stages)  # type: ignore[arg-type]
