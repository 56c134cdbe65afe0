"""Move the probabilities of hits by what their facts say of the query's demands."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources

import msgspec
import numpy as np

from reranker.log_odds import compute_log_odds, compute_probabilities
from reranker.types import Doubles, Floats
from reranker.understanding.demands import ModelDemand, TypeDemand, Understanding, is_checkable
from reranker.understanding.facts import FactBatch, unpack_facts
from reranker.understanding.matching import CONTRADICTION, MATCH, Outcome, match_demand
from reranker.understanding.type_index import NEAR_ENOUGH, TypeIndex
from reranker.understanding.types import find_accessories


@dataclass(frozen=True, slots=True)
class DemandWeights:
    """Log-odds that a match, a near miss and a contradiction of one kind of demand add."""

    match: float
    near: float
    contradiction: float


@dataclass(frozen=True, slots=True)
class Weights:
    """What demands weigh: `kinds` by kind of demand.

    Where the catalogue's facts can be checked for a demand, the log-odds from before count `prior`: the
    encoders read "16 GB" as they read "8 GB". Where a text has only words for types, values and features, its
    demands count the share `soft` of their weights, unless one is a property that products are not named by.
    Measured on the 56 judged electronics queries, whole catalogue: nDCG@10 0.752 without understanding, 0.716
    with `soft` as for all others, 0.754 so; through OpenSearch 0.795, and 0.791 where the log-odds from
    before counted 0.75 of texts with nothing but such words.
    """

    prior: float
    soft: float
    kinds: Mapping[str, DemandWeights]

    def choose_prior(self, understanding: Understanding) -> float:
        """Return what the log-odds from before the demands count for a text."""
        return self.prior if understanding.is_checked else 1.0


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
    missed: Sequence[float] = (),
) -> Adjustment:
    """Return the scores of n hits, moved by what their facts (n,) and prices (n,) say of the demands.

    `missed` (n,) are log-odds that each hit lost for not having the query's words. What is of the type that
    the query names gets them back, where the catalogue mostly has another name for it. A hit without facts
    keeps its score.
    """
    batch = unpack_facts(facts)
    outcomes = tuple(
        match_type(demand, types, near, batch)
        if isinstance(demand, TypeDemand)
        else match_demand(demand, batch, prices)
        for demand in understanding.demands
    )
    log_odds = compute_log_odds(scores)
    returned = _return_missed(understanding, outcomes, types, near, missed, batch.count)
    adjusted, moved = move_log_odds(understanding, outcomes, log_odds + returned.sum(1), weights)
    moved += weights.choose_prior(understanding) * returned
    without = np.array([not each for each in facts], dtype=bool)
    adjusted, moved = np.where(without, log_odds, adjusted), np.where(without[:, None], 0.0, moved)
    return Adjustment(compute_probabilities(adjusted).tolist(), outcomes, moved)


def _return_missed(
    understanding: Understanding,
    outcomes: Sequence[Outcome],
    types: TypeIndex | None,
    near: Floats | None,
    missed: Sequence[float],
    count: int,
) -> Doubles:
    """Return what `count` hits get back for being what a query names by a rare word (n, demands)."""
    returned = np.zeros((count, len(outcomes)))
    if not len(missed) or types is None or near is None:
        return returned
    for i, (demand, outcome) in enumerate(zip(understanding.demands, outcomes, strict=True)):
        if (
            isinstance(demand, TypeDemand)
            and demand.words == understanding.core
            and types.is_called_otherwise(near, demand.stems)
        ):
            returned[:, i] = np.asarray(missed) * (1 - outcome[:, CONTRADICTION])
    return returned


def move_log_odds(
    understanding: Understanding, outcomes: Sequence[Outcome], log_odds: Doubles, weights: Weights
) -> tuple[Doubles, Doubles]:
    """Return the log-odds of hits (n,) in the light of the demands, and what each adds (n, demands)."""
    moved = np.zeros((len(log_odds), len(outcomes)))
    for i, (demand, outcome) in enumerate(zip(understanding.demands, outcomes, strict=True)):
        moved[:, i] = outcome @ weigh(demand.kind, weights)
    moved = _limit_to_sought(understanding, moved, log_odds, weights)
    moved *= weights.soft if understanding.is_soft else 1.0
    return weights.choose_prior(understanding) * log_odds + moved.sum(1), moved


_CHECKED, _WORDED = (-7.0, -4.0), (-2.0, 2.0)
"""Log-odds up to which a hit is nothing that is sought, and from which on it is: where facts can be checked
for a demand, and where only its words can be looked for.

Measured in memory on half of ESCI's queries, nDCG@10 and queries that lose more than 0.1 to BM25: English
0.814 and 12 % without limits, 0.852 and 7 % with them; Spanish 0.798 and 12 %, 0.837 and 6 %. Of the demands
of electronics 0.914 of the places are satisfied either way, 0.896 with (-6, -3) for all kinds.
"""


def _limit_to_sought(
    understanding: Understanding, moved: Doubles, log_odds: Doubles, weights: Weights
) -> Doubles:
    """Return what demands add to the log-odds of hits (n, demands), as far as each is what is sought at all.

    A demand chooses among hits that are likely by themselves, given by their log-odds (n,): a large hoodie is
    no `large canvas`. What an unlikely hit meets adds nothing to it, and takes what contradicting takes, so
    that hits which were likelier stay before it.
    """
    limited = moved.copy()
    for i, demand in enumerate(understanding.demands):
        if isinstance(demand, ModelDemand):
            continue  # a model number is sought, whatever the encoders make of it
        if isinstance(demand, TypeDemand) and demand.accessories:
            continue  # an accessory is named by its title: it comes behind things that are less likely, too
        named = isinstance(demand, TypeDemand)  # a notebook is no unlikely laptop for having other words
        low, high = _CHECKED if named or is_checkable(demand) else _WORDED
        share = np.clip((log_odds - low) / (high - low), 0, 1)  # (n,)
        contradicted = weigh(demand.kind, weights)[CONTRADICTION]
        limited[:, i] = share * moved[:, i] + (1 - share) * np.minimum(moved[:, i], contradicted)
    return limited


_NEAREST, _FARTHEST = 0.12, 0.45
"""How much less near than the nearest type a product's type may be at no cost, and where the cost ends."""


def match_type(demand: TypeDemand, types: TypeIndex | None, near: Floats | None, batch: FactBatch) -> Outcome:
    """Return how n products are of the type that is sought (n, 3), by the nearness of each type (T,).

    Titles say it, and attributes where the title does not. What belongs to such a thing is none.
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
