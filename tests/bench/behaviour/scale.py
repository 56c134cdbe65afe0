"""Processor time and memory of counting made purchases: popularity, the same orders, the same shoppers.

python -m tests.bench.behaviour.scale --rows 50000000

Orders of five products on average, drawn from products whose popularity falls as in real shops (Zipf).
"""

import json
import resource
import time
from collections.abc import Iterator

import click
import numpy as np

from mappings.types import JsonObject
from reranker.behaviour.neighbours import fit_cosine, fit_ease
from reranker.behaviour.popularity import DEFAULT_POPULARITY, build_popularity_features, compute_priors
from reranker.behaviour.purchases import Purchase, PurchaseLog, build_purchase_log, sort_purchases
from reranker.behaviour.repurchase import fit_kernels
from tests.bench.inputs import machine

_SEED = 7
_ROWS_A_USER, _ROWS_AN_ORDER = 50, 5
_DAYS = 365
_CHUNK = 100_000


@click.command()
@click.option("--rows", default=1_500_000, show_default=True, help="Purchases.")
@click.option("--products", default=100_000, show_default=True, help="Products.")
def main(rows: int, products: int) -> None:
    """Measure; print one JSON object."""
    click.echo(json.dumps({**machine("numpy"), **measure(rows, products)}, indent=2))


def measure(rows: int, products: int) -> JsonObject:
    """Return the processor seconds of each step, the pairs that it found, and the peak of memory in GB."""
    seconds: dict[str, float] = {}
    began = time.process_time()

    def lap(name: str) -> None:
        nonlocal began
        now = time.process_time()
        seconds[name] = round(now - began, 1)
        began = now
        click.echo(f"{name}: {seconds[name]} s", err=True)

    log = make_log(rows, products)
    lap("make")
    log = build_purchase_log(_list_purchases(log))
    lap("read into columns")
    types = [f"type{row % 300}" for row in range(products)]
    compute_priors(build_popularity_features(log, log, _DAYS + 1.0), DEFAULT_POPULARITY)
    lap("popularity")
    fit_kernels(log, types, _DAYS + 1.0)
    lap("repurchase")
    by_orders = fit_cosine(log)
    lap("same orders")
    by_shoppers = fit_ease(log)
    lap("same shoppers")
    return {
        "rows": rows,
        "products": products,
        "shoppers": len(log.user_ids),
        "cpu_seconds": seconds,
        "pairs": {"orders": len(by_orders.targets), "shoppers": len(by_shoppers.targets)},
        "peak_gb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6, 1),
    }


def make_log(rows: int, products: int) -> PurchaseLog:
    """Return a made log."""
    rng = np.random.default_rng(_SEED)
    users = max(rows // _ROWS_A_USER, 1)
    orders = np.sort(rng.integers(rows // _ROWS_AN_ORDER, size=rows))
    owners = orders * users // (rows // _ROWS_AN_ORDER)
    weights = 1 / np.arange(1, products + 1) ** 0.8
    bounds = np.cumsum(weights / weights.sum())
    bought = np.minimum(np.searchsorted(bounds, rng.random(rows)), products - 1)
    days = rng.integers(_DAYS, size=rows // _ROWS_AN_ORDER).astype(np.float64)[orders]
    return sort_purchases(
        owners, bought, orders, days, [str(user) for user in range(users)], [str(p) for p in range(products)]
    )


def _list_purchases(log: PurchaseLog) -> Iterator[Purchase]:
    """Yield the rows of a log one by one, as they come from events."""
    for begin in range(0, len(log), _CHUNK):
        rows = slice(begin, begin + _CHUNK)
        columns = (log.users[rows], log.products[rows], log.orders[rows], log.days[rows])
        for user, product, order, day in zip(*(column.tolist() for column in columns), strict=True):
            yield Purchase(log.user_ids[user], log.product_ids[product], str(order), day)


if __name__ == "__main__":
    main()
