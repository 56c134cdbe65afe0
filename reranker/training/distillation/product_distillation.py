"""Distillation: the GPT-2 product tower learns to say what the BERT teacher says of the same text.

Loss, a batch: 1 - cos(pooled, teacher's pooled) + token_weight x mean(1 - cos(token, teacher's token)) +
relation_weight x KL between the in-batch similarity distributions of teacher and student
(relational knowledge distillation, Park et al. 2019). The token term is what lets BERT query tokens
attend to GPT-2 product tokens: both towers share the WordPiece vocabulary and, after this, a space.

With made queries at hand, batches are drawn as neighbourhoods of products and two more terms are added:
rank_weight x KL between teacher's and student's distributions of each query's cosines over the batch's
products, token_rank_weight x the same of its token matches. So what queries tell apart counts for more.
"""

import math
from collections.abc import Sequence
from pathlib import Path
from pickle import UnpicklingError
from typing import Generic, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from mappings.errors import ModelError
from reranker.encoders.codec import normalise
from reranker.training.distillation.agreement import compute_divergence, match_tokens
from reranker.training.distillation.teacher import QueryStates, TeacherStates
from reranker.training.encoders.gpt2 import mean_pool
from reranker.training.recipe import DistillationConfig
from reranker.training.run.device import use_half_precision
from reranker.training.run.progress import ReportProgress

_Tower = TypeVar("_Tower", bound=nn.Module)
"""Maps right-padded ids (B, T) to states (B, T, d)."""

_WARMUP_PART = 5
"""Part of its steps that a short distillation warms up for at most: it has to reach the full rate."""

_GROUP = 32
"""Batches that are drawn together, so that texts of like length meet in one."""


def distil_tower(
    tower: _Tower,
    teacher: TeacherStates,
    weights: NDArray[np.float64],
    config: DistillationConfig,
    progress: ReportProgress,
) -> _Tower:
    """Train `tower` in place on texts drawn with the given `weights` (n,); return it."""
    run = Distillation(tower, teacher, weights, config, torch.device("cpu"))
    while run.step < run.steps:
        run.advance()
        progress(run.step, run.steps)
    return run.finished()


class Distillation(Generic[_Tower]):
    """Distillation, a step at a time. Between two steps it can be stopped, saved and loaded again.

    What a step does follows from the seed, its number and `steps`, which may be set anew on the way: the
    learning rate falls by the share of them that is done.
    """

    def __init__(
        self,
        tower: _Tower,
        teacher: TeacherStates,
        weights: NDArray[np.float64],
        config: DistillationConfig,
        device: torch.device,
        queries: QueryStates | None = None,
    ) -> None:
        """Train `tower` in place, on `device`, on texts drawn with the given `weights` (n,).

        `queries` are made from these texts.
        """
        self.step = 0
        self.steps = config.steps
        self._config, self._device = config, device
        self._tower = tower.to(device).train()
        self._teacher = teacher
        self._chances = weights / weights.sum()
        self._lengths = np.array([len(i) for i in teacher.ids])
        self._group: tuple[int, list[NDArray[np.int64]]] = (-1, [])
        self._asked = queries
        self._queries: dict[int, list[int]] = {}
        if queries:
            self._vectors = np.stack(
                [normalise(s.astype(np.float32).mean(0)) for s in teacher.states]
            )  # (n, d)
            for query, row in enumerate(queries.rows.tolist()):
                self._queries.setdefault(row, []).append(query)
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
        rows, queries = self._drawn()
        ids, lengths, target = (t.to(self._device) for t in _padded(self._teacher, rows))
        with use_half_precision(self._device):
            states = self._tower(ids)  # (B, T, d)
        loss = compute_distillation_loss(states.float(), target, lengths, self._config)
        if self._asked and queries:
            query_batch = [t.to(self._device) for t in _padded_queries(self._asked, queries)]
            loss = loss + compute_ranking_loss(states.float(), target, lengths, query_batch, self._config)
        self._optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self._trained, 1.0)
        self._optimizer.step()
        self.step += 1

    def finished(self) -> _Tower:
        """Return the tower, on the CPU, for use."""
        return self._tower.cpu().eval()

    def save(self, path: Path) -> None:
        """Write all that is needed to continue. The frozen word embeddings are left out."""
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
            raise ModelError(f"{path} can't be continued ({error}): start over with --fresh") from error

    def _schedule(self) -> float:
        """Share of the full learning rate: up while warming up, then down in a cosine."""
        warmup = min(self._config.warmup, self.steps // _WARMUP_PART)
        if self.step < warmup:
            return (self.step + 1) / warmup
        done = (self.step - warmup) / max(1, self.steps - warmup)
        return 0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * min(done, 1.0)))

    def _drawn(self) -> tuple[NDArray[np.int64], list[int]]:
        """Row numbers of this step's texts, and of queries made of them."""
        if not self._asked:
            return self._rows(), []
        config, total = self._config, len(self._chances)
        random = np.random.default_rng((config.seed, self.step))
        rows: list[int] = []
        for seed in random.choice(total, config.batch // (config.neighbours + 1), p=self._chances).tolist():
            neighbour_pool = random.choice(total, min(config.neighbour_pool, total), replace=False)
            near = neighbour_pool[
                np.argsort(-(self._vectors[neighbour_pool] @ self._vectors[seed]))[
                    : 2 * config.neighbours + 2
                ]
            ]
            rows += [seed, *random.choice(near, min(config.neighbours, len(near)), replace=False).tolist()]
        rows = list(dict.fromkeys(rows))
        queries = [int(random.choice(self._queries[row])) for row in rows if row in self._queries]
        return np.array(rows), queries[: config.queries]

    def _rows(self) -> NDArray[np.int64]:
        """Row numbers of this step's texts: drawn by weight, of similar length within a batch."""
        number, at = divmod(self.step, _GROUP)
        if self._group[0] != number:
            random = np.random.default_rng((self._config.seed, number))
            batch = self._config.batch
            drawn = random.choice(len(self._chances), size=_GROUP * batch, p=self._chances)
            drawn = drawn[np.argsort(self._lengths[drawn] + random.random(len(drawn)), kind="stable")]
            order = random.permutation(_GROUP)
            self._group = (number, [drawn[i * batch : (i + 1) * batch] for i in order])
        return self._group[1][at]


def compute_distillation_loss(
    states: Tensor, target: Tensor, lengths: Tensor, config: DistillationConfig
) -> Tensor:
    """Loss of student `states` (B, T, d) against the teacher's `target` (B, T, d), both right-padded."""
    mask = torch.arange(states.shape[1], device=states.device) < lengths[:, None]  # (B, T)
    student, teacher = mean_pool(states, lengths), mean_pool(target, lengths)  # (B, d)
    pooled = 1 - (student * teacher).sum(-1).mean()
    tokens = 1 - F.cosine_similarity(states[mask], target[mask], dim=-1).mean()
    eye = torch.eye(len(states), dtype=torch.bool, device=states.device)
    student_sim = (student @ student.T).masked_fill(eye, -1e3)  # (B, B)
    teacher_sim = (teacher @ teacher.T).masked_fill(eye, -1e3)  # (B, B)
    relation = compute_divergence(student_sim, teacher_sim, 1 / config.temperature)
    return pooled + config.token_weight * tokens + config.relation_weight * relation


def compute_ranking_loss(
    states: Tensor, target: Tensor, lengths: Tensor, query_batch: Sequence[Tensor], config: DistillationConfig
) -> Tensor:
    """KL of how queries rank the student's `states` (B, T, d) against the teacher's `target` (B, T, d).

    `query_batch` has the queries' pooled vectors (Q, d), token states (Q, L, d) and mask (Q, L).
    """
    vectors, tokens, mask = query_batch
    present = torch.arange(states.shape[1], device=states.device) < lengths[:, None]  # (B, T)
    present[:, 0] = False  # [CLS] matches anything

    def matches(product_states: Tensor) -> Tensor:
        return match_tokens(tokens, mask, F.normalize(product_states, dim=-1), present)

    slope = 1 / config.temperature
    cosines = compute_divergence(
        vectors @ mean_pool(states, lengths).T, vectors @ mean_pool(target, lengths).T, slope
    )
    ranks = compute_divergence(matches(states), matches(target), slope)
    return config.rank_weight * cosines + config.token_rank_weight * ranks


def _padded_queries(states_of: QueryStates, queries: Sequence[int]) -> tuple[Tensor, Tensor, Tensor]:
    """Pooled vectors (Q, d), token states (Q, L, d) and mask (Q, L) of queries."""
    rows = [states_of.tokens[query] for query in queries]
    tokens = torch.zeros(len(rows), max(map(len, rows)), rows[0].shape[1])
    mask = torch.zeros(tokens.shape[:2], dtype=torch.bool)
    for row, states in enumerate(rows):
        tokens[row, : len(states)] = torch.from_numpy(states.astype(np.float32))
        mask[row, : len(states)] = True
    return torch.from_numpy(states_of.pooled[list(queries)]), tokens, mask


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
