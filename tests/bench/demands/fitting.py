"""Fit the weights of demands to made queries: each weight in turn to what satisfies most, kind by kind."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from mappings.settings import SearchSettings
from mappings.types import JsonObject
from reranker.keyword_evidence import add_keyword_evidence
from reranker.log_odds import compute_log_odds
from reranker.types import Doubles, Floats
from reranker.understanding.adjustment import DemandWeights, load_weights, move_log_odds, weigh
from reranker.understanding.demands import KINDS, Understanding
from reranker.understanding.matching import Outcome
from tests.bench.demands.figures import PLACES, measure_query
from tests.bench.demands.kinds import DemandQuery
from tests.bench.demands.systems import Options, Shop, gather_window

_STEPS = (-3.0, -1.5, -0.75, 0.75, 1.5, 3.0)
_PRIORS = (0.3, 0.5, 0.7, 1.0)
_GAIN = 0.0005
"""Mean over the kinds of the share of places that a change must gain to be made."""
_ROUNDS = 2


@dataclass(frozen=True)
class _Case:
    query: DemandQuery
    rows: list[int]
    logits: Doubles  # (n,)
    outcomes: tuple[Outcome, ...]  # of each demand
    understanding: Understanding


def fit_weights(shop: Shop, queries: Sequence[DemandQuery], settings: SearchSettings) -> JsonObject:
    """Return the weights that satisfy most places, as the artefact has them."""
    cases = [_prepare(shop, query, settings) for query in queries]
    start = load_weights()
    weights = np.array([weigh(kind, start) for kind in KINDS])
    prior = start.prior
    best = _evaluate(cases, weights, prior)
    for _ in range(_ROUNDS):
        for candidate in _PRIORS:
            if (share := _evaluate(cases, weights, candidate)) > best + _GAIN:
                best, prior = share, candidate
        for place in np.ndindex(*weights.shape):
            for step in _STEPS:
                changed = weights.copy()
                changed[place] += step
                outward = changed[place] >= 0 if place[1] == 0 else changed[place] <= 0 or place[1] == 1
                if outward and (share := _evaluate(cases, changed, prior)) > best + _GAIN:
                    best, weights = share, changed
    kinds = {
        kind: {"match": row[0], "near": row[1], "contradiction": row[2]}
        for kind, row in zip(KINDS, weights.tolist(), strict=True)
    }
    return {"prior": prior, "soft": start.soft, "kinds": kinds}  # soft was chosen on judgements


def _prepare(shop: Shop, query: DemandQuery, settings: SearchSettings) -> _Case:
    """Gather a query's candidates, with what each kind of demand says of them."""
    window = gather_window(shop, query.text, settings, Options())
    scores = add_keyword_evidence(window.probabilities, window.keyword_scores, window.weight)
    facts = [shop.facts[row] for row in window.rows]
    prices = [shop.products[row].price for row in window.rows]
    adjusted = shop.interpreter.adjust(window.understanding, facts, prices, scores)
    return _Case(query, window.rows, compute_log_odds(scores), adjusted.outcomes, window.understanding)


def _evaluate(cases: Sequence[_Case], weights: Floats, prior: float) -> float:
    """Return the share of places that are satisfied, averaged over the kinds."""
    shares: defaultdict[str, list[float]] = defaultdict(list)
    rows = {kind: DemandWeights(*row) for kind, row in zip(KINDS, weights.tolist(), strict=True)}
    tried = replace(load_weights(), prior=prior, kinds=rows)
    for case in cases:
        order = np.argsort(-move_log_odds(case.understanding, case.outcomes, case.logits, tried)[0])
        shares[case.query.kind].append(measure_query(case.query, [case.rows[i] for i in order[:PLACES]])[0])
    return float(np.mean([np.mean(satisfied) for satisfied in shares.values()]))
