"""Distillation: the GPT-2 product tower learns to say what the BERT teacher says of the same text.

Loss, a batch: 1 - cos(pooled, teacher's pooled) + token_weight x mean(1 - cos(token, teacher's token)) +
relation_weight x KL between the in-batch similarity distributions of teacher and student
(relational knowledge distillation, Park et al. 2019). The token term is what lets BERT query tokens
attend to GPT-2 product tokens: both towers share the WordPiece vocabulary and, after this, a space.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from pickle import UnpicklingError

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from mappings.errors import ModelError
from reranker.training.device import half_precision
from reranker.training.gpt2 import ProductTower, pool
from reranker.training.teacher import TeacherStates

GROUP = 32
"""Batches that are drawn together, so that texts of like length meet in one."""


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
    run = Distillation(tower, teacher, weights, config, torch.device("cpu"))
    while run.step < run.steps:
        run.advance()
        progress(run.step, run.steps)
    return run.finished()


class Distillation:
    """Distillation a step at a time: it can be stopped between two, saved, and gone on with.

    What a step does follows from the seed, its number and `steps`, which may be set anew on the way: the
    learning rate falls by the share of them that is done.
    """

    def __init__(
        self,
        tower: ProductTower,
        teacher: TeacherStates,
        weights: NDArray[np.float64],
        config: DistilConfig,
        device: torch.device,
    ) -> None:
        """Train `tower` in place, on `device`, on texts drawn with the given `weights` (n,)."""
        self.step = 0
        self.steps = config.steps
        self._config, self._device = config, device
        self._tower = tower.to(device).train()
        self._teacher = teacher
        self._chances = weights / weights.sum()
        self._lengths = np.array([len(i) for i in teacher.ids])
        self._group: tuple[int, list[NDArray[np.int64]]] = (-1, [])
        decayed = [p for p in tower.parameters() if p.requires_grad and p.ndim > 1]
        plain = [p for p in tower.parameters() if p.requires_grad and p.ndim <= 1]
        self._trained = decayed + plain
        self._optimizer = torch.optim.AdamW(
            [
                {"params": decayed, "weight_decay": config.weight_decay},
                {"params": plain, "weight_decay": 0.0},
            ],
            lr=config.learning_rate,
            betas=(0.9, 0.98),
        )

    def advance(self) -> None:
        """Take one step."""
        for group in self._optimizer.param_groups:
            group["lr"] = self._config.learning_rate * self._schedule()
        ids, lengths, target = (t.to(self._device) for t in _padded(self._teacher, self._rows()))
        with half_precision(self._device):
            states = self._tower(ids)  # (B, T, d)
        loss = distil_loss(states.float(), target, lengths, self._config)
        self._optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self._trained, 1.0)
        self._optimizer.step()
        self.step += 1

    def finished(self) -> ProductTower:
        """Return the tower, on the CPU, for use."""
        return self._tower.cpu().eval()

    def save(self, path: Path) -> None:
        """Write everything that going on needs; the frozen word embeddings are no part of it."""
        learnt = {name: p.detach() for name, p in self._tower.named_parameters() if p.requires_grad}
        state = {"step": self.step, "steps": self.steps, "tower": learnt}
        torch.save({**state, "optimizer": self._optimizer.state_dict()}, path)

    def load(self, path: Path) -> None:
        """Go on from what `save` wrote. Raises ModelError where the file is damaged or another tower's."""
        try:
            state = torch.load(path, map_location=self._device, weights_only=True)
            missing, unexpected = self._tower.load_state_dict(state["tower"], strict=False)
            if unexpected or any(self._tower.get_parameter(name).requires_grad for name in missing):
                raise KeyError("it is another tower's")
            self._optimizer.load_state_dict(state["optimizer"])
            self.step, self.steps = state["step"], state["steps"]
        except (OSError, RuntimeError, KeyError, ValueError, EOFError, UnpicklingError) as error:
            raise ModelError(f"{path} can't be gone on from ({error}): start over") from error

    def _schedule(self) -> float:
        """Share of the full learning rate: up while warming up, then down in a cosine."""
        warmup = self._config.warmup
        if self.step < warmup:
            return (self.step + 1) / warmup
        done = (self.step - warmup) / max(1, self.steps - warmup)
        return 0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * min(done, 1.0)))

    def _rows(self) -> NDArray[np.int64]:
        """Row numbers of this step's texts: drawn by weight, of similar length within a batch."""
        number, at = divmod(self.step, GROUP)
        if self._group[0] != number:
            random = np.random.default_rng((self._config.seed, number))
            batch = self._config.batch
            drawn = random.choice(len(self._chances), size=GROUP * batch, p=self._chances)
            drawn = drawn[np.argsort(self._lengths[drawn] + random.random(len(drawn)), kind="stable")]
            order = random.permutation(GROUP)
            self._group = (number, [drawn[i * batch : (i + 1) * batch] for i in order])
        return self._group[1][at]


def distil_loss(states: Tensor, target: Tensor, lengths: Tensor, config: DistilConfig) -> Tensor:
    """Loss of student `states` (B, T, d) against the teacher's `target` (B, T, d), both right-padded."""
    mask = torch.arange(states.shape[1], device=states.device) < lengths[:, None]  # (B, T)
    student, teacher = pool(states, lengths), pool(target, lengths)  # (B, d)
    pooled = 1 - (student * teacher).sum(-1).mean()
    tokens = 1 - F.cosine_similarity(states[mask], target[mask], dim=-1).mean()
    eye = torch.eye(len(states), dtype=torch.bool, device=states.device)
    student_sim = (student @ student.T / config.temperature).masked_fill(eye, -1e4)  # (B, B)
    teacher_sim = (teacher @ teacher.T / config.temperature).masked_fill(eye, -1e4)  # (B, B)
    relation = F.kl_div(
        F.log_softmax(student_sim, -1), F.log_softmax(teacher_sim, -1), log_target=True, reduction="batchmean"
    )
    return pooled + config.token_weight * tokens + config.relation_weight * relation


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
