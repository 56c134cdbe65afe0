"""The GPT-2 product tower: one network, top to bottom, in torch.

The architecture is GPT-2's own (Radford et al. 2019: pre-norm blocks, causal attention, learned
positions, tanh-GELU) and its parameters bear Hugging Face's names, so a state dict goes both ways.
The shape of the module follows karpathy/nanoGPT.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F


@dataclass(frozen=True)
class GPT2Config:
    """Sizes of the tower."""

    vocab_size: int
    n_positions: int = 128
    n_embd: int = 384
    n_layer: int = 4
    n_head: int = 6
    layer_norm_epsilon: float = 1e-5


class Conv1D(nn.Module):
    """GPT-2's linear layer: weight stored (in, out)."""

    def __init__(self, n_in: int, n_out: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(n_in, n_out) * 0.02)
        self.bias = nn.Parameter(torch.zeros(n_out))

    def forward(self, x: Tensor) -> Tensor:
        """Map (..., in) to (..., out)."""
        return x @ self.weight + self.bias


class Attention(nn.Module):
    """Causal multi-head self-attention."""

    def __init__(self, config: GPT2Config) -> None:
        super().__init__()
        self.n_head = config.n_head
        self.c_attn = Conv1D(config.n_embd, 3 * config.n_embd)
        self.c_proj = Conv1D(config.n_embd, config.n_embd)
        self.c_proj.weight.data.mul_(1 / math.sqrt(2 * config.n_layer))

    def forward(self, x: Tensor) -> Tensor:
        """Attend within each row of (B, T, C), to the left only. Padding sits on the right, so it is never
        seen.
        """
        B, T, C = x.shape
        q, k, v = self.c_attn(x).split(C, dim=2)
        q, k, v = (
            t.view(B, T, self.n_head, C // self.n_head).transpose(1, 2) for t in (q, k, v)
        )  # (B, nh, T, hs)
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)  # (B, nh, T, hs)
        out: Tensor = self.c_proj(y.transpose(1, 2).reshape(B, T, C))
        return out


class MLP(nn.Module):
    """Position-wise feed-forward layer, four times as wide."""

    def __init__(self, config: GPT2Config) -> None:
        super().__init__()
        self.c_fc = Conv1D(config.n_embd, 4 * config.n_embd)
        self.c_proj = Conv1D(4 * config.n_embd, config.n_embd)
        self.c_proj.weight.data.mul_(1 / math.sqrt(2 * config.n_layer))

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, T, C) to (B, T, C)."""
        out: Tensor = self.c_proj(F.gelu(self.c_fc(x), approximate="tanh"))
        return out


class Block(nn.Module):
    """One pre-norm transformer block."""

    def __init__(self, config: GPT2Config) -> None:
        super().__init__()
        self.ln_1 = nn.LayerNorm(config.n_embd, eps=config.layer_norm_epsilon)
        self.attn = Attention(config)
        self.ln_2 = nn.LayerNorm(config.n_embd, eps=config.layer_norm_epsilon)
        self.mlp = MLP(config)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, T, C) to (B, T, C)."""
        x = x + self.attn(self.ln_1(x))
        out: Tensor = x + self.mlp(self.ln_2(x))
        return out


class GPT2(nn.Module):
    """Token ids in, token states out."""

    def __init__(self, config: GPT2Config) -> None:
        super().__init__()
        self.config = config
        self.wte = nn.Embedding(config.vocab_size, config.n_embd)
        self.wpe = nn.Embedding(config.n_positions, config.n_embd)
        nn.init.normal_(self.wpe.weight, std=0.02)
        self.h = nn.ModuleList(Block(config) for _ in range(config.n_layer))
        self.ln_f = nn.LayerNorm(config.n_embd, eps=config.layer_norm_epsilon)

    def forward(self, ids: Tensor) -> Tensor:
        """Map ids (B, T) to states (B, T, C). Right-padded rows need no mask: attention looks left."""
        positions = torch.arange(ids.shape[1], device=ids.device)
        x = self.wte(ids) + self.wpe(positions)  # (B, T, C)
        for block in self.h:
            x = block(x)
        out: Tensor = self.ln_f(x)
        return out


class ProductTower(nn.Module):
    """GPT-2, then one linear map into the space of the BERT teacher."""

    def __init__(self, config: GPT2Config, dimension: int) -> None:
        super().__init__()
        self.transformer = GPT2(config)
        self.head = nn.Linear(config.n_embd, dimension)

    @property
    def positions(self) -> int:
        """How many tokens the tower can read."""
        return self.transformer.config.n_positions

    def forward(self, ids: Tensor) -> Tensor:
        """Map ids (B, T) to states aligned with the teacher's (B, T, d)."""
        out: Tensor = self.head(self.transformer(ids))
        return out


def mean_pool(states: Tensor, lengths: Tensor) -> Tensor:
    """Mean of the first `lengths` (B,) states of each row of (B, T, d), as unit vectors (B, d)."""
    mask = (torch.arange(states.shape[1], device=states.device) < lengths[:, None]).to(states.dtype)  # (B, T)
    return F.normalize((states * mask[:, :, None]).sum(1), dim=-1)
