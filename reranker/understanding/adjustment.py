"""Move the probabilities of hits by what their facts say of the query's demands."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources

import msgspec
import numpy as np

from reranker.log_odds import compute_log_odds, compute_probabilities
from reranker.types import Doubles, Floats
from reranker.understanding.demands import TypeDemand, Understanding
from reranker.understanding.facts import FactBatch, unpack_facts
from reranker.understanding.matching import CONTRADICTION, MATCH, Outcome, match_demand
from reranker.understanding.types import NEAR_ENOUGH, TypeIndex, find_accessories


@dataclass(frozen=True, slots=True)
class DemandWeights:
    """Log-odds that a match, a near miss and a contradiction of one kind of demand add."""

    match: float
    near: float
    contradiction: float


@dataclass(frozen=True, slots=True)
class Weights:
    """What demands weigh: `kinds` by kind of demand.

    `prior` is what the log-odds from before count for where there is a demand that can be checked precisely:
    the encoders read "16 GB" as they read "8 GB". Where a text has only words for types, values and features,
    they count `soft_prior`, and its demands the share `soft` of their weights unless one is a property that
    products are not named by. Measured on the 56 judged
    electronics queries, whole catalogue: nDCG@10 0.752 without understanding, 0.716 with `soft` and
    `soft_prior` as for all others, 0.754 so; of the demands 0.837 and 0.832 of the places are satisfied.
    """

    prior: float
    soft_prior: float
    soft: float
    kinds: Mapping[str, DemandWeights]


@cache
def load_weights() -> Weights:
    """Return the weights that come with the package; `python -m tests.bench.demands --fit` makes them."""
    data = resources.files(__package__).joinpath("data/weights.json").read_bytes()
    return msgspec.json.decode(data, type=Weights)


@dataclass(frozen=True, slots=True)
class Adjustment:
    """Probabilities (n,) in the light of the demands, how the hits meet each demand, and its log-odds."""

    scores: list[float]
    outcomes: tuple[Outcome, ...]
    moved: Doubles  # (n, demands)


def adjust_scores(
    understanding: Understanding,
    facts: Sequence[bytes],
    prices: Sequence[float | None],
    scores: Sequence[float],
    weights: Weights,
    types: TypeIndex | None = None,
    near: Floats | None = None,
) -> Adjustment:
    """Return the scores of n hits, moved by what their facts (n,) and prices (n,) say of the demands.

    A hit without facts keeps its score.
    """
    batch = unpack_facts(facts)
    outcomes = tuple(
        match_type(demand, types, near, batch)
        if isinstance(demand, TypeDemand)
        else match_demand(demand, batch, prices)
        for demand in understanding.demands
    )
    moved = np.zeros((len(scores), len(outcomes)))
    for i, (demand, outcome) in enumerate(zip(understanding.demands, outcomes, strict=True)):
        moved[:, i] = outcome @ weigh(demand.kind, weights)
    prior = weights.soft_prior if understanding.is_worded else weights.prior
    share = weights.soft if understanding.is_soft else 1.0
    log_odds = compute_log_odds(scores)
    without = np.array([not each for each in facts], dtype=bool)
    moved = np.where(without[:, None], 0.0, share * moved)
    adjusted = np.where(without, log_odds, prior * log_odds + moved.sum(1))
    return Adjustment(compute_probabilities(adjusted).tolist(), outcomes, moved)


_NEAREST, _FARTHEST = 0.12, 0.45
"""How much less near than the nearest type a product's type may be at no cost, and where the cost ends."""


def match_type(demand: TypeDemand, types: TypeIndex | None, near: Floats | None, batch: FactBatch) -> Outcome:
    """Return how n products are of the type that is sought (n, 3), by the nearness of each type (T,).

    What belongs to such a thing is none.
    """
    outcome = np.zeros((batch.count, 3), dtype=np.float32)
    if types is not None and near is not None and len(near) and near.max() >= NEAR_ENOUGH:
        lacking = types.compare(near, batch)
        outcome[:, MATCH] = lacking <= 0.03
        outcome[:, CONTRADICTION] = np.clip((lacking - _NEAREST) / (_FARTHEST - _NEAREST), 0, 1)
    if demand.accessories:
        belongs = find_accessories(batch, demand.accessories)
        outcome[belongs, MATCH], outcome[belongs, CONTRADICTION] = 0.0, 1.0
    return outcome


def weigh(kind: str, weights: Weights) -> Doubles:
    """Return the log-odds (3,) of the outcomes of a demand of this kind."""
    own = weights.kinds.get(kind)
    return np.array([own.match, own.near, own.contradiction] if own else [0.0, 0.0, 0.0])
