"""Write the groceries as a shop's files: a catalogue, orders up to today, and searches that were bought from.

    python -m tests.bench.behaviour.export FOLDER
    attune index FOLDER/products.jsonl --alias groceries
    attune events --orders FOLDER/orders.csv
    attune events FOLDER/searches.jsonl
    attune count --alias groceries --train

A search is made of the type of a product in an order of the last four weeks, by a household set aside.
"""

import csv
import json
import time
from pathlib import Path

import click
import numpy as np

from tests.bench.behaviour.groceries import Groceries, read_groceries

_DAY = 86_400
_SEED = 7


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option(
    "--remainder", type=click.IntRange(0, 4), default=0, show_default=True, help="Households that search."
)
@click.option("--searches", "most", default=2_000, show_default=True, help="Searches at most.")
def main(folder: Path, remainder: int, most: int) -> None:
    """Write the files."""
    folder.mkdir(parents=True, exist_ok=True)
    data = read_groceries(remainder, () if remainder == 0 else (0,))
    with (folder / "products.jsonl").open("w", encoding="utf-8") as file:
        for row, product in enumerate(data.log.product_ids):
            line = {
                "id": product,
                "title": data.titles[row],
                "category": data.types[row],
                "brand": data.makers[row],
                "price": data.prices[row],
            }
            file.write(json.dumps(line) + "\n")
    shift = int(time.time() / _DAY) - int(data.log.days.max()) - 1
    with (folder / "orders.csv").open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["user_id", "order_id", "product_id", "timestamp"])
        for user, order, product, day in zip(
            data.log.users.tolist(),
            data.log.orders.tolist(),
            data.log.products.tolist(),
            data.log.days.tolist(),
            strict=True,
        ):
            rows.writerow(
                [data.log.user_ids[user], order, data.log.product_ids[product], _format(day + shift)]
            )
    _write_searches(data, shift, most, folder / "searches.jsonl")


def _write_searches(data: Groceries, shift: int, most: int, path: Path) -> None:
    """Write queries and the clicks that name them."""
    rng = np.random.default_rng(_SEED)
    examples = list(data.split().examples())
    chosen = rng.permutation(len(examples))[:most]
    with path.open("w", encoding="utf-8") as file:
        for at in chosen.tolist():
            example = examples[at]
            wanted = int(rng.choice(example.products))
            own = {
                "user_id": data.log.user_ids[example.user],
                "query_id": f"replayed-{at}",
                "timestamp": _format(example.day + shift),
            }
            click_event = {
                "action_name": "click",
                "event_attributes": {"object": {"object_id": data.log.product_ids[wanted]}},
            }
            for document in ({"user_query": data.types[wanted].lower()}, click_event):
                file.write(json.dumps({**own, **document}) + "\n")


def _format(day: float) -> str:
    return str(np.datetime64(round(day * _DAY), "s"))


if __name__ == "__main__":
    main()
