"""Recommendations on a year of a grocer's orders, for households that nothing was trained or chosen on.

    python -m tests.bench.behaviour

With `--remainder 1` (to choose by) households whose id leaves 1 when divided by five are measured, and those
that leave 0 are not looked at. The default, 0, is for reports.
"""

import json
import time

import click
import numpy as np

from mappings.types import JsonObject, Product
from reranker.model import load_model
from reranker.training.behaviour.examples import build_examples
from reranker.training.behaviour.trainer import train_behaviour_scorer
from reranker.types import Floats
from tests.bench.behaviour.bought_together import measure_bought_together
from tests.bench.behaviour.groceries import Groceries, read_groceries
from tests.bench.behaviour.new_products import measure_new_products
from tests.bench.behaviour.next_basket import measure_next_basket
from tests.bench.inputs import machine

_TRAIN_DAYS = 140.0


@click.command()
@click.option(
    "--remainder", type=click.IntRange(0, 4), default=0, show_default=True, help="Households measured."
)
@click.option("--examples", default=6000, show_default=True, help="Orders that the scorer is trained on.")
def main(remainder: int, examples: int) -> None:
    """Measure recommendations; print one JSON object."""
    click.echo(json.dumps(measure(remainder, examples), indent=2))


def measure(remainder: int, most: int) -> JsonObject:
    """Return the figures of all tasks, and the seconds that counting and training took."""
    facts = machine("numpy", "torch", "implicit")
    data = read_groceries(remainder, () if remainder == 0 else (0,))
    seconds: JsonObject = {}
    began = time.perf_counter()
    split = data.split()
    shop, train = split.shop_at(data.begin), split.train
    seconds["count"] = round(time.perf_counter() - began, 1)
    began = time.perf_counter()
    made = build_examples(train, data.types, data.makers, data.begin - _TRAIN_DAYS, data.begin, most)
    seconds["examples"] = round(time.perf_counter() - began, 1)
    began = time.perf_counter()
    scorer = train_behaviour_scorer(made)
    seconds["train"] = round(time.perf_counter() - began, 1)
    began = time.perf_counter()
    vectors = _encode(data)
    seconds["encode"] = round(time.perf_counter() - began, 1)
    click.echo(json.dumps(seconds), err=True)
    return {
        **facts,
        "seconds": seconds,
        "rows": len(data.log),
        "examples": len(made.features),
        "next_basket": measure_next_basket(split, data.begin, scorer, vectors),
        "bought_together": measure_bought_together(split, shop),
        "new_products": measure_new_products(split, shop, vectors),
    }


def _encode(data: Groceries) -> Floats:
    """Return the shipped model's vectors of all products (P, d); equal texts are encoded once."""
    titles = list(dict.fromkeys(data.titles))
    encoded = load_model(None).encode_products(
        [Product(str(at), title=title) for at, title in enumerate(titles)]
    )
    rows = {title: at for at, title in enumerate(titles)}
    return np.stack([e.vector for e in encoded])[[rows[title] for title in data.titles]]


if __name__ == "__main__":
    main()
