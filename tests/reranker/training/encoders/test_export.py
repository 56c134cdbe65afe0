import logging
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from numpy.typing import NDArray

from mappings.errors import ModelError
from mappings.types import Product
from reranker.encoders.onnx_tower import Tower
from reranker.text.product_text import build_product_text
from reranker.training.encoders.bert import Bert
from reranker.training.encoders.export import Quantisation, export_product_tower, export_query_tower
from reranker.training.encoders.gpt2 import ProductTower
from reranker.training.encoders.initialisation import build_tower_from_bert

QUERIES = ("red mouse", "a blue keyboard", "acme toner 3black", "logi laptop")


def cosine(found: NDArray[np.float32], wanted: NDArray[np.float32]) -> float:
    """The mean over token states (T, d)."""
    norms = np.linalg.norm(found, axis=-1) * np.linalg.norm(wanted, axis=-1)
    return float(((found * wanted).sum(-1) / norms).mean())


@pytest.fixture(scope="module")
def bert(tiny_bert: Path) -> Bert:
    return Bert(tiny_bert)


@pytest.fixture(scope="module")
def product_tower(bert: Bert) -> ProductTower:
    return build_tower_from_bert(bert, (0, 1), 32).eval()


@pytest.fixture(scope="module")
def texts(bert: Bert, products: list[Product]) -> list[list[int]]:
    return bert.token_ids([build_product_text(p).pooled for p in products[:8]], 32)


@pytest.mark.parametrize(
    ("quantisation", "least"),
    [("float32", 0.999999), ("int8-blocks", 0.9995), ("int8", 0.995), ("int8-static", 0.99)],
)
def test_a_query_tower_says_what_the_network_says(
    bert: Bert, tmp_path: Path, quantisation: Quantisation, least: float
) -> None:
    ids = bert.token_ids(QUERIES, 32)
    export_query_tower(bert, tmp_path / "query.onnx", quantisation, ids)
    tower = Tower(tmp_path / "query.onnx", 1)
    for row in ids:
        with torch.inference_mode():
            wanted = bert.network(torch.tensor([row])).last_hidden_state[0].numpy()
        assert cosine(tower.states(np.array([row]), np.array([len(row)]))[0], wanted) > least


@pytest.mark.parametrize(
    ("quantisation", "least"),
    [("float32", 0.999999), ("int8-blocks", 0.9995), ("int8", 0.995), ("int8-static", 0.99)],
)
def test_a_product_tower_says_what_the_network_says(
    product_tower: ProductTower,
    texts: list[list[int]],
    tmp_path: Path,
    quantisation: Quantisation,
    least: float,
) -> None:
    export_product_tower(product_tower, tmp_path / "product.onnx", quantisation, texts)
    tower = Tower(tmp_path / "product.onnx", 1)
    for row in texts:
        with torch.inference_mode():
            wanted = product_tower(torch.tensor([row]))[0].numpy()
        assert cosine(tower.states(np.array([row]), np.array([len(row)]))[0], wanted) > least


def test_a_padded_batch_says_what_single_texts_say(bert: Bert, tmp_path: Path) -> None:
    export_query_tower(bert, tmp_path / "query.onnx")
    tower = Tower(tmp_path / "query.onnx", 1)
    rows = bert.token_ids(QUERIES, 32)
    lengths = np.array([len(row) for row in rows])
    padded = np.zeros((len(rows), lengths.max()), dtype=np.int64)
    for at, row in enumerate(rows):
        padded[at, : len(row)] = row
    together = tower.states(padded, lengths)
    for at, row in enumerate(rows):
        alone = tower.states(np.array([row]), np.array([len(row)]))[0]
        assert cosine(together[at, : len(row)], alone) > 0.9995


def test_attention_is_exported_as_one_operator_a_layer(bert: Bert, tmp_path: Path) -> None:
    export_query_tower(bert, tmp_path / "query.onnx")
    operators = [node.op_type for node in onnx.load(str(tmp_path / "query.onnx")).graph.node]
    assert operators.count("MultiHeadAttention") == bert.network.config.num_hidden_layers
    assert "Softmax" not in operators
    assert operators.count("Shape") < 5


def test_static_quantisation_asks_for_texts(bert: Bert, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="needs calibration texts"):
        export_query_tower(bert, tmp_path / "query.onnx", "int8-static")
    assert not (tmp_path / "query.onnx").exists()


def test_an_unknown_way_is_refused_by_name(product_tower: ProductTower, tmp_path: Path) -> None:
    with pytest.raises(
        ModelError, match="int9 is not a way to quantise a tower: choose one of float32, int8"
    ):
        export_product_tower(product_tower, tmp_path / "product.onnx", "int9")  # type: ignore[arg-type]


def test_exporting_leaves_logging_as_it_was(bert: Bert, tmp_path: Path) -> None:
    root = logging.getLogger()
    before = (root.handlers[:], root.level)
    export_query_tower(bert, tmp_path / "query.onnx", "int8-blocks")
    assert (root.handlers[:], root.level) == before
