"""A cross-encoder of MiniLM-L6's sizes, run in the four usual ways.

A BERT of 6 layers and 384 components that starts from all-MiniLM-L6-v2, with a head of one logit. Its
scores mean nothing, but they take as long as those of a trained one.
"""

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime as ort
import torch
from numpy.typing import NDArray
from onnxruntime.quantization import QuantType, quantize_dynamic
from onnxruntime.quantization.shape_inference import quant_pre_process
from tokenizers import Encoding, Tokenizer
from transformers import AutoModelForSequenceClassification, logging

from reranker.training.encoders.bert import locate_minilm

Tokens = NDArray[np.int64]
NAMES = ("input_ids", "attention_mask", "token_type_ids")


@dataclass(frozen=True, slots=True)
class Batch:
    """Pairs of similar length, padded to the longest: ids, mask and segment of each token, (B, T)."""

    inputs: tuple[Tokens, Tokens, Tokens]


Runner = Callable[[Batch], object]


def runners(folder: Path) -> dict[str, Runner]:
    """The cross-encoder in torch and in ONNX Runtime, by name. `folder` takes the ONNX files."""
    logging.set_verbosity_error()  # that the head is not trained is known
    logging.disable_progress_bar()
    network = AutoModelForSequenceClassification.from_pretrained(str(locate_minilm()), num_labels=1)
    network.eval()
    whole, prepared, small = (folder / name for name in ("whole.onnx", "prepared.onnx", "int8.onnx"))
    example = tuple(torch.ones(2, 8, dtype=torch.long) for _ in NAMES)
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            network,
            example,
            str(whole),
            input_names=list(NAMES),
            output_names=["logits"],
            dynamic_axes={name: {0: "batch", 1: "tokens"} for name in NAMES} | {"logits": {0: "batch"}},
            opset_version=17,
            dynamo=False,
        )
    quant_pre_process(str(whole), str(prepared), skip_symbolic_shape=True)
    quantize_dynamic(
        str(prepared),
        str(small),
        op_types_to_quantize=["MatMul", "Gemm"],
        per_channel=True,
        weight_type=QuantType.QInt8,
    )
    return {
        "torch fp32": _torch(network, half=False),
        "torch bf16": _torch(network, half=True),
        "onnxruntime fp32": _onnx(prepared),
        "onnxruntime int8": _onnx(small),
    }


def encoded_pairs(tokenizer: Tokenizer, query: str, texts: Sequence[str], most: int) -> list[Encoding]:
    """Tokens of each (query, text), at most `most` of them for the text with its markers."""
    tokenizer.enable_truncation(len(tokenizer.encode(query).ids) + most - 1, strategy="only_second")
    try:
        return tokenizer.encode_batch([(query, text) for text in texts])
    finally:
        tokenizer.no_truncation()


def batches(pairs: Sequence[Encoding], size: int) -> list[Batch]:
    """Sort pairs by length, so that little is spent on padding, and pad them in batches of `size`."""
    ordered = sorted(pairs, key=lambda pair: len(pair.ids))
    return [_padded(ordered[at : at + size]) for at in range(0, len(ordered), size)]


def _padded(pairs: Sequence[Encoding]) -> Batch:
    shape = len(pairs), max(len(pair.ids) for pair in pairs)
    ids, mask, segments = (np.zeros(shape, dtype=np.int64) for _ in NAMES)
    for row, pair in enumerate(pairs):
        length = len(pair.ids)
        ids[row, :length], mask[row, :length], segments[row, :length] = pair.ids, 1, pair.type_ids
    return Batch((ids, mask, segments))


def _torch(network: torch.nn.Module, half: bool) -> Runner:
    def run(batch: Batch) -> object:
        feed = dict(zip(NAMES, map(torch.from_numpy, batch.inputs), strict=True))
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16) if half else nullcontext():
            return network(**feed).logits

    return run


def _onnx(path: Path) -> Runner:
    session = ort.InferenceSession(str(path), providers=["CPUExecutionProvider"])

    def run(batch: Batch) -> object:
        return session.run(None, dict(zip(NAMES, batch.inputs, strict=True)))

    return run


def sizes_to_try(pairs: int) -> Iterator[int]:
    """Batch sizes among which each runner's best is looked for."""
    yield from (size for size in (8, 16, 32) if size < pairs)
    yield pairs
