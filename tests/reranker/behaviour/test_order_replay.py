import numpy as np

from reranker.behaviour.counts import MAX_PRODUCTS
from reranker.behaviour.order_replay import replay_orders
from reranker.behaviour.purchases import Purchase, build_purchase_log
from tests.fakes.orders import make_order_log


def test_a_profile_holds_nothing_of_the_order_it_comes_before() -> None:
    log = make_order_log(3, 6)
    for example in replay_orders(log, 0, 1000, lambda count: np.ones(count, dtype=bool)):
        orders = max(count.orders for count in example.profile.bought.values())
        weeks = round((example.day - 100 - example.user % 5) / 7)
        assert orders <= weeks


def test_all_that_was_bought_before_is_known_however_much_it_is() -> None:
    rows = [Purchase("anna", f"p{day}-{at}", str(day), day) for day in range(3) for at in range(150)]
    log = build_purchase_log(rows)
    last = next(replay_orders(log, 2, 3, lambda count: np.ones(count, dtype=bool)))
    assert len(last.profile.bought) == MAX_PRODUCTS
    assert len(last.earlier) == 300
    assert not set(last.earlier) & set(last.products)
