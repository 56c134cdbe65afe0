"""How like one encoder's judgements are to another's: what tuning and distillation make small."""

import torch
from torch import Tensor
from torch.nn import functional as F


def compute_divergence(student: Tensor, teacher: Tensor, slope: float) -> Tensor:
    """KL from teacher to student between the distributions softmax(slope x similarities) of the last axis."""
    said, taught = F.log_softmax(student * slope, -1), F.log_softmax(teacher * slope, -1)
    return F.kl_div(said, taught, log_target=True, reduction="batchmean")


def match_tokens(x: Tensor, x_mask: Tensor, y: Tensor, y_mask: Tensor) -> Tensor:
    """Mean over query tokens of their best cosine with a product token (Q, P).

    x: (Q, A, d) and y: (P, B, d) are unit rows, `x_mask` (Q, A) and `y_mask` (P, B) say which are tokens.
    """
    cosines = torch.einsum("qad,pbd->qapb", x, y)
    best = cosines.masked_fill(~y_mask[None, None], -1).amax(-1)  # (Q, A, P)
    return (best * x_mask[:, :, None]).sum(1) / x_mask.sum(1, keepdim=True).clamp_min(1)
