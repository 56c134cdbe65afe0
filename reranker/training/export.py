"""Torch towers to int8 ONNX files.

Matrix products are quantised dynamically by ONNX Runtime (per-channel int8 weights). Word embeddings, half
of the file, are quantised here with a scale per row: ONNX Runtime's own has one for the table, which a
few long rows spoil.
"""

import tempfile
import warnings
from pathlib import Path

import torch
from onnxruntime.quantization import QuantType, quantize_dynamic
from onnxruntime.quantization.shape_inference import quant_pre_process
from torch import Tensor, nn

from reranker.training.bert import Bert
from reranker.training.gpt2 import ProductTower


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


def export_query_tower(bert: Bert, path: Path) -> None:
    """Write the BERT query encoder to `path`, int8."""
    wrapped = _BertStates(bert).eval()
    embeddings = bert.network.get_input_embeddings()
    bert.network.set_input_embeddings(RowQuantisedEmbedding(embeddings.weight))
    try:
        ids = torch.ones(2, 6, dtype=torch.long)
        _export(wrapped, (ids, torch.ones_like(ids)), ["input_ids", "attention_mask"], path)
    finally:
        bert.network.set_input_embeddings(embeddings)


def export_product_tower(tower: ProductTower, path: Path) -> None:
    """Write the GPT-2 product encoder to `path`, int8. `tower` itself is left as it was."""
    embeddings = tower.transformer.wte
    tower.transformer.wte = RowQuantisedEmbedding(embeddings.weight)  # type: ignore[assignment]
    try:
        _export(tower.eval(), (torch.ones(2, 6, dtype=torch.long),), ["input_ids"], path)
    finally:
        tower.transformer.wte = embeddings


def _export(module: nn.Module, example: tuple[Tensor, ...], names: list[str], path: Path) -> None:
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        whole, prepared = Path(folder) / "whole.onnx", Path(folder) / "prepared.onnx"
        with torch.no_grad():
            torch.onnx.export(
                module,
                example,
                str(whole),
                input_names=names,
                output_names=["states"],
                dynamic_axes={name: {0: "batch", 1: "tokens"} for name in [*names, "states"]},
                opset_version=17,
                dynamo=False,
            )
        quant_pre_process(str(whole), str(prepared), skip_symbolic_shape=True)
        quantize_dynamic(
            str(prepared),
            str(path),
            op_types_to_quantize=["MatMul", "Gemm"],
            per_channel=True,
            weight_type=QuantType.QInt8,
        )
