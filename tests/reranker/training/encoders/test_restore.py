from pathlib import Path

import numpy as np
import pytest
import torch

from mappings.errors import ModelError
from reranker.encoders.onnx_tower import Tower
from reranker.model import PRODUCT, QUERY, load_model, locate_shipped_model
from reranker.training.encoders.export import Quantisation, export_product_tower
from reranker.training.encoders.gpt2 import GPT2Config, ProductTower
from reranker.training.encoders.restore import restore_tower

IDS = np.array([[1, 5, 9, 3, 7]])


@pytest.mark.parametrize("quantisation", ["int8-blocks", "int8"])
def test_a_tower_comes_back_from_its_file(tmp_path: Path, quantisation: Quantisation) -> None:
    torch.manual_seed(3)
    tower = ProductTower(GPT2Config(40, n_positions=16, n_embd=24, n_layer=2, n_head=3), dimension=20).eval()
    with torch.no_grad():
        for p in tower.parameters():
            p.add_(torch.randn_like(p) * 0.1)  # biases and norms too
    export_product_tower(tower, tmp_path / "product.onnx", quantisation)
    found = restore_tower(tmp_path / "product.onnx", 3)
    assert found.transformer.config == tower.transformer.config
    with torch.inference_mode():
        ours, theirs = found(torch.from_numpy(IDS)), tower(torch.from_numpy(IDS))
    assert torch.nn.functional.cosine_similarity(ours, theirs, dim=-1).min() > 0.999
    assert not found.transformer.wte.weight.requires_grad
    assert found.head.weight.requires_grad
    with pytest.raises(ModelError, match="5 attention heads don't divide its width of 24"):
        restore_tower(tmp_path / "product.onnx", 5)


def test_the_shipped_tower_comes_back() -> None:
    file = locate_shipped_model() / PRODUCT
    tower = restore_tower(file, load_model(None).config.product_heads)
    with torch.inference_mode():
        ours = tower(torch.from_numpy(IDS)).numpy()
    theirs = Tower(file, 1).states(IDS, np.array([5]))
    cosines = (ours * theirs).sum(-1) / np.linalg.norm(ours, axis=-1) / np.linalg.norm(theirs, axis=-1)
    assert cosines.mean() > 0.95  # random words are hard on int8 activations
    with pytest.raises(ModelError, match="answers otherwise"):
        restore_tower(file, 2)


def test_what_is_no_product_tower_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="not a product tower"):
        restore_tower(locate_shipped_model() / QUERY, 12)
    (tmp_path / "broken.onnx").write_bytes(b"nothing of the kind")
    with pytest.raises(ModelError, match="not an ONNX model"):
        restore_tower(tmp_path / "broken.onnx", 12)
