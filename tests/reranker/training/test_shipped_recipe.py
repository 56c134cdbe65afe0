from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mappings.types import Product
from reranker.fusion import FEATURES, IdfTable, Scorer
from reranker.model import load_model
from reranker.training.distillation.product_distillation import DistilConfig
from reranker.training.distillation.query_distillation import QueryDistillationConfig
from reranker.training.distillation.teacher import TeacherStates
from reranker.training.scoring.examples import Progress, SoftConfig
from reranker.training.scoring.scorer import Example, ScorerConfig
from reranker.training.shipped_recipe import (
    Examples,
    Recipe,
    TrainingData,
    held_out_scorers,
    make_weights,
    token_projection,
)


def quiet(done: int, total: int) -> None:
    assert 0 < done <= total


def quiet_stages(stage: str) -> Progress:
    assert stage
    return quiet


RECIPE = Recipe(
    distil=DistilConfig(steps=20, batch=8, warmup=2),
    soft=SoftConfig(queries=20),
    scorer=ScorerConfig(epochs=2),
    token_width=16,
    product_tokens=32,
)


def judged(products: list[Product]) -> dict[str, dict[str, int]]:
    return {
        noun: {p.id: 3 if p.category == noun else 0 for p in products[::5]}
        for noun in ("mouse", "toner", "laptop")
    }


@pytest.fixture(scope="module")
def folder(tiny_bert: Path, products: list[Product], tmp_path_factory: pytest.TempPathFactory) -> Path:
    pairs = [("red mouse", products[0], 1.0), ("toner", products[1], 0.0)]
    data = TrainingData(products, products[:5], pairs, judged(products))
    folder = tmp_path_factory.mktemp("model")
    config = make_weights(data, tiny_bert, folder, RECIPE, quiet_stages)
    assert set(config.figures) == {
        "product_tower_cosine",
        *(f"judged_pool_ndcg@10_{name}" for name in ("attune", "article", "cosine", "bm25")),
    }
    assert all(0 <= figure <= 1 for figure in config.figures.values())
    return folder


def test_the_weights_made_are_a_model(folder: Path, products: list[Product]) -> None:
    model = load_model(folder)
    encoded = model.encode_products(products)
    query = model.encode_query("red mouse")
    scores = model.score(query, [e.stored for e in encoded])
    assert scores.shape == (len(products),)
    assert np.isfinite(scores).all()
    assert model.config.origin["recipe"]["product_tokens"] == 32


NONE = np.zeros(1, np.float32)
BLANK = Scorer(0.05, IdfTable(NONE, NONE), NONE, NONE, NONE, NONE, NONE, NONE)


def test_a_second_teacher_tunes_the_query_encoder(
    folder: Path, tiny_bert: Path, products: list[Product], tmp_path: Path
) -> None:
    tune = QueryDistillationConfig(
        steps=2,
        clusters=2,
        neighbours=2,
        random_negatives=1,
        queries=6,
        nearest=5,
        product_tokens=32,
        token_width=8,
    )
    recipe = replace(RECIPE, tune=tune, tune_main=(30, 40, 0.5), tune_others=(5, 5, 0.2))
    data = TrainingData(products, products[:5], [("red mouse", products[0], 1.0)] * 8, judged(products))
    asked: list[Path] = []

    def second(work: Path) -> Path:
        asked.append(work)
        return tiny_bert

    made = tmp_path / "model"
    make_weights(data, tiny_bert, made, recipe, quiet_stages, second)
    assert [work.name for work in asked] == ["model.partial"]
    assert (made / "query.onnx").read_bytes() != (folder / "query.onnx").read_bytes()
    assert load_model(made).encode_query("red mouse").vector.shape == (32,)


def test_no_query_is_scored_by_a_scorer_that_saw_it() -> None:
    random = np.random.default_rng(1)

    def example(gains: list[float]) -> Example:
        inputs = random.random((3, len(FEATURES) + 4)).astype(np.float32)
        return Example(inputs, np.array(gains, np.float32), None)

    unjudged = [example([1, 1, 0])]
    graded = {str(i): example([1, 0, 0]) for i in range(10)}
    config = ScorerConfig(epochs=2)
    before = held_out_scorers(BLANK, Examples(unjudged, graded, 1.0), config)
    assert before.keys() == graded.keys()
    graded["3"] = replace(graded["3"], gains=np.array([0, 0, 1], np.float32))
    after = held_out_scorers(BLANK, Examples(unjudged, graded, 1.0), config)
    unchanged = {q for q in graded if np.array_equal(before[q].hidden, after[q].hidden)}
    assert "3" in unchanged
    assert len(unchanged) == 2  # its own fold: the other scorers all learnt from it


def test_a_projection_for_bits_keeps_the_same_and_turns_it() -> None:
    states = np.random.default_rng(1).normal(size=(300, 24)) * np.linspace(3, 0.1, 24)
    teacher = TeacherStates([], [states[:200].astype(np.float16), states[200:].astype(np.float16)])
    plain, turned = (token_projection(teacher, 8, 7, bits) for bits in (8, 1))
    x = states.astype(np.float32)
    np.testing.assert_allclose((x @ plain) @ (x @ plain).T, (x @ turned) @ (x @ turned).T, atol=1e-3)
    spread = [np.ptp((x @ projection).std(0)) for projection in (plain, turned)]
    assert spread[1] < spread[0] / 1.5  # no component tells much more than another
