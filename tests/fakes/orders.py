"""A small shop's orders: shoppers with routines, and products that go together."""

import numpy as np

from reranker.behaviour.purchases import Purchase, PurchaseLog, build_purchase_log

PAIRS = (("bread", "butter"), ("pasta", "sauce"), ("tea", "honey"))


def make_orders(shoppers: int = 30, weeks: int = 20, seed: int = 1) -> list[Purchase]:
    """Return weekly orders: each shopper has a staple of their own, and buys whole pairs of PAIRS."""
    rng = np.random.default_rng(seed)
    rows = []
    for shopper in range(shoppers):
        for week in range(weeks):
            pair = PAIRS[int(rng.integers(len(PAIRS)))]
            basket = [f"staple{shopper % 10}", *pair, f"other{int(rng.integers(20))}"]
            day = 100.0 + week * 7 + shopper % 5
            rows += [Purchase(f"s{shopper}", product, f"w{week}", day) for product in basket]
    return rows


def make_order_log(shoppers: int = 30, weeks: int = 20, seed: int = 1) -> PurchaseLog:
    """Return `make_orders` as a log."""
    return build_purchase_log(make_orders(shoppers, weeks, seed))
