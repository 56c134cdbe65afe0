"""From a shop's orders to a trained behaviour scorer, in one call."""

from reranker.behaviour.purchases import PurchaseLog
from reranker.behaviour.scorer import BehaviourScorer
from reranker.training.behaviour.examples import build_examples
from reranker.training.behaviour.trainer import train_behaviour_scorer

_DAYS = 140.0
"""Days of orders that are learnt from; what came before is history."""

_EXAMPLES = 6_000


def train_on_orders(log: PurchaseLog, types: list[str], makers: list[str], day: float) -> BehaviourScorer:
    """Train on orders before `day`. Raises LabelsError where they are too few."""
    return train_behaviour_scorer(build_examples(log, types, makers, day - _DAYS, day, _EXAMPLES))
