"""Where the product tower starts from: a BERT's layers, rearranged as a GPT-2, or a GPT-2 of the hub's."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import GPT2Model

from mappings.errors import ModelError
from reranker.training.encoders.bert import Bert
from reranker.training.encoders.gpt2 import Block, Conv1D, GPT2Config, ProductTower
from reranker.training.encoders.hub import load_config, load_network

_FIXED = {
    "activation_function": ("gelu_new", "gelu_pytorch_tanh"),
    "scale_attn_weights": (True,),
    "scale_attn_by_inverse_layer_idx": (False,),
    "add_cross_attention": (False,),
}
"""What a GPT-2's config may say of its blocks: they are built one way here."""


def spread_layers(total: int, count: int) -> tuple[int, ...]:
    """Return which `count` (2 or more) of a BERT's `total` layers to take, evenly, the first and the last
    among them.
    """
    last = total - 1
    return tuple(sorted({math.ceil(i * last / (count - 1)) for i in range(count)}))


def load_gpt2_tower(source: str | Path, dimension: int, positions: int) -> ProductTower:
    """Return a tower that starts from a GPT-2 of the hub's or a folder's, its word embeddings frozen.

    It keeps at most the first `positions` positions. `dimension` is the teacher's width d: the head that maps
    to it starts as the identity where the GPT-2 has that width, else at random, and distillation trains it.
    Raises ModelError where `source` is no GPT-2.
    """
    config = load_config(source)
    if config.model_type != "gpt2":
        raise ModelError(
            f"{source} is a {config.model_type}: the product tower needs a GPT-2, such as gpt2 or "
            "uer/gpt2-chinese-cluecorpussmall"
        )
    _check_blocks(source, config)
    sizes = GPT2Config(
        vocab_size=config.vocab_size,
        n_positions=min(positions, config.n_positions),
        n_embd=config.n_embd,
        n_layer=config.n_layer,
        n_head=config.n_head,
        layer_norm_epsilon=config.layer_norm_epsilon,
    )
    weights = load_network(GPT2Model, source).state_dict()
    weights["wpe.weight"] = weights["wpe.weight"][: sizes.n_positions]
    torch.manual_seed(0)
    tower = ProductTower(sizes, dimension)
    tower.transformer.load_state_dict({name: weights[name] for name in tower.transformer.state_dict()})
    if dimension == sizes.n_embd:
        nn.init.eye_(tower.head.weight)
        nn.init.zeros_(tower.head.bias)
    tower.transformer.wte.weight.requires_grad_(False)
    return tower


def _check_blocks(source: str | Path, config: Any) -> None:
    wrong = [
        f"{name} = {getattr(config, name)}"
        for name, known in _FIXED.items()
        if getattr(config, name) not in known
    ]
    if config.n_inner not in (None, 4 * config.n_embd):
        wrong.append(f"n_inner = {config.n_inner}")
    if wrong:
        raise ModelError(f"{source} is a GPT-2 of another build ({', '.join(wrong)}): choose another")


def build_tower_from_bert(bert: Bert, layers: Sequence[int], positions: int) -> ProductTower:
    """Return a tower that starts from the given encoder layers of a BERT, its word embeddings frozen.

    BERT normalises after each sublayer and GPT-2 before, so each norm moves to the input of the sublayer that
    used to read its output, and embeddings are scaled to the norm's output, which BERT would have put into
    the residual stream. What is lost by the running sum and by looking left only, distillation mends: after
    100 steps of 32 the cosine to the teacher is 0.92, from random blocks 0.66. Raises ModelError where the
    encoder is not laid out as a BERT.
    """
    network = bert.network
    _check_layout(bert)
    positions = min(positions, bert.most_tokens)
    config = GPT2Config(
        vocab_size=len(bert.word_embeddings),
        n_positions=positions,
        n_embd=bert.dimension,
        n_layer=len(layers),
        n_head=network.config.num_attention_heads,
    )
    tower = ProductTower(config, bert.dimension)
    gpt2, embeddings = tower.transformer, network.embeddings
    unused = len(embeddings.position_embeddings.weight) - bert.most_tokens  # RoBERTa's begin at 2
    where = embeddings.position_embeddings.weight[unused : unused + positions]
    if hasattr(embeddings, "token_type_embeddings"):
        where = where + embeddings.token_type_embeddings.weight[0]
    norm = embeddings.LayerNorm
    with torch.no_grad():
        scale = norm.weight.mean() / (bert.word_embeddings + where[1]).std(-1).mean()
        gpt2.wte.weight.copy_(bert.word_embeddings * scale)
        gpt2.wpe.weight.copy_(where * scale)
        for block, i in zip(gpt2.h, layers, strict=True):
            assert isinstance(block, Block)
            layer = network.encoder.layer[i]
            attention = layer.attention.self
            _copy(block.ln_1, norm)
            qkv = (attention.query, attention.key, attention.value)
            block.attn.c_attn.weight.copy_(torch.cat([part.weight for part in qkv]).T)
            block.attn.c_attn.bias.copy_(torch.cat([part.bias for part in qkv]))
            _copy(block.attn.c_proj, layer.attention.output.dense)
            _copy(block.ln_2, layer.attention.output.LayerNorm)
            _copy(block.mlp.c_fc, layer.intermediate.dense)
            _copy(block.mlp.c_proj, layer.output.dense)
            norm = layer.output.LayerNorm
        _copy(gpt2.ln_f, norm)
        tower.head.weight.copy_(torch.eye(bert.dimension))
        tower.head.bias.zero_()
    gpt2.wte.weight.requires_grad_(False)
    return tower


def _copy(target: Conv1D | nn.LayerNorm, source: nn.Linear | nn.LayerNorm) -> None:
    """Copy weight and bias; GPT-2 stores a linear layer's weight transposed."""
    target.weight.copy_(source.weight.T if isinstance(target, Conv1D) else source.weight)
    target.bias.copy_(source.bias)


def _check_layout(bert: Bert) -> None:
    network = bert.network
    layers = getattr(getattr(network, "encoder", None), "layer", [])
    alike = (
        len(layers)
        and hasattr(layers[0], "intermediate")
        and hasattr(getattr(layers[0].attention, "self", None), "query")
        and network.config.intermediate_size == 4 * bert.dimension
        and bert.word_embeddings.shape[1] == bert.dimension
    )
    if not alike:
        raise ModelError(
            f"the layers of a {network.config.model_type} can't be rearranged as a GPT-2's: "
            "name a GPT-2 for the product tower to start from"
        )
