"""Training of the fusion's MLP on fixed towers.

Three kinds of examples, alone or together, each a list of candidates for one query:

soft     made from a bare catalogue: a distribution over the candidates, from the BERT teacher's judgement of
         query and product texts and from which product the query was made of. Loss: cross-entropy of the
         list.
graded   people's judgements. Loss: ListNet's top-one cross-entropy (Cao et al. 2007) over gains, and binary
         cross-entropy on relevance, which is what makes the output a probability.
pairs    judged pairs, one candidate a query: binary cross-entropy alone.

Few labels mislead: a ranker trained on the electronics judgements alone falls below untrained vectors. So
the MLP starts as the prior (PRIOR, a weighted sum of three features) and is held near it.

Every example speaks for one head: people's grades and the teacher for relevance, a click log for click and
purchase. All heads start at the prior and share the hidden layer.
"""

from collections.abc import Callable, Sequence, Set
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from reranker.fusion import FEATURES, HEADS, HIDDEN_UNITS, Scorer
from reranker.length_scaling import LONGEST, compute_length
from reranker.training.recipe import ScorerConfig
from reranker.types import Doubles, Floats

PRIOR = {"cosine": 1.0, "token_match": 0.5, "token_worst": 0.1}
"""What the scorer knows before it has learnt anything: features, weighted."""


@dataclass(frozen=True, slots=True)
class Example:
    """One query's candidates: fused inputs (n, F + t), and what they should score.

    `gains` is a distribution's unnormalised weight (n,), None where the list says nothing of order;
    `relevant` is the probability that each is relevant (n,), NaN for one that nobody judged, None for none
    judged. `head` is the place in HEADS of what they speak of: relevance, click or purchase. `tokens` are the
    query's.
    """

    inputs: Floats
    gains: Floats | None
    relevant: Floats | None
    weight: float = 1.0
    head: int = 0
    tokens: int = 1


class FusionMLP(nn.Module):
    """Dense 128, ReLU → Dense H over standardised inputs, every head started at the prior."""

    mean: Tensor
    scale: Tensor

    def __init__(self, mean: Floats, scale: Floats) -> None:
        super().__init__()
        self.register_buffer("mean", torch.from_numpy(mean))
        self.register_buffer("scale", torch.from_numpy(scale))
        self.hidden = nn.Linear(len(mean), HIDDEN_UNITS)
        self.output = nn.Linear(HIDDEN_UNITS, len(HEADS))
        with torch.no_grad():
            self.hidden.weight.mul_(0.3)
            self.output.weight.zero_()
            self.output.bias.zero_()
            # Two units carry the prior: relu(z) - relu(-z) = z.
            for unit, sign in ((0, 1.0), (1, -1.0)):
                self.hidden.weight[unit].zero_()
                self.hidden.bias[unit] = 0.0
                for name, weight in PRIOR.items():
                    at = FEATURES.index(name)
                    self.hidden.weight[unit, at] = sign * weight / float(scale[at]) * PRIOR_SLOPE
                self.output.weight[:, unit] = sign

    def forward(self, inputs: Tensor) -> Tensor:
        """Map fused inputs (..., F + t) to each head's logits (..., H)."""
        h = F.relu(self.hidden((inputs - self.mean) * self.scale))
        out: Tensor = self.output(h)
        return out


_RIDGE = 1e-3
_FLATTEST = 0.02
"""Least slope of the calibration: judgements that contradict the scorer must not turn its order round."""

PRIOR_SLOPE = 12.0
"""Logits per unit of the prior: about how fast relevance falls with cosine in the judgements."""


def compute_prior_logits(inputs: Tensor) -> Tensor:
    """Return the prior's logit of each input (...), up to a constant."""
    total = sum(inputs[..., FEATURES.index(name)] * weight for name, weight in PRIOR.items())
    assert isinstance(total, Tensor)
    return total * PRIOR_SLOPE


def train_scorer(
    examples: Sequence[Example],
    blank: Scorer,
    config: ScorerConfig,
    watch: Callable[[Scorer], float] | None = None,
) -> Scorer:
    """Train the MLP on `examples`; return it, calibrated, with the standardisation of its inputs. Seeded.

    Temperature and idf table are taken from `blank`: the inputs were computed with them. So are anchor and
    scaling where no list is judged. `watch` measures a scorer on held-out queries. Where it is given, it is
    called after every epoch, the best scorer is returned, and training ends after `patience` epochs without a
    better one.
    """
    torch.manual_seed(config.seed)
    every = np.concatenate([e.inputs for e in examples])
    mean = every.mean(0).astype(np.float32)
    scale = (1 / np.maximum(every.std(0), 1e-3)).astype(np.float32)
    scale[len(FEATURES) :] *= config.interaction_scale
    network = FusionMLP(mean, scale)
    optimizer = torch.optim.AdamW(
        network.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay
    )
    batches = _batched(examples, config)
    steps = config.epochs * len(batches)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: max(0.02, 1 - step / steps))
    order = np.random.default_rng(config.seed)
    network.train()
    taught = {e.head for e in examples}
    best, best_value, since = export_scorer(network, blank, taught), -1.0, 0
    for _ in range(config.epochs):
        for at in order.permutation(len(batches)):
            optimizer.zero_grad(set_to_none=True)
            _loss(network, batches[at], config).backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            schedule.step()
        if watch:
            current = export_scorer(network, blank, taught)
            value = watch(current)
            best, best_value, since = (
                (current, value, 0) if value > best_value else (best, best_value, since + 1)
            )
            if since == config.patience:
                break
    made = best if watch else export_scorer(network.eval(), blank, taught)
    calibrated = calibrate_scorer(replace(made, anchor=fit_anchor(examples, blank)), examples)
    return replace(calibrated, scaling=fit_scaling(calibrated, examples, blank))


def export_scorer(network: FusionMLP, blank: Scorer, taught: Set[int]) -> Scorer:
    """Return the network's parameters as the serving scorer; heads not `taught` become the first."""
    rows = [head if head in taught else 0 for head in range(len(HEADS))]
    with torch.no_grad():
        return Scorer(
            temperature=blank.temperature,
            idf_table=blank.idf_table,
            mean=network.mean.numpy().copy(),
            scale=network.scale.numpy().copy(),
            hidden=network.hidden.weight.numpy().T.copy(),
            hidden_bias=network.hidden.bias.numpy().copy(),
            output=network.output.weight.numpy()[rows].T.copy(),
            output_bias=network.output.bias.numpy()[rows].copy(),
        )


def calibrate_scorer(scorer: Scorer, examples: Sequence[Example]) -> Scorer:
    """Scale and shift each head's log-odds to fit the judged examples (Platt 1999); orders stay as they are.

    By lists, where there are any: they show what a search finds, good and bad, as single pairs don't. Where
    none is judged, relevance is fitted to what the scorer's anchor says of the lists that were made. A head
    without judged examples follows the first.
    """
    output, bias = scorer.output.copy(), scorer.output_bias.copy()
    fits: list[tuple[float, float]] = []
    for head in range(len(HEADS)):
        judged = [e for e in examples if e.relevant is not None and e.head == head]
        judged = _lists(judged) or (_anchored(scorer.anchor, examples) if head == 0 else []) or judged
        fits.append(_platt(scorer, judged, head) if judged else fits[0] if fits else (1.0, 0.0))
        slope, shift = fits[head]
        output[:, head] *= slope
        bias[head] = bias[head] * slope + shift
    return replace(scorer, output=output, output_bias=bias)


def fit_anchor(examples: Sequence[Example], blank: Scorer) -> Floats:
    """Return slope and shift of relevance's log-odds over the prior in judged lists, or else `blank`'s."""
    judged = _lists([e for e in examples if e.relevant is not None and e.head == 0])
    if not judged:
        return blank.anchor
    inputs = np.concatenate([e.inputs for e in judged])
    wanted = np.concatenate([e.relevant for e in judged if e.relevant is not None])
    x = np.stack([_prior(inputs), np.ones(len(inputs))], 1)
    return fit_logistic(x, wanted, np.zeros(len(x))).astype(np.float32)


def fit_scaling(scorer: Scorer, examples: Sequence[Example], blank: Scorer) -> Floats:
    """Return the scaling (3,) of a calibrated scorer's log-odds: `blank`'s where no list is judged.

    Judged lists alone have calibrated it for their catalogue, and nothing is scaled. Where there are pairs of
    another catalogue besides, both count alike, however many they are.
    """
    judged = [e for e in examples if e.relevant is not None and e.head == 0]
    lists, pairs = _lists(judged), [e for e in judged if len(e.inputs) == 1]
    if not lists:
        return blank.scaling
    if not pairs:
        return np.array([1, 0, 0], dtype=np.float32)
    sources = [_describe_odds(scorer, source) for source in (lists, pairs)]
    features = np.concatenate([x for x, _ in sources])
    relevant = np.concatenate([y for _, y in sources])
    weights = np.concatenate([np.full(len(y), 1 / len(y)) for _, y in sources]) * len(relevant) / len(sources)
    slope, by_length, shift = fit_logistic(features, relevant, np.zeros(len(relevant)), weights).tolist()
    slope = max(slope, _FLATTEST)
    by_length = max(by_length, (_FLATTEST - slope) / compute_length(LONGEST))
    return np.array([slope, by_length, shift], dtype=np.float32)


def _describe_odds(scorer: Scorer, judged: Sequence[Example]) -> tuple[Doubles, Doubles]:
    """Return what the scaling reads of judged products (n, 3), and whether each is relevant (n,)."""
    odds = np.concatenate([scorer.logits(e.inputs)[:, 0] for e in judged]).astype(np.float64)
    length = np.concatenate([np.full(len(e.inputs), compute_length(e.tokens)) for e in judged])
    wanted = np.concatenate([e.relevant for e in judged if e.relevant is not None]).astype(np.float64)
    known = ~np.isnan(wanted)
    return np.stack([odds, odds * length, np.ones(len(odds))], 1)[known], np.round(wanted[known])


def _anchored(anchor: Floats, examples: Sequence[Example]) -> list[Example]:
    """The lists of `examples` that nobody judged, with the anchor's probabilities; none without an anchor."""
    if np.isnan(anchor).any():
        return []
    unjudged = _lists([e for e in examples if e.relevant is None and e.head == 0])
    slope, shift = anchor.tolist()
    chances = [1 / (1 + np.exp(-(slope * _prior(e.inputs) + shift))) for e in unjudged]
    return [
        replace(e, relevant=chance.astype(np.float32)) for e, chance in zip(unjudged, chances, strict=True)
    ]


def _lists(examples: Sequence[Example]) -> list[Example]:
    return [e for e in examples if len(e.inputs) > 1]


def _prior(inputs: Floats) -> NDArray[np.float64]:
    total = sum(inputs[:, FEATURES.index(name)].astype(np.float64) * weight for name, weight in PRIOR.items())
    return np.asarray(total)


def _platt(scorer: Scorer, judged: Sequence[Example], head: int) -> tuple[float, float]:
    """Slope and shift of a head's log-odds that make `judged` likeliest; none where all are of one side."""
    inputs = np.concatenate([e.inputs for e in judged])
    wanted = np.concatenate([e.relevant for e in judged if e.relevant is not None])
    known = ~np.isnan(wanted)
    x, y = scorer.logits(inputs)[known, head].astype(np.float64), wanted[known]
    if not 0 < y.mean() < 1:
        return 1.0, 0.0
    slope, shift = fit_logistic(np.stack([x, np.ones_like(x)], 1), y, np.zeros_like(x))
    if slope < _FLATTEST:
        slope, (shift,) = _FLATTEST, fit_logistic(np.ones_like(x)[:, None], y, _FLATTEST * x)
    return float(slope), float(shift)


def fit_logistic(x: Doubles, y: Floats | Doubles, offset: Doubles, weights: Doubles | float = 1.0) -> Doubles:
    """Return the weights (w,) with which sigmoid(x·w + offset) makes outcomes y (n,) likeliest, by Newton.

    `weights` (n,) are what the outcomes count.
    """
    w = np.zeros(x.shape[1])
    for _ in range(30):  # the loss is convex
        p = 1 / (1 + np.exp(-np.clip(x @ w + offset, -30, 30)))
        hessian = (x * (weights * p * (1 - p))[:, None]).T @ x + _RIDGE * np.eye(len(w))
        w = w - np.linalg.solve(hessian, x.T @ (weights * (p - y)) + _RIDGE * w)
    return w


@dataclass(frozen=True, slots=True)
class _Batch:
    inputs: Tensor  # (B, n, F + t)
    present: Tensor  # (B, n)
    gains: Tensor  # (B, n), rows sum to 1, or 0 where the list has no order
    relevant: Tensor  # (B, n), NaN where nobody judged
    weight: Tensor  # (B,)
    head: Tensor  # (B,)


def _batched(examples: Sequence[Example], config: ScorerConfig) -> list[_Batch]:
    rows = sorted(range(len(examples)), key=lambda i: len(examples[i].inputs))
    batches = []
    for start in range(0, len(rows), config.list_batch):
        part = [examples[i] for i in rows[start : start + config.list_batch]]
        n = max(len(e.inputs) for e in part)
        inputs = torch.zeros(len(part), n, part[0].inputs.shape[1])
        present = torch.zeros(len(part), n, dtype=torch.bool)
        gains = torch.zeros(len(part), n)
        relevant = torch.full((len(part), n), float("nan"))
        for row, e in enumerate(part):
            size = len(e.inputs)
            inputs[row, :size] = torch.from_numpy(e.inputs)
            present[row, :size] = True
            if e.gains is not None and e.gains.sum() > 0:
                gains[row, :size] = torch.from_numpy(e.gains / e.gains.sum())
            if e.relevant is not None:
                relevant[row, :size] = torch.from_numpy(e.relevant)
        weight, head = torch.tensor([e.weight for e in part]), torch.tensor([e.head for e in part])
        batches.append(_Batch(inputs, present, gains, relevant, weight, head))
    return batches


def _loss(network: FusionMLP, batch: _Batch, config: ScorerConfig) -> Tensor:
    each = network(batch.inputs)  # (B, n, H)
    logits = each.gather(2, batch.head[:, None, None].expand(-1, each.shape[1], 1)).squeeze(2)  # (B, n)
    listed = F.log_softmax(logits.masked_fill(~batch.present, -1e4), -1)
    order = -(batch.gains * listed).sum(-1)  # (B,)
    judged = ~torch.isnan(batch.relevant)
    pointwise = (
        F.binary_cross_entropy_with_logits(logits, batch.relevant.nan_to_num(), reduction="none") * judged
    )
    pairs = pointwise.sum(-1) / judged.sum(-1).clamp_min(1)  # (B,)
    prior = F.log_softmax(compute_prior_logits(batch.inputs).masked_fill(~batch.present, -1e4), -1)
    prior_divergence = (prior.exp() * (prior - listed)).masked_fill(~batch.present, 0.0).sum(-1)  # (B,)
    per_query = order + config.pair_weight * pairs + config.prior_weight * prior_divergence
    return (per_query * batch.weight).sum() / batch.weight.sum()
