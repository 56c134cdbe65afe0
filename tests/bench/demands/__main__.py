"""Demands: how many of the first ten hits are what the query asks for, by kind, for BM25 and Attune.

Queries are made from the demo catalogue's typed attributes: "27 inch monitor", "mouse without cable". A hit
satisfies one when it is of the product type and its attributes or title have the value. Half of the values
are kept aside: develop on the one half, report the other with --kept-aside. Prints JSON.

    python -m tests.bench.demands
"""

import json
import sys
import time
from collections.abc import Mapping, Sequence

import click
import numpy as np

from mappings.settings import SearchSettings
from plugin_api.commands.demo.catalogue import PRODUCTS
from reranker.model import load_model
from reranker.understanding.demands import KINDS
from tests.bench.demands.figures import PLACES, measure_query
from tests.bench.demands.fitting import fit_weights
from tests.bench.demands.kinds import DemandQuery, Ranker, make_demand_queries
from tests.bench.demands.systems import Options, open_shop, rank_by_attune, rank_by_keywords
from tests.bench.inputs.catalogue import products

ABLATIONS = {
    "as written": Options(kinds=frozenset()),
    "no further candidates": Options(retrieves=False),
    "encode the whole query": Options(encodes_core=False),
    **{f"without {kind}": Options(kinds=frozenset(KINDS) - {kind}) for kind in KINDS},
}
LOSS = 0.1


def compare(
    queries: Sequence[DemandQuery], rankers: Mapping[str, Ranker], baseline: str
) -> dict[str, object]:
    """Return figures by kind for each way of ranking, and the queries that lose against the baseline."""
    figures: dict[str, dict[str, tuple[float, float]]] = {name: {} for name in rankers}
    milliseconds = {}
    for name, ranker in rankers.items():
        started = time.perf_counter()
        for query in queries:
            figures[name][query.text] = measure_query(query, ranker(query.text))
        milliseconds[name] = round(1000 * (time.perf_counter() - started) / len(queries), 2)
    kinds = list(dict.fromkeys(query.kind for query in queries))
    by_kind = {
        kind: {
            "queries": sum(query.kind == kind for query in queries),
            **{
                name: round(float(np.mean([satisfied[q.text][0] for q in queries if q.kind == kind])), 3)
                for name, satisfied in figures.items()
            },
        }
        for kind in kinds
    }
    mean = {name: round(float(np.mean([by_kind[kind][name] for kind in kinds])), 3) for name in rankers}
    base = figures[baseline]
    lost = {
        name: [q for q in queries if base[q.text][1] - own[q.text][1] > LOSS]
        for name, own in figures.items()
        if name != baseline
    }
    return {
        "satisfied": mean,
        "kinds": by_kind,
        f"share that loses more than {LOSS} nDCG": {
            name: round(len(some) / len(queries), 3) for name, some in lost.items()
        },
        "lost": {name: [q.text for q in some][:40] for name, some in lost.items()},
        "milliseconds": milliseconds,
    }


@click.command(help=__doc__)
@click.option("--kept-aside", is_flag=True, help="Report the half of the values that is kept aside.")
@click.option("--fit", is_flag=True, help="Fit the demands' weights to the other half, and print them.")
@click.option("--ablation", is_flag=True, help="Rank without each step of understanding as well.")
def main(kept_aside: bool, ablation: bool, fit: bool) -> None:
    """Measure and print."""
    catalogue = products(PRODUCTS)
    queries = make_demand_queries(catalogue, kept_aside)
    print(f"{len(queries)} queries", file=sys.stderr)
    shop = open_shop(catalogue, load_model())
    shop.interpreter.load()
    settings = SearchSettings()
    if fit:
        print(json.dumps(fit_weights(shop, queries, settings), indent=2))
        return
    rankers: dict[str, Ranker] = {
        "BM25": lambda text: rank_by_keywords(shop, text, PLACES),
        "Attune": lambda text: rank_by_attune(shop, text, settings, Options()),
    }
    if ablation:
        for name, options in ABLATIONS.items():
            rankers[name] = lambda text, options=options: rank_by_attune(shop, text, settings, options)
    print(json.dumps({"kept_aside": kept_aside, **compare(queries, rankers, "BM25")}, indent=2))


if __name__ == "__main__":
    main()
