import numpy as np

from reranker.behaviour.order_replay import replay_orders
from tests.fakes.orders import make_order_log


def test_a_profile_holds_nothing_of_the_order_it_comes_before() -> None:
    log = make_order_log(3, 6)
    for example in replay_orders(log, 0, 1000, lambda count: np.ones(count, dtype=bool)):
        orders = max(count.orders for count in example.profile.bought.values())
        weeks = round((example.day - 100 - example.user % 5) / 7)
        assert orders <= weeks
