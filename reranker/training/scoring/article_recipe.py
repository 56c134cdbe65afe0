"""The article recipe, as a named baseline: what this project set out from.

The mean of BERT's first-token state of the query and GPT-2's first-token state of the product goes into an
MLP (Dense 128, ReLU → Dense 1, sigmoid), trained with binary cross-entropy by Adam for 10 epochs; a product
is relevant from 0.5 on. Nothing aligns the two states, and GPT-2's first token has seen nothing but itself.
The towers are the model folder's own: the recipe's point is its fusion.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from reranker.model import Model
from reranker.types import Floats

_EPOCHS = 10
_BATCH = 32
_LEARNING_RATE = 1e-3


@dataclass(frozen=True, slots=True)
class ArticlePair:
    """A query, a product's text, and whether it is relevant."""

    query: str
    product: str
    relevant: bool


def score_by_article_recipe(
    model: Model, train: Sequence[ArticlePair], test: Sequence[tuple[str, str]], seed: int = 7
) -> Floats:
    """Train on `train` and return the probability of relevance of each (query, product text) of `test`
    (n,).
    """
    torch.manual_seed(seed)
    encoder = _FirstTokens(model)
    x = torch.from_numpy(np.stack([encoder.mean(p.query, p.product) for p in train]))  # (N, d)
    y = torch.tensor([float(p.relevant) for p in train])
    network = nn.Sequential(nn.Linear(x.shape[1], 128), nn.ReLU(), nn.Linear(128, 1))
    optimizer = torch.optim.Adam(network.parameters(), lr=_LEARNING_RATE)
    for _ in range(_EPOCHS):
        for rows in torch.randperm(len(x)).split(_BATCH):  # type: ignore[no-untyped-call]
            optimizer.zero_grad()
            loss = nn.functional.binary_cross_entropy_with_logits(network(x[rows]).squeeze(-1), y[rows])
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
    x_test = torch.from_numpy(np.stack([encoder.mean(query, product) for query, product in test]))
    with torch.inference_mode():
        scores: Floats = network(x_test).squeeze(-1).sigmoid().numpy()
    return scores


class _FirstTokens:
    def __init__(self, model: Model) -> None:
        self._model = model
        self._queries: dict[str, Floats] = {}
        self._products: dict[int, Floats] = {}

    def mean(self, query: str, product: str) -> Floats:
        """Return the mean of the two first-token states (d,)."""
        if query not in self._queries:
            ids = np.array([self._model.tokenizer.encode(query).ids[:32]])
            self._queries[query] = self._model.query_tower.states(ids, np.array([ids.shape[1]]))[0, 0]
        first = next(iter(self._model.product_tokenizer.encode(product, add_special_tokens=False).ids), 0)
        if first not in self._products:
            # Causal attention: the first token's state depends on that token alone.
            self._products[first] = self._model.product_tower.states(np.array([[first]]), np.array([1]))[0, 0]
        mean: Floats = (self._queries[query] + self._products[first]) * np.float32(0.5)
        return mean
