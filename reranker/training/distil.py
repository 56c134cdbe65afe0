"""Distillation: the GPT-2 product tower learns to say what the BERT teacher says of the same text.

Loss, a batch: 1 - cos(pooled, teacher's pooled) + token_weight x mean(1 - cos(token, teacher's token)) +
relation_weight x KL between the in-batch similarity distributions of teacher and student
(relational knowledge distillation, Park et al. 2019). The token term is what lets BERT query tokens
attend to GPT-2 product tokens: both towers share the WordPiece vocabulary and, after this, a space.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from reranker.training.gpt2 import ProductTower, pool
from reranker.training.teacher import TeacherStates


@dataclass(frozen=True)
class DistilConfig:
    """What distillation does; all of it is stamped into the model's config."""

    steps: int = 1200
    batch: int = 48
    learning_rate: float = 6e-4
    warmup: int = 100
    weight_decay: float = 0.01
    token_weight: float = 0.5
    relation_weight: float = 0.1
    temperature: float = 0.05
    seed: int = 7


def distil(
    tower: ProductTower,
    teacher: TeacherStates,
    weights: NDArray[np.float64],
    config: DistilConfig,
    progress: Callable[[int, int], None],
) -> ProductTower:
    """Train `tower` in place on texts drawn with the given `weights` (n,); return it."""
    torch.manual_seed(config.seed)
    decayed = [p for p in tower.parameters() if p.requires_grad and p.ndim > 1]
    plain = [p for p in tower.parameters() if p.requires_grad and p.ndim <= 1]
    optimizer = torch.optim.AdamW(
        [{"params": decayed, "weight_decay": config.weight_decay}, {"params": plain, "weight_decay": 0.0}],
        lr=config.learning_rate,
        betas=(0.9, 0.98),
    )
    tower.train()
    for step, rows in enumerate(_batches(teacher, weights, config)):
        for group in optimizer.param_groups:
            group["lr"] = config.learning_rate * _schedule(step, config)
        ids, lengths, target = _padded(teacher, rows)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            states = tower(ids)  # (B, T, d)
        loss = distil_loss(states.float(), target, lengths, config)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(decayed + plain, 1.0)
        optimizer.step()
        progress(step + 1, config.steps)
    return tower.eval()


def distil_loss(states: Tensor, target: Tensor, lengths: Tensor, config: DistilConfig) -> Tensor:
    """Loss of student `states` (B, T, d) against the teacher's `target` (B, T, d), both right-padded."""
    mask = torch.arange(states.shape[1]) < lengths[:, None]  # (B, T)
    student, teacher = pool(states, lengths), pool(target, lengths)  # (B, d)
    pooled = 1 - (student * teacher).sum(-1).mean()
    tokens = 1 - F.cosine_similarity(states[mask], target[mask], dim=-1).mean()
    eye = torch.eye(len(states), dtype=torch.bool)
    student_sim = (student @ student.T / config.temperature).masked_fill(eye, -1e4)  # (B, B)
    teacher_sim = (teacher @ teacher.T / config.temperature).masked_fill(eye, -1e4)  # (B, B)
    relation = F.kl_div(
        F.log_softmax(student_sim, -1), F.log_softmax(teacher_sim, -1), log_target=True, reduction="batchmean"
    )
    return pooled + config.token_weight * tokens + config.relation_weight * relation


def _schedule(step: int, config: DistilConfig) -> float:
    if step < config.warmup:
        return (step + 1) / config.warmup
    done = (step - config.warmup) / max(1, config.steps - config.warmup)
    return 0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * done))


def _batches(
    teacher: TeacherStates, weights: NDArray[np.float64], config: DistilConfig
) -> Iterator[NDArray[np.int64]]:
    """Yield row numbers, one batch a step: drawn by weight, of similar length within a batch."""
    random = np.random.default_rng(config.seed)
    chances = weights / weights.sum()
    lengths = np.array([len(i) for i in teacher.ids])
    left = config.steps
    while left:
        group = min(left, 32)
        drawn = random.choice(len(chances), size=group * config.batch, p=chances)
        drawn = drawn[np.argsort(lengths[drawn] + random.random(len(drawn)), kind="stable")]
        for batch in random.permutation(group):
            yield drawn[batch * config.batch : (batch + 1) * config.batch]
        left -= group


def _padded(teacher: TeacherStates, rows: NDArray[np.int64]) -> tuple[Tensor, Tensor, Tensor]:
    lengths = torch.tensor([len(teacher.ids[i]) for i in rows])
    width = int(lengths.max())
    ids = torch.zeros(len(rows), width, dtype=torch.long)
    target = torch.zeros(len(rows), width, teacher.states[0].shape[1])
    for row, i in enumerate(rows):
        n = len(teacher.ids[i])
        ids[row, :n] = torch.from_numpy(teacher.ids[i])
        target[row, :n] = torch.from_numpy(teacher.states[i].astype(np.float32))
    return ids, lengths, target
