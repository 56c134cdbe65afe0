"""Fits the risk scorer. It starts as a logistic regression and leaves it where that pays: few labels mislead.

How long to train, and the calibration, are chosen by cross-validation: by people whom the MLP has not seen.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from mappings.errors import LabelsError
from reranker.fusion import HIDDEN_UNITS
from reranker.risk.scorer import RiskInputs, RiskScorer
from reranker.training.scoring.scorer import fit_logistic
from reranker.types import Doubles

LEAST_OUTCOMES = 20
"""People of either outcome that training needs."""

_FOLDS = 5
_STEPS = (0, 25, 50, 100, 200, 400)
"""Steps after which the MLP is compared with the logistic regression that it starts as, which is step 0."""

_KNOTS = 33
_RATE, _DECAY = 3e-3, 1e-2


def train_risk_scorer(
    names: Sequence[str], features: Doubles, outcomes: Doubles, seed: int = 7
) -> RiskScorer:
    """Return a scorer of features (n, F), NaN where unknown, by outcomes (n,), 1 or 0. Seeded.

    Raises LabelsError where there are too few people of either outcome.
    """
    fewest = int(min(outcomes.sum(), len(outcomes) - outcomes.sum()))
    if fewest < LEAST_OUTCOMES:
        raise LabelsError(f"{fewest} people of one outcome: the risk scorer needs {LEAST_OUTCOMES} of each")
    inputs = _fit_inputs(features)
    x = inputs.transform(features)
    fold = _assign_folds(outcomes, seed)
    unseen = np.zeros((len(_STEPS), len(x)))  # log-odds of each person by an MLP that has not seen them
    for number in range(_FOLDS):
        train, test = fold != number, fold == number
        for step, network in enumerate(_train(x[train], outcomes[train], seed)):
            unseen[step, test] = _score(network, x[test])
    losses = [_log_loss(odds, outcomes) for odds in unseen]
    best = int(np.argmin(losses))
    slope, shift = fit_logistic(_with_one(unseen[best][:, None]), outcomes, np.zeros(len(x)))
    *_, network = _train(x, outcomes, seed, _STEPS[: best + 1])
    hidden, output = network[0], network[2]
    assert isinstance(hidden, nn.Linear)
    assert isinstance(output, nn.Linear)
    return RiskScorer(
        tuple(names),
        inputs,
        hidden.weight.detach().numpy().T.copy(),
        hidden.bias.detach().numpy().copy(),
        slope * output.weight.detach().numpy()[0],
        float(slope * output.bias.detach()[0] + shift),
    )


def _fit_inputs(features: Doubles) -> RiskInputs:
    mean = np.nanmean(features, 0)
    knots = np.nanquantile(features, np.linspace(0, 1, _KNOTS), axis=0).T
    knots = knots + np.arange(_KNOTS) * 1e-9 * np.maximum(np.abs(knots).max(1, keepdims=True), 1.0)
    return RiskInputs(mean, 1 / np.maximum(np.nanstd(features, 0), 1e-9), knots)


def _assign_folds(outcomes: Doubles, seed: int) -> Doubles:
    """Return each person's fold (n,), with the same share of outcomes in every fold."""
    rng = np.random.default_rng(seed)
    fold = np.zeros(len(outcomes))
    for outcome in (0, 1):
        people = rng.permutation(np.flatnonzero(outcomes == outcome))
        fold[people] = np.arange(len(people)) % _FOLDS
    return fold


def _train(x: Doubles, y: Doubles, seed: int, steps: Sequence[int] = _STEPS) -> list[nn.Sequential]:
    """Return the network after each of these numbers of steps."""
    torch.manual_seed(seed)
    network = nn.Sequential(nn.Linear(x.shape[1], HIDDEN_UNITS), nn.ReLU(), nn.Linear(HIDDEN_UNITS, 1))
    network.double()
    _start_at(network, fit_logistic(_with_one(x), y, np.zeros(len(x))))
    optimiser = torch.optim.AdamW(network.parameters(), lr=_RATE, weight_decay=_DECAY)
    inputs, wanted = torch.from_numpy(x), torch.from_numpy(y.astype(np.float64))
    made = []
    for step in range(steps[-1] + 1):
        if step in steps:
            made.append(_copy(network))
        optimiser.zero_grad()
        loss = F.binary_cross_entropy_with_logits(network(inputs).squeeze(1), wanted)
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
    return made


def _start_at(network: nn.Sequential, weights: Doubles) -> None:
    """Make the network equal a logistic regression: two units carry it, for relu(z) - relu(-z) = z."""
    hidden, output = network[0], network[2]
    assert isinstance(hidden, nn.Linear)
    assert isinstance(output, nn.Linear)
    with torch.no_grad():
        hidden.weight.mul_(0.3)
        output.weight.zero_()
        output.bias.zero_()
        for unit, sign in ((0, 1.0), (1, -1.0)):
            hidden.weight[unit] = sign * torch.from_numpy(weights[:-1])
            hidden.bias[unit] = sign * float(weights[-1])
            output.weight[0, unit] = sign


def _copy(network: nn.Sequential) -> nn.Sequential:
    sizes = [(layer.in_features, layer.out_features) for layer in network if isinstance(layer, nn.Linear)]
    copied = nn.Sequential(nn.Linear(*sizes[0]), nn.ReLU(), nn.Linear(*sizes[1])).double()
    copied.load_state_dict(network.state_dict())
    return copied


def _score(network: nn.Sequential, x: Doubles) -> Doubles:
    with torch.no_grad():
        odds: Doubles = network(torch.from_numpy(x)).squeeze(1).numpy()
    return odds


def _log_loss(odds: Doubles, outcomes: Doubles) -> float:
    return float(np.mean(np.logaddexp(0, odds) - outcomes * odds))


def _with_one(x: Doubles) -> Doubles:
    return np.concatenate([x, np.ones((len(x), 1))], 1)
