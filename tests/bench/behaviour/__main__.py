"""Recommendations on a year of a grocer's orders, for households that nothing was trained or chosen on.

    python -m tests.bench.behaviour
    python -m tests.bench.behaviour --folds 1,2,3,4

Households are dealt into five folds by what their id leaves when divided by five. Those of a fold are
measured by what the other folds' households bought. Fold 0, the default, is for reports. Where it is not
measured, nobody looks at it: choose by the others.
"""

import json
import time

import click
import numpy as np

from mappings.types import JsonObject, Product
from reranker.behaviour.evaluation.ranking_values import RankingValues
from reranker.model import load_model
from reranker.training.behaviour.examples import build_examples
from reranker.training.behaviour.trainer import train_behaviour_scorer
from reranker.types import Floats
from tests.bench.behaviour.bought_together import TogetherValues, hide_products, summarise_together
from tests.bench.behaviour.groceries import Groceries, read_groceries
from tests.bench.behaviour.new_products import rank_new_products, summarise_new_products
from tests.bench.behaviour.next_basket import BasketValues, rank_baskets, summarise_baskets
from tests.bench.inputs import machine

_TRAIN_DAYS = 140.0


@click.command()
@click.option("--folds", default="0", show_default=True, help="Folds measured: 0, or some of 1,2,3,4.")
@click.option("--examples", default=6000, show_default=True, help="Orders that the scorer is trained on.")
def main(folds: str, examples: int) -> None:
    """Measure recommendations; print one JSON object."""
    numbers = [int(fold) for fold in folds.split(",")]
    if numbers != [0] and not set(numbers) <= {1, 2, 3, 4}:
        raise click.BadParameter("0, or some of 1,2,3,4", param_hint="--folds")
    click.echo(json.dumps(measure(numbers, examples), indent=2))


def measure(folds: list[int], most: int) -> JsonObject:
    """Return the figures of all tasks over the households of all folds, and the seconds of each step."""
    facts = machine("numpy", "torch", "implicit")
    seconds: JsonObject = {}
    began = time.perf_counter()

    def lap(name: str) -> None:
        nonlocal began
        now = time.perf_counter()
        seconds[name] = round(now - began, 1)
        began = now
        click.echo(f"{name}: {seconds[name]} s", err=True)

    vectors: Floats | None = None
    baskets: BasketValues = {}
    together: TogetherValues = {}
    new: dict[str, RankingValues] = {}
    for fold in folds:
        data = read_groceries(fold, () if fold == 0 else (0,))
        if vectors is None:
            vectors = _encode(data)
            lap("encode")
        split = data.split()
        shop = split.shop_at(data.begin)
        lap(f"count, fold {fold}")
        begin = data.begin - _TRAIN_DAYS
        examples = build_examples(split.train, data.types, data.makers, begin, data.begin, most)
        lap(f"examples, fold {fold}")
        scorer = train_behaviour_scorer(examples)
        lap(f"train, fold {fold}")
        _merge_baskets(baskets, rank_baskets(split, shop, scorer, vectors))
        for way, households in hide_products(split, shop).items():
            together.setdefault(way, {}).update(households)
        _merge(new, rank_new_products(split, shop, vectors))
        lap(f"rank, fold {fold}")
    return {
        **facts,
        "folds": folds,
        "seconds": seconds,
        "next_basket": summarise_baskets(baskets, shop, vectors),
        "bought_together": summarise_together(together),
        "new_products": summarise_new_products(new, shop, vectors),
    }


def _merge_baskets(all_folds: BasketValues, fold: BasketValues) -> None:
    for orders, kinds in fold.items():
        for kind, values in kinds.items():
            _merge(all_folds.setdefault(orders, {}).setdefault(kind, {}), values)


def _merge(all_folds: dict[str, RankingValues], fold: dict[str, RankingValues]) -> None:
    for name, values in fold.items():
        all_folds.setdefault(name, RankingValues()).merge(values)


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
