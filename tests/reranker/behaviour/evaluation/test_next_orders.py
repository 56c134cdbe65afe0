import numpy as np
import pytest

from mappings.errors import LabelsError
from reranker.behaviour.evaluation.next_orders import OrderRanking, pick_diverse, rank_orders
from reranker.behaviour.evaluation.order_scores import fit_implicit, make_baselines, score_by_attune
from reranker.behaviour.evaluation.order_split import OrderSplit, set_aside, split_by_time, split_last_orders
from reranker.behaviour.scorer import score_untrained
from tests.fakes.orders import make_order_log

LOG = make_order_log(60, 20)
NAMES = [product.rstrip("0123456789") for product in LOG.product_ids]
ASIDE = set_aside(LOG.user_ids)
BEGIN = float(LOG.days.max()) - 28


@pytest.fixture(scope="module", params=["by time", "last orders"])
def split(request: pytest.FixtureRequest) -> OrderSplit:
    if request.param == "by time":
        return split_by_time(LOG, NAMES, NAMES, ASIDE, BEGIN)
    return split_last_orders(LOG, NAMES, NAMES, ASIDE)


def test_shoppers_of_the_test_are_never_counted(split: OrderSplit) -> None:
    examples = list(split.examples())
    users = {example.user for example in examples}
    assert users == set(np.flatnonzero(ASIDE))
    assert not users & set(split.train.users)
    if split.name == "last orders":
        assert len(examples) == len(users)
        last = {user: LOG.days[LOG.users == user].max() for user in users}
        assert all(example.day == last[example.user] for example in examples)
    else:
        assert all(example.day >= BEGIN for example in examples)
        assert split.train.days.max() < BEGIN


def test_popularity_does_not_know_the_future(split: OrderSplit) -> None:
    for example in split.examples():
        shop = split.shop_at(example.day)
        before = split.train.select(split.train.days < example.day)
        assert shop.popularity.sum() <= len(before)


def test_the_shoppers_own_staple_is_found_by_history_alone(split: OrderSplit) -> None:
    rankings = {
        "Attune": OrderRanking(score_by_attune(split.shop_at, score_untrained)),
        **{name: OrderRanking(score) for name, score in make_baselines(split.shop_at).items()},
    }
    counted: list[int] = []
    values = rank_orders(split.examples(), rankings, len(LOG.product_ids), counted.append)
    assert len(counted) == len(list(split.examples()))
    mrr = {name: np.mean(list(value.average("mrr").values())) for name, value in values["all"].items()}
    assert mrr["Attune"] == mrr["personal popularity with decay"] == 1  # the staple is in every order
    assert mrr["popularity"] < 1
    explored = values["explore"]["Attune"].shown
    assert explored
    assert (
        values["repeat"]["Attune"].average("recall").keys()
        >= values["explore"]["Attune"].average("recall").keys()
    )


def test_diverse_rankings_have_the_best_first() -> None:
    vectors = np.eye(3, dtype=np.float32)[[0, 0, 1, 2]]
    picked = pick_diverse(vectors)(np.array([4.0, 3.0, 2.0, -np.inf]))
    assert picked.tolist() == [0, 2, 1]


def test_rankings_of_a_library_are_beside(split: OrderSplit) -> None:
    pytest.importorskip("implicit")
    example = next(iter(split.examples()))
    for score in fit_implicit(split.train, split.shop_at).values():
        scores = score(example)
        assert scores.shape == (len(LOG.product_ids),)
        assert np.isfinite(scores).all()


def test_nothing_to_count_is_an_error() -> None:
    with pytest.raises(LabelsError, match="no orders to count"):
        split_by_time(LOG, NAMES, NAMES, np.ones(len(LOG.user_ids), dtype=bool), BEGIN)
