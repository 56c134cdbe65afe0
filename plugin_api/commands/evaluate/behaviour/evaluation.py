"""What an evaluation by behaviour comes to."""

from collections.abc import Mapping
from dataclasses import dataclass

from reranker.behaviour.evaluation.ranking_values import RankingFigures


@dataclass(frozen=True, slots=True)
class BehaviourPart:
    """Rankings measured on the same orders or searches: label → figures, the first is compared with each."""

    title: str
    explanation: str
    figures: Mapping[str, RankingFigures]


@dataclass(frozen=True, slots=True)
class BehaviourEvaluation:
    """All parts, and notes on what was left out. `counted` says what was measured."""

    title: str
    counted: Mapping[str, int]
    parts: tuple[BehaviourPart, ...]
    notes: tuple[str, ...]
