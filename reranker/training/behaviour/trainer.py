"""Fits the behaviour scorer: a softmax over each order's candidates."""

import numpy as np
import torch
from torch import nn

from reranker.behaviour.scorer import BEHAVIOUR_UNITS, BehaviourScorer
from reranker.training.behaviour.examples import BehaviourExamples

_EPOCHS = 4
_BATCH = 32
_RATE = 6e-3
_DECAY = 1e-3


def train_behaviour_scorer(examples: BehaviourExamples, seed: int = 7) -> BehaviourScorer:
    """Return an MLP that gives what was bought the greater share of its order's candidates.

    Measured on groceries: a softmax over the candidates reaches recall@20 0.218 where a logistic loss reaches
    0.214, on the households that this was chosen on; more than four passes gain nothing.
    """
    torch.manual_seed(seed)
    flat = examples.features.reshape(-1, examples.features.shape[-1])
    mean, scale = flat.mean(0), 1 / (flat.std(0) + 1e-6)
    x = torch.from_numpy((examples.features - mean) * scale).float()
    y = torch.from_numpy(examples.bought).float()
    hidden = nn.Linear(x.shape[-1], BEHAVIOUR_UNITS)
    output = nn.Linear(BEHAVIOUR_UNITS, 1)
    net = nn.Sequential(hidden, nn.ReLU(), output)
    optimiser = torch.optim.AdamW(net.parameters(), lr=_RATE, weight_decay=_DECAY)
    steps = _EPOCHS * -(-len(x) // _BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, _RATE, total_steps=steps)
    for _ in range(_EPOCHS):
        for rows in torch.randperm(len(x)).split(_BATCH):  # type: ignore[no-untyped-call]
            wanted = y[rows]  # (B, C)
            shares = torch.log_softmax(net(x[rows]).squeeze(-1), 1)
            count = wanted.sum(1)
            loss = (-(shares * wanted).sum(1) / count.clamp(min=1)).mean()
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            schedule.step()
    return BehaviourScorer(
        mean.astype(np.float32),
        scale.astype(np.float32),
        hidden.weight.detach().numpy().T.copy(),
        hidden.bias.detach().numpy().copy(),
        output.weight.detach().numpy()[0].copy(),
        float(output.bias.detach()[0]),
    )
