"""Torch towers to ONNX files, whole or in int8.

Word embeddings, half of the file, are quantised here with a scale per row: ONNX Runtime's own has one for
the table, which a few long rows spoil. Matrix products are quantised by ONNX Runtime:

int4-blocks  as below with 4 bits a weight, in blocks of 64: half the size, a cosine of 0.96 to the whole
int8-blocks  int8 weights, and activations as they come, each block of 128 with a scale of its own
             (MatMulNBits): a word whose state sticks out spoils no other's
int8         int8 weights with a scale per column, activations with one per call (dynamic)
int8-static  the same with activation scales fixed beforehand, on calibration texts
"""

import logging
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnxruntime.quantization import (
    CalibrationDataReader,
    CalibrationMethod,
    QuantType,
    quantize_dynamic,
    quantize_static,
)
from onnxruntime.quantization.shape_inference import quant_pre_process
from torch import Tensor, nn

from mappings.errors import ModelError
from reranker.training.encoders.attention_fusion import fold_biases, fuse_attention
from reranker.training.encoders.bert import Bert
from reranker.training.encoders.gpt2 import ProductTower

Quantisation = Literal["float32", "int8", "int8-static", "int8-blocks", "int4-blocks"]

_QUERY_QUANTISATION: Quantisation = "int8-blocks"
"""By measurement (tests/bench/compression): the size and speed of `int8`, a sixth of its error."""

_PRODUCT_QUANTISATION: Quantisation = "int8"
"""By measurement: in its large batches the product tower takes half as long again in blocks, for 0.3 %."""

_BLOCK = {8: 128, 4: 64}
"""Weights of a block, by their bits."""

_MATRIX_PRODUCTS = ["MatMul", "Gemm"]


class RowQuantisedEmbedding(nn.Module):
    """An embedding table as int8 rows with a float scale each."""

    table: Tensor
    scale: Tensor

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        scale = weight.abs().amax(1, keepdim=True).clamp_min(1e-9) / 127
        self.register_buffer("table", torch.round(weight / scale).to(torch.int8))  # (V, d)
        self.register_buffer("scale", scale)  # (V, 1)

    def forward(self, ids: Tensor) -> Tensor:
        """Look up ids (B, T): (B, T, d)."""
        return self.table[ids].to(torch.float32) * self.scale[ids]


class _BertStates(nn.Module):
    def __init__(self, bert: Bert) -> None:
        super().__init__()
        self.network = bert.network

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        states: Tensor = self.network(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        return states


def export_query_tower(
    bert: Bert,
    path: Path,
    quantisation: Quantisation = _QUERY_QUANTISATION,
    calibration: Sequence[Sequence[int]] = (),
) -> None:
    """Write the BERT query encoder to `path`. `bert` itself is left as it was.

    `calibration` are token ids of typical queries, which `int8-static` needs. Raises ModelError without.
    """
    wrapped = _BertStates(bert).eval()
    embeddings = bert.network.get_input_embeddings()
    if quantisation != "float32":
        bert.network.set_input_embeddings(RowQuantisedEmbedding(embeddings.weight))
    try:
        ids = torch.ones(2, 6, dtype=torch.long)
        names = ["input_ids", "attention_mask"]
        heads = int(bert.network.config.num_attention_heads)
        _export(wrapped, (ids, torch.ones_like(ids)), names, path, quantisation, calibration, heads)
    finally:
        bert.network.set_input_embeddings(embeddings)


def export_product_tower(
    tower: ProductTower,
    path: Path,
    quantisation: Quantisation = _PRODUCT_QUANTISATION,
    calibration: Sequence[Sequence[int]] = (),
) -> None:
    """Write the GPT-2 product encoder to `path`. `tower` itself is left as it was.

    `calibration` are token ids of typical products, which `int8-static` needs. Raises ModelError without.
    """
    embeddings = tower.transformer.wte
    if quantisation != "float32":
        tower.transformer.wte = RowQuantisedEmbedding(embeddings.weight)  # type: ignore[assignment]
    try:
        example = (torch.ones(2, 6, dtype=torch.long),)
        _export(tower.eval(), example, ["input_ids"], path, quantisation, calibration)
    finally:
        tower.transformer.wte = embeddings


def _export(
    module: nn.Module,
    example: tuple[Tensor, ...],
    names: list[str],
    path: Path,
    quantisation: Quantisation,
    calibration: Sequence[Sequence[int]],
    heads: int = 0,
) -> None:
    """Export a module; attention of `heads` heads is fused, none for 0."""
    if quantisation not in get_args(Quantisation):
        known = ", ".join(get_args(Quantisation))
        raise ModelError(f"{quantisation} is not a way to quantise a tower: choose one of {known}")
    if quantisation == "int8-static" and not calibration:
        raise ModelError("int8-static needs calibration texts: give the token ids of some")
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        exported, prepared = Path(folder) / "whole.onnx", Path(folder) / "prepared.onnx"
        with torch.no_grad():
            torch.onnx.export(
                module,
                example,
                str(exported),
                input_names=names,
                output_names=["states"],
                dynamic_axes={name: {0: "batch", 1: "tokens"} for name in [*names, "states"]},
                opset_version=17,
                dynamo=False,
            )
        ready = path if quantisation == "float32" else prepared
        quant_pre_process(str(exported), str(ready), skip_symbolic_shape=True)
        if heads:
            model = onnx.load(str(ready))
            fuse_attention(model, heads)
            onnx.save(model, str(ready))
        if quantisation in ("int8-blocks", "int4-blocks"):
            _quantise_blocks(prepared, path, 4 if quantisation == "int4-blocks" else 8)
        elif quantisation == "int8":
            quantize_dynamic(
                str(prepared),
                str(path),
                op_types_to_quantize=_MATRIX_PRODUCTS,
                per_channel=True,
                weight_type=QuantType.QInt8,
            )
        elif quantisation == "int8-static":
            quantize_static(
                str(prepared),
                str(path),
                _Calibration(calibration, names),
                op_types_to_quantize=_MATRIX_PRODUCTS,
                per_channel=True,
                activation_type=QuantType.QUInt8,
                weight_type=QuantType.QInt8,
                calibrate_method=CalibrationMethod.MinMax,
                nodes_to_exclude=_products_of_activations(prepared),
                extra_options={"OpTypesToExcludeOutputQuantization": _MATRIX_PRODUCTS},
            )


def _products_of_activations(prepared: Path) -> list[str]:
    """Return the names of attention's matrix products: nothing of them is known beforehand."""
    graph = onnx.load(str(prepared)).graph
    known = {initializer.name for initializer in graph.initializer}
    return [n.name for n in graph.node if n.op_type in _MATRIX_PRODUCTS and not known.intersection(n.input)]


def _quantise_blocks(prepared: Path, path: Path, bits: Literal[4, 8]) -> None:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    from onnxruntime.quantization.matmul_nbits_quantizer import MatMulNBitsQuantizer

    root.handlers[:], root.level = handlers, level  # importing it sets up logging for the whole process
    # Accuracy level 4: activations are multiplied as int8.
    quantizer = MatMulNBitsQuantizer(
        str(prepared), bits=bits, block_size=_BLOCK[bits], is_symmetric=True, accuracy_level=4
    )
    quantizer.process()
    fold_biases(quantizer.model.model)
    quantizer.model.save_model_to_file(str(path))


class _Calibration(CalibrationDataReader):  # type: ignore[misc]
    """Hands over one text at a time."""

    def __init__(self, texts: Sequence[Sequence[int]], names: Sequence[str]) -> None:
        self._feeds = self._fed(texts, names)

    def get_next(self) -> dict[str, NDArray[np.int64]] | None:
        return next(self._feeds, None)

    @staticmethod
    def _fed(texts: Sequence[Sequence[int]], names: Sequence[str]) -> Iterator[dict[str, NDArray[np.int64]]]:
        for ids in texts:
            row = np.array([ids], dtype=np.int64)
            yield {name: row if name == "input_ids" else np.ones_like(row) for name in names}
