"""The query encoder, tuned: a small BERT learns to judge as an ensemble of encoders does.

Encoders that were trained on other data err on other products: the mean of their judgements is better than
each one's, and too slow to serve. So the small one is trained to say what all say: on batches of queries made
from catalogues and of neighbouring products, KL between the distributions of student and ensemble over the
products, of their cosines, of their token matches and of both together (Hinton et al. 2015; margins as in
Hofstätter et al. 2020), and of the products' cosines among themselves. No label has a part in it.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from mappings.types import Product
from reranker.probes.known_items import make_queries
from reranker.text.product_text import build_product_text
from reranker.training.distillation.agreement import compute_divergence, match_tokens
from reranker.training.encoders.bert import Bert
from reranker.training.encoders.teachers import ReadTexts, TeacherReader
from reranker.training.recipe import QueryDistillationConfig
from reranker.training.run.device import choose_device, use_half_precision
from reranker.training.run.progress import ReportProgress
from reranker.types import Floats

_QUERIES_PER_PAIR = 4
"""Queries made of a product that people's queries were judged with, beside theirs."""


@dataclass(frozen=True)
class QueryDistillationData:
    """Texts of products in groups (a group a catalogue) and queries, each of one product's row.

    `shares` is how often a cluster of a batch comes from each group.
    """

    texts: Sequence[str]
    groups: Sequence[NDArray[np.int64]]
    shares: Sequence[float]
    queries: Sequence[tuple[str, int]]


def draw_distillation_data(
    catalogues: Sequence[tuple[Sequence[Product], int, int, float]],
    pairs: Sequence[tuple[str, Product]],
    share: float,
    seed: int,
) -> QueryDistillationData:
    """Draw from each catalogue: (products, how many of them, how many made queries, share of the batches).

    `pairs` are people's queries, each with a product: a group of their own, of this `share`.
    """
    random = np.random.default_rng(seed)
    texts: list[str] = []
    groups: list[NDArray[np.int64]] = []
    queries: list[tuple[str, int]] = []
    drawn = [
        (
            [products[i] for i in random.choice(len(products), min(count, len(products)), replace=False)],
            count_queries,
        )
        for products, count, count_queries, _ in catalogues
    ]
    for products, count_queries in [
        *drawn,
        ([product for _, product in pairs], _QUERIES_PER_PAIR * len(pairs)),
    ]:
        first = len(texts)
        texts += [build_product_text(product).pooled for product in products]
        groups.append(np.arange(first, len(texts)))
        queries += [(query, first + row) for query, row in make_queries(products, count_queries, seed)]
    queries += [(query, int(groups[-1][row])) for row, (query, _) in enumerate(pairs)]
    return QueryDistillationData(texts, groups, [*(shares for *_, shares in catalogues), share], queries)


def distil_query_encoder(
    student: Bert,
    teachers: Sequence[TeacherReader],
    data: QueryDistillationData,
    config: QueryDistillationConfig,
    progress: ReportProgress,
) -> Bert:
    """Train `student` in place, all but its word embeddings, and return it, frozen again."""
    torch.manual_seed(config.seed)
    random = np.random.default_rng(config.seed)
    ensemble = [_let_read(teacher, data, config, random) for teacher in teachers]
    device = choose_device()
    network = student.network.to(device)
    network.requires_grad_(True)
    network.get_input_embeddings().requires_grad_(False)
    trained = [p for p in network.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(
        trained, lr=config.learning_rate, weight_decay=config.weight_decay, betas=(0.9, 0.98)
    )
    product_ids = student.token_ids(data.texts, config.product_tokens)
    query_ids = student.token_ids([q for q, _ in data.queries], config.query_tokens)
    vectors = np.concatenate([teacher.products.pooled for teacher in ensemble], 1)
    batches = _Batches(data, vectors, config, random)
    for step in range(config.steps):
        for group in optimizer.param_groups:
            group["lr"] = config.learning_rate * _schedule(step, config)
        p, q = batches.draw()
        wanted = _judge_together(ensemble, p, q)
        with use_half_precision(device):
            product_states = _states(student, [product_ids[i] for i in p], device)
            query_states = _states(student, [query_ids[k] for k in q], device)
        judged = _compared(*query_states, *product_states)
        loss = _loss(judged, [w.to(device) for w in wanted], config)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        progress(step + 1, config.steps)
    network.cpu().eval().requires_grad_(False)
    return student


def _loss(student: Sequence[Tensor], wanted: Sequence[Tensor], config: QueryDistillationConfig) -> Tensor:
    """Loss of what was found against what the ensemble wants: each as `_compared` returns it."""
    (cosine, match, among), (cosine_w, match_w, among_w) = student, wanted
    both, both_w = cosine + config.token_share * match, cosine_w + config.token_share * match_w
    parts = compute_divergence(cosine, cosine_w, config.part_slope) + compute_divergence(
        match, match_w, config.part_slope
    )
    itself = torch.eye(len(among), dtype=torch.bool, device=among.device)
    relation = compute_divergence(
        among.masked_fill(itself, -9), among_w.masked_fill(itself, -9), config.part_slope
    )
    margins = _margin(cosine, cosine_w) + _margin(match, match_w)
    return (
        compute_divergence(both, both_w, config.slope)
        + config.part_weight * parts
        + config.relation_weight * relation
        + config.margin_weight * margins
    )


def _margin(student: Tensor, wanted: Tensor) -> Tensor:
    off = (student - student.mean(-1, keepdim=True)) - (wanted - wanted.mean(-1, keepdim=True))
    return off.square().mean()


def _compared(
    queries: Tensor, query_mask: Tensor, products: Tensor, product_mask: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Cosines, token matches, and cosines among products, of states (B, T, d) and masks (B, T).

    A mask is 1 where there is a token, 2 where it is one that is matched: no marker.
    """
    q = F.normalize((queries * (query_mask > 0)[:, :, None]).sum(1), dim=-1)
    p = F.normalize((products * (product_mask > 0)[:, :, None]).sum(1), dim=-1)
    match = match_tokens(
        F.normalize(queries, dim=-1), query_mask == 2, F.normalize(products, dim=-1), product_mask == 2
    )
    return q @ p.T, match, p @ p.T


def _states(bert: Bert, ids: Sequence[Sequence[int]], device: torch.device) -> tuple[Tensor, Tensor]:
    """Token states (B, T, d) and mask (B, T), as `_compared` takes it."""
    rows = torch.zeros(len(ids), max(map(len, ids)), dtype=torch.long)
    mask = torch.zeros_like(rows)
    for row, text_ids in enumerate(ids):
        rows[row, : len(text_ids)] = torch.tensor(text_ids)
        mask[row, : len(text_ids)] = 1
        mask[row, 1 : len(text_ids) - 1] = 2
    rows, mask = rows.to(device), mask.to(device)
    states = bert.network(input_ids=rows, attention_mask=(mask > 0).long()).last_hidden_state.float()
    return states, mask


@dataclass(frozen=True)
class _Teacher:
    """One teacher's reading of the data: products and queries, in the rows of the data."""

    products: ReadTexts
    queries: ReadTexts

    def judge(self, p: Sequence[int], q: Sequence[int]) -> tuple[Tensor, Tensor, Tensor]:
        """Return what it says of queries q and products p: as `_compared`."""
        y, x = torch.from_numpy(self.products.pooled[p]), torch.from_numpy(self.queries.pooled[q])
        match = match_tokens(
            *_padded([self.queries.tokens[k] for k in q]), *_padded([self.products.tokens[i] for i in p])
        )
        return x @ y.T, match, y @ y.T


def _let_read(
    teacher: TeacherReader,
    data: QueryDistillationData,
    config: QueryDistillationConfig,
    random: np.random.Generator,
) -> _Teacher:
    projection = _choose_projection(teacher, data.texts, config, random)
    return _Teacher(
        teacher.read_products(data.texts, config.product_tokens, projection),
        teacher.read_queries([query for query, _ in data.queries], config.query_tokens, projection),
    )


def _judge_together(ensemble: Sequence[_Teacher], p: Sequence[int], q: Sequence[int]) -> list[Tensor]:
    """Return the mean of the teachers' judgements: as `_compared`."""
    judged = [teacher.judge(p, q) for teacher in ensemble]
    return [torch.stack(tensors).mean(0) for tensors in zip(*judged, strict=True)]


def _padded(rows: Sequence[NDArray[np.float16]]) -> tuple[Tensor, Tensor]:
    out = torch.zeros(len(rows), max(map(len, rows)), rows[0].shape[1])
    mask = torch.zeros(out.shape[:2], dtype=torch.bool)
    for row, states in enumerate(rows):
        out[row, : len(states)] = torch.from_numpy(states.astype(np.float32))
        mask[row, : len(states)] = True
    return F.normalize(out, dim=-1), mask


def _choose_projection(
    teacher: TeacherReader,
    texts: Sequence[str],
    config: QueryDistillationConfig,
    random: np.random.Generator,
) -> Floats:
    """Return the projection (d, token_width) that keeps most of the dot products between token states."""
    some = random.choice(len(texts), min(400, len(texts)), replace=False)
    sample = np.concatenate(teacher.read_products([texts[i] for i in some], config.product_tokens).tokens)
    _, vectors = np.linalg.eigh(sample.astype(np.float32).T @ sample.astype(np.float32))  # ascending
    leading: Floats = np.ascontiguousarray(vectors[:, ::-1][:, : config.token_width]).astype(np.float32)
    return leading


class _Batches:
    """Draws batches: clusters of neighbouring products, random negatives, and a query of each product."""

    def __init__(
        self,
        data: QueryDistillationData,
        vectors: Floats,
        config: QueryDistillationConfig,
        random: np.random.Generator,
    ) -> None:
        self._data, self._vectors, self._config, self._random = data, vectors, config, random
        self._queries: dict[int, list[int]] = {}
        for k, (_, row) in enumerate(data.queries):
            self._queries.setdefault(row, []).append(k)

    def draw(self) -> tuple[list[int], list[int]]:
        """Rows of products and of queries."""
        random, config = self._random, self._config
        rows: list[int] = []
        for _ in range(config.clusters):
            group = self._data.groups[random.choice(len(self._data.groups), p=self._data.shares)]
            seed = int(random.choice(group))
            most = min(config.nearest, len(group) - 1)
            near = group[np.argpartition(-(self._vectors[group] @ self._vectors[seed]), most)[:most]]
            rows += [seed, *random.choice(near, min(config.neighbours, most), replace=False).tolist()]
        rows += random.integers(len(self._data.texts), size=config.random_negatives).tolist()
        rows = list(dict.fromkeys(rows))
        queries = [int(random.choice(self._queries[i])) for i in rows if i in self._queries]
        random.shuffle(queries)
        return rows, queries[: config.queries]


def _schedule(step: int, config: QueryDistillationConfig) -> float:
    """Share of the full learning rate: up while warming up, down in a cosine all along."""
    return min(1.0, (step + 1) / config.warmup) * (
        0.03 + 0.97 * 0.5 * (1 + math.cos(math.pi * step / config.steps))
    )
