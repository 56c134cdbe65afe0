from functools import cache

import numpy as np
import pytest

from mappings.errors import LabelsError
from reranker.behaviour.purchases import Purchase, build_purchase_log
from reranker.training.behaviour.examples import BehaviourExamples, build_examples
from reranker.training.behaviour.trainer import train_behaviour_scorer
from tests.fakes.orders import make_order_log


@cache
def _examples() -> BehaviourExamples:
    log = make_order_log(40, 20)
    names = [product.rstrip("0123456789") for product in log.product_ids]
    return build_examples(log, names, names, 150, 250, 400)


def test_the_scorer_puts_what_was_bought_first() -> None:
    examples = _examples()
    scorer = train_behaviour_scorer(examples)
    hits = []
    for features, bought in zip(examples.features, examples.bought, strict=True):
        best = np.argsort(-scorer.logits(features))[:4]
        hits.append(bought[best].sum())
    assert np.mean(hits) > 1.5  # of 4, of which one is a staple, two are a random pair and one is random


def test_training_twice_gives_the_same_scorer() -> None:
    first, second = train_behaviour_scorer(_examples()), train_behaviour_scorer(_examples())
    assert (first.hidden == second.hidden).all()


def test_too_few_orders_are_refused() -> None:
    log = build_purchase_log([Purchase("a", p, "1", 1) for p in "xyz"])
    with pytest.raises(LabelsError, match="needs 200"):
        build_examples(log, [""] * 3, [""] * 3, 0, 10, 100)
