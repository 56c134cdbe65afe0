"""Restores a product tower from its int8 ONNX file, so that training can continue a model folder.

Model folders hold no torch weights: 50 MB is all that ships. What quantisation rounded off is lost; on the
shipped tower that moves the pooled vectors by less than 0.001 in cosine, which some steps of distillation
mend.
"""

from pathlib import Path

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import numpy_helper

from mappings.errors import ModelError
from reranker.encoders.onnx_tower import Tower
from reranker.training.encoders.gpt2 import GPT2Config, ProductTower
from reranker.types import Floats

_AGREEMENT = 0.96
"""Least mean cosine between both towers' states: int8 activations differ a little."""


def restore_tower(path: Path, heads: int) -> ProductTower:
    """Return the tower that `export_product_tower` wrote to `path`, word embeddings frozen.

    `heads` is its number of attention heads, which the model's config has. Raises ModelError where the file
    is not such a tower, or where the restored one answers otherwise than the file.
    """
    weights = _weights(path)
    try:
        table = weights["transformer.wte.weight"]
        layers = 1 + max(int(name.split(".")[2]) for name in weights if name.startswith("transformer.h."))
        positions, width = weights["transformer.wpe.weight"].shape
        dimension = len(weights["head.bias"])
    except (KeyError, ValueError) as error:
        raise ModelError(f"{path} is not a product tower made by Attune: {error} is missing") from error
    if heads < 1 or width % heads:
        raise ModelError(f"{path}: {heads} attention heads don't divide its width of {width}")
    tower = ProductTower(GPT2Config(len(table), positions, width, layers, heads), dimension)
    try:
        tower.load_state_dict({name: torch.tensor(array) for name, array in weights.items()})
    except RuntimeError as error:
        raise ModelError(f"{path} is not a product tower made by Attune: {error}") from error
    tower.transformer.wte.weight.requires_grad_(False)
    ids = np.random.default_rng(0).integers(0, len(table), (2, min(16, positions)))
    expected = Tower(path, 1).states(ids, np.full(2, ids.shape[1]))
    agreement = _measure_agreement(tower.eval(), ids, expected)
    if agreement < _AGREEMENT:
        raise ModelError(
            f"{path}: the tower restored with {heads} attention heads answers otherwise (cosine "
            f"{agreement:.3f}): product_heads in the model's config.json may be wrong"
        )
    return tower


def _measure_agreement(tower: ProductTower, ids: NDArray[np.int64], expected: Floats) -> float:
    with torch.inference_mode():
        states = tower(torch.from_numpy(ids)).numpy()
    norms = np.linalg.norm(states, axis=-1) * np.linalg.norm(expected, axis=-1)
    return float(((states * expected).sum(-1) / np.maximum(norms, 1e-9)).mean())


def _weights(path: Path) -> dict[str, Floats]:
    """Return the tower's parameters by name, int8 ones multiplied out."""
    try:
        graph = onnx.load(str(path)).graph
        arrays = {i.name: numpy_helper.to_array(i) for i in graph.initializer}
    except Exception as error:  # protobuf's and onnx's own, by many names
        raise ModelError(f"{path} is not an ONNX model: {error}") from error
    for node in graph.node:
        if node.op_type == "MatMulNBits":
            rows = next(attribute.i for attribute in node.attribute if attribute.name == "K")
            arrays[node.input[1]] = _from_blocks(arrays[node.input[1]], arrays[node.input[2]], rows)
    weights: dict[str, Floats] = {}
    for name, array in arrays.items():
        base = name.removesuffix("_quantized").removesuffix("_Q8")
        if name.endswith("wte.table"):
            scale = arrays[name.removesuffix("table") + "scale"]
            weights["transformer.wte.weight"] = array.astype(np.float32) * scale
        elif base != name:
            matrix = array
            if name.endswith("_quantized"):
                scale, zero = arrays[f"{base}_scale"], arrays[f"{base}_zero_point"]
                matrix = (
                    array.astype(np.float32) - zero.astype(np.float32)
                ) * scale  # (in, out), a scale a column
            # torch's exporter transposes the head, the one nn.Linear, and gives it a number for a name.
            named = base.startswith("transformer.")
            weights[base if named else "head.weight"] = matrix if named else matrix.T
        elif name.startswith(("transformer.", "head.")) and name.endswith((".weight", ".bias")):
            weights[name] = array
    return weights


def _from_blocks(blocks: NDArray[np.uint8], scales: Floats, rows: int) -> Floats:
    """Return the matrix (in, out) of a MatMulNBits: blocks (out, n, size) around 128, a scale each.

    The first `rows` of the n x size components are the matrix; the rest is padding.
    """
    matrix = (blocks.astype(np.float32) - 128) * scales.reshape(blocks.shape[0], -1, 1)
    result: Floats = matrix.reshape(len(blocks), -1)[:, :rows].T
    return result
