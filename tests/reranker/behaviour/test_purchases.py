import numpy as np

from reranker.behaviour.purchases import Purchase, build_purchase_log


def test_rows_are_sorted_by_user_and_day_whatever_order_they_come_in() -> None:
    log = build_purchase_log(
        [Purchase("b", "x", "1", 9), Purchase("a", "y", "1", 5), Purchase("b", "y", "0", 2)]
    )
    assert [log.user_ids[user] for user in log.users] == ["b", "b", "a"]
    assert log.days.tolist() == [2, 9, 5]
    assert log.user_rows().tolist() == [0, 2, 3]


def test_a_product_twice_in_an_order_counts_once() -> None:
    rows = [Purchase("a", "x", "1", 5), Purchase("a", "x", "1", 5), Purchase("a", "x", "2", 6)]
    assert len(build_purchase_log(rows)) == 2


def test_equal_order_numbers_of_two_users_are_two_orders() -> None:
    log = build_purchase_log([Purchase("a", "x", "1", 5), Purchase("b", "x", "1", 5)])
    assert len(np.unique(log.orders)) == 2


def test_no_purchases_make_an_empty_log() -> None:
    log = build_purchase_log([])
    assert len(log) == 0
    assert log.user_rows().tolist() == [0]
