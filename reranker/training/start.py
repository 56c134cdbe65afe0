"""Where the product tower starts from: the layers of a BERT, rearranged as a GPT-2."""

from collections.abc import Sequence

import torch
from torch import nn

from reranker.training.bert import Bert
from reranker.training.gpt2 import Block, Conv1D, GPT2Config, ProductTower


def new_tower(bert: Bert, layers: Sequence[int], positions: int) -> ProductTower:
    """Return a tower that starts from the given encoder layers of a BERT, its word embeddings frozen.

    BERT normalises after each sublayer and GPT-2 before, so each norm moves to the input of the sublayer that
    used to read its output, and embeddings are scaled to the norm's output, which BERT would have put into
    the residual stream. What is lost by the running sum and by looking left only, distillation mends: after
    100 steps of 32 the cosine to the teacher is 0.92, from random blocks 0.66.
    """
    network = bert.network
    config = GPT2Config(
        vocab_size=len(bert.word_embeddings),
        n_positions=positions,
        n_embd=bert.dimension,
        n_layer=len(layers),
        n_head=network.config.num_attention_heads,
    )
    tower = ProductTower(config, bert.dimension)
    gpt2, embeddings = tower.transformer, network.embeddings
    where = embeddings.position_embeddings.weight[:positions] + embeddings.token_type_embeddings.weight[0]
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
