"""What the keyword search's scores say of a hit, beside the model's probability."""

from collections.abc import Sequence

import numpy as np

from reranker.log_odds import compute_log_odds, compute_probabilities
from reranker.types import Doubles, EncodedQuery

TYPICAL_SHARE = 0.7
"""Share of the best BM25 score that says nothing for or against: so probabilities stay calibrated as a whole.

Measured on the electronics judgements, scorers held out: expected calibration error 0.055; 0.086 for 1.
"""

NUMBER_LOG_ODDS = 18.0
"""What each model number of the query adds to the log-odds of a hit that holds it: it comes before all
others.
"""

NUMBER_WEIGHT = 10.0
"""Weight of the keyword score among hits that hold a model number: it knows best which of them is meant."""

_HOLDER_LOG_ODDS = (-2.0, 5.0)
"""Least and greatest log-odds that the model has a say with among hits that hold a model number."""

_LEAST_EXACT = NUMBER_LOG_ODDS - NUMBER_WEIGHT + _HOLDER_LOG_ODDS[0]
"""Log-odds that a hit with a model number has at least, and any other at most."""


_KNOWN_PIECES, _STRANGE_PIECES = 1.8, 3.0
"""Tokens a word up to which a query is in a language that the encoder knows, and from which on it is not."""

_UNKNOWN = 0.2
"""Share of unknown tokens from which on a query is in a language that the encoder does not know."""

_STRANGE_WEIGHT = 4.0
"""How much more keywords weigh in such a language."""

_CHECKED_WEIGHT = 0.6
"""How much less they weigh where facts tell what a query demands, which words only repeat.

Places satisfied of the demands that were developed on: 0.929, and 0.924 without.
"""


def weigh_keywords(weight: float, query: EncodedQuery, is_checked: bool = False) -> float:
    """Return the weight of keyword scores for a query: more where the encoder knows its language less.

    `is_checked` tells whether the query demands what the facts of the catalogue can be checked for.
    Whole-catalogue nDCG@10 on ESCI, at weights 3, 6, 12 and 20: Japanese, 3 or more tokens a word, 0.71,
    0.76, 0.78, 0.78; Spanish, 2.2 to 3 tokens, 0.744, 0.757, 0.750, 0.733; English the same from 2.2 on.
    """
    strange = (query.pieces - _KNOWN_PIECES) / (_STRANGE_PIECES - _KNOWN_PIECES)
    strange = 1.0 if query.unknown >= _UNKNOWN else min(max(strange, 0.0), 1.0)
    weight *= 1 + (_STRANGE_WEIGHT - 1) * strange
    return _CHECKED_WEIGHT * weight if is_checked else weight


_SPREAD = 0.3
"""How much wider log-odds lie for each unit of the keywords' weight: keywords repeat what the model has read.

Expected calibration error of searches where log-odds count in full, and so: electronics 0.048 and 0.051, ESCI
in English 0.098 and 0.075, in Spanish 0.168 and 0.075, in Japanese 0.212 and 0.088.
"""


def compute_spread(weight: float) -> float:
    """Return how many times wider log-odds lie with keyword scores of a weight than by the model alone."""
    return max(1.0, _SPREAD * weight)


def compute_keyword_log_odds(first_scores: Sequence[float], weight: float) -> Doubles | None:
    """Return what each hit's keyword score moves its log-odds by; None where keywords have no say.

    `weight` x (its share of the best BM25 score - TYPICAL_SHARE); what the keyword search did not return
    has none of it: two engines that agree are better evidence than one. Measured on the electronics
    judgements, scorers held out: whole-catalogue nDCG@10 is 0.720 at weight 0, 0.771 at 1.2, 0.785 at 1.8,
    0.801 at 3, 0.804 at 4; over judged products alone 0.939, 0.928, 0.924, 0.923, 0.915.
    """
    best = max(first_scores, default=0.0)
    if best <= 0 or not weight:
        return None
    moved: Doubles = weight * (np.maximum(first_scores, 0.0) / best - TYPICAL_SHARE)
    return moved


def add_keyword_evidence(
    scores: Sequence[float],
    first_scores: Sequence[float],
    weight: float,
    numbers: Sequence[int] = (),
    is_identifier: bool = False,
) -> list[float]:
    """Move each probability's log-odds by how near its hit comes to the best keyword hit.

    `numbers` counts the model numbers of the query that each hit holds. Where the whole query
    `is_identifier`, hits keep the keyword search's order: their score is their share of its best.
    """
    best = max(first_scores, default=0.0)
    if is_identifier and best > 0:
        return [max(score, 0.0) / best for score in first_scores]
    moved = compute_keyword_log_odds(first_scores, weight)
    if moved is None and not any(numbers):
        return list(scores)
    model = compute_log_odds(scores)
    odds = model if moved is None else model + moved
    if any(numbers):
        counts = np.asarray(numbers)
        shares = np.maximum(first_scores, 0.0) / (best if best > 0 else 1.0)
        exact = NUMBER_LOG_ODDS * counts + NUMBER_WEIGHT * (shares - 1) + np.clip(model, *_HOLDER_LOG_ODDS)
        odds = np.where(counts > 0, exact, np.minimum(odds, _LEAST_EXACT))
    weighed: list[float] = compute_probabilities(odds).tolist()
    return weighed
