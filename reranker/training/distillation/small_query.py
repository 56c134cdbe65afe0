"""A query tower of fewer layers: some of the encoder's own, taught to say of queries what all of them say.

Queries are short and every search waits for one to be encoded. So, of the encoder's layers, two or so are
taken, spread evenly, and trained on queries only: their token states and pooled vector follow the whole
encoder's (`compute_distillation_loss`). Products were encoded to match the whole encoder; nothing else
changes.
"""

import copy
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from mappings.errors import ModelError
from reranker.training.distillation.product_distillation import Distillation
from reranker.training.distillation.teacher import compute_teacher_states
from reranker.training.encoders.bert import Bert, Encoder
from reranker.training.recipe import SmallQueryConfig
from reranker.training.run.device import choose_device
from reranker.training.run.progress import ReportProgress


def reduce_query_encoder(
    bert: Bert,
    queries: Sequence[str],
    config: SmallQueryConfig,
    progress: ReportProgress,
    teacher: Encoder | None = None,
) -> Bert:
    """Return an encoder of `config.layers` of the layers of `bert`, frozen; `bert` is left as it was.

    It follows `teacher`, an encoder of the same tokenizer and width, or else `bert` itself.
    `queries` should be of the kind that will be asked; some thousands are enough. Seeded. Raises ModelError
    where the encoder has fewer layers, or keeps them elsewhere than BERT and its like do.
    """
    small = copy.copy(bert)
    small.network = _shortened(bert, config.layers)
    texts = [ids for ids in bert.token_ids(queries, config.query_tokens) if ids]
    taught = compute_teacher_states(teacher or bert, texts, lambda *_: None)
    torch.manual_seed(config.distil.seed)
    student = _RightPadded(small.network)
    work = Distillation(student, taught, np.ones(len(texts)), config.distil, choose_device())
    while work.step < work.steps:
        work.advance()
        progress(work.step, work.steps)
    small.network = work.finished().network
    small.network.requires_grad_(False)
    return small


class _RightPadded(nn.Module):
    """An encoder that takes rows padded with zeros on the right, as distillation has them."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, ids: Tensor) -> Tensor:
        """Map ids (B, T) to states (B, T, d). No text ends in token 0."""
        mask = (ids != 0).flip(1).cumsum(1).flip(1).clamp_max(1)  # (B, T): 1 up to the last token
        states: Tensor = self.network(input_ids=ids, attention_mask=mask).last_hidden_state
        return states


def _shortened(bert: Bert, layers: int) -> nn.Module:
    """Return a copy of the network with `layers` of its layers, the first and the last among them."""
    network: nn.Module = copy.deepcopy(bert.network)
    stack = getattr(getattr(network, "encoder", None), "layer", None)
    if not isinstance(stack, nn.ModuleList):
        raise ModelError(f"the layers of a {bert.network.config.model_type} can't be taken out: name a BERT")
    if not 1 <= layers <= len(stack):
        raise ModelError(f"the query encoder has {len(stack)} layers, not {layers}: ask for fewer")
    taken = np.linspace(0, len(stack) - 1, layers).round().astype(int)
    network.encoder.layer = nn.ModuleList(stack[i] for i in taken)  # type: ignore[union-attr]
    network.config.num_hidden_layers = layers  # type: ignore[union-attr]
    network.requires_grad_(True)
    network.get_input_embeddings().requires_grad_(False)  # type: ignore[operator]
    return network
