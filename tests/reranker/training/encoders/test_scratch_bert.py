"""A model for Chinese from a bare catalogue: the shipped sample, encoders made on the spot."""

import json
from pathlib import Path

import pytest

from mappings.errors import CatalogueError
from mappings.types import Product
from reranker.model import Model, load_model, locate_shipped_model
from reranker.training.encoders.scratch_bert import NEW, train_small_bert
from reranker.training.pipeline import run_training
from reranker.training.plan import TrainingPlan
from reranker.training.recipe import DistillationConfig, Recipe, ScorerConfig, ScratchConfig, SoftConfig

SAMPLE = Path(__file__).parents[4] / "plugin_api/commands/demo/data/chinese.jsonl"
RECIPE = Recipe(
    scratch=ScratchConfig(width=64, steps=100, batch=32, tokens=40, learning_rate=2e-3),
    product=DistillationConfig(batch=16, warmup=5, learning_rate=2e-3),
    soft=SoftConfig(queries=60),
    scorer=ScorerConfig(epochs=4),
    token_width=32,
    product_tokens=48,
)


def quiet(done: int, total: int) -> None:
    assert 0 < done <= total


def sample() -> list[Product]:
    rows = map(json.loads, SAMPLE.read_text(encoding="utf-8").splitlines())
    return [Product(r["id"], r["title"], r["brand"], r["category"], r["description"]) for r in rows][::2]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("chinese") / "model"
    job = TrainingPlan(folder, sample(), locate_shipped_model(), query_encoder=NEW, steps=60, recipe=RECIPE)
    run_training(job, lambda _: quiet)
    return folder


def ranked(model: Model, text: str) -> list[Product]:
    products = sample()
    candidates = [e.stored for e in model.encode_products(products)]
    scores = model.score(model.encode_query(text), candidates)
    return [products[i] for i in (-scores).argsort(kind="stable")]


def test_new_phones_are_phones_first_of_all(folder: Path) -> None:
    model = load_model(folder)
    found = ranked(model, "购买新款手机")[:10]
    assert [p.category for p in found] == ["手机数码 > 手机"] * 10
    dresses = ranked(model, "连衣裙")[:2]
    assert all("连衣裙" in p.title for p in dresses)


def test_intent_words_do_not_drag_the_ranking(folder: Path) -> None:
    model = load_model(folder)
    assert ranked(model, "购买手机")[:10] == ranked(model, "手机")[:10] == ranked(model, "手机推荐")[:10]


def test_the_model_reads_the_language_that_the_shipped_one_does_not(folder: Path) -> None:
    assert load_model(folder).encode_query("新款手机").unknown == 0
    assert load_model(None).encode_query("新款手机").unknown > 0.4


def test_a_model_with_an_encoder_of_its_own_can_be_gone_on_from(folder: Path, tmp_path: Path) -> None:
    made = tmp_path / "next"
    plan = TrainingPlan(made, sample(), folder, steps=1, recipe=RECIPE, must_gain=False)
    run_training(plan, lambda _: quiet)
    assert (made / "query.onnx").read_bytes() == (folder / "query.onnx").read_bytes()
    assert (made / "product.onnx").read_bytes() != (folder / "product.onnx").read_bytes()


def test_a_handful_of_products_is_too_few(tmp_path: Path) -> None:
    with pytest.raises(CatalogueError, match="3 products are too few"):
        train_small_bert(sample()[:3], tmp_path, ScratchConfig(), quiet)


def test_encoders_are_seeded(tmp_path: Path) -> None:
    config = ScratchConfig(width=16, heads=2, steps=2, batch=4, tokens=16)
    first, second = (train_small_bert(sample()[:20], tmp_path / name, config, quiet) for name in "ab")
    for name in ("model.safetensors", "tokenizer.json"):
        assert (first / name).read_bytes() == (second / name).read_bytes()
