"""Does the scorer help on a catalogue that it never saw? Each is left out of its training in turn.

The scorer learns from the electronics (grades, made queries), from groceries (made queries) and from ESCI's
English products (labels of single pairs, made queries). It is measured on what was left out, in memory, with
the keyword search's evidence as in a search: nDCG@10 over the whole catalogue and over judged products, the
share of queries that lose more than 0.1 to BM25, the chance that a pair labelled exact scores above another,
and the reciprocal rank of known items. Beside it: the cosine alone, the prior that training starts from, the
shipped scorer and one trained on all, which both saw the labels of electronics and of ESCI's English pairs.
A hash decides which half of the queries is chosen on: report the other with --kept-aside. Prints JSON.

    python -m tests.bench.leave_one_out --kept-aside
"""

import json
import sys
from collections.abc import Mapping
from pathlib import Path

import click
import numpy as np
import torch

from reranker.model import Model, locate_shipped_model
from reranker.probes.choice import compare_probes
from tests.bench.leave_one_out.catalogues import ESCI, FOLDS, TAUGHT, open_catalogues
from tests.bench.leave_one_out.measuring import LogOdds, MeasuredCatalogue
from tests.bench.leave_one_out.variants import BASE, BASELINES, VARIANTS, Trainer, Variant, score_by

_LEFT_OUT_OF = {name: fold for fold, names in FOLDS.items() for name in names}
Values = Mapping[str, Mapping[str, float]]


@click.command(help=__doc__)
@click.option("--kept-aside", is_flag=True, help="Report the half of the queries that is kept aside.")
@click.option("--everything", is_flag=True, help="Report both halves together.")
@click.option("--model", type=click.Path(path_type=Path), help="Model folder. Default: the shipped one.")
@click.option("--variant", "names", multiple=True, help="Train this way too; `all` for every one.")
def main(kept_aside: bool, everything: bool, model: Path | None, names: tuple[str, ...]) -> None:
    """Measure and print."""
    torch.set_num_threads(1)
    base = Model(model or locate_shipped_model())
    trainer = Trainer(base, open_catalogues(base, [*TAUGHT, *ESCI[1:]]), None if everything else kept_aside)
    start = {name: _measure(trainer.gather(name, BASE, ()), score_by(base.scorer)) for name in _LEFT_OUT_OF}
    figures: dict[str, object] = {}
    for name, make in BASELINES.items():
        figures[name] = _report(trainer, BASE, {each: make(base.scorer) for each in FOLDS}, False, start)
        print(name, json.dumps(figures[name]), file=sys.stderr, flush=True)
    everywhere = score_by(trainer.train(BASE, ()))
    figures["trained on all"] = _report(trainer, BASE, dict.fromkeys(FOLDS, everywhere), False, start)
    every = list(VARIANTS) if "all" in names else []
    chosen = ["the recipe", *(name for name in names if name != "all"), *every]
    compared: dict[str, Values] | None = None
    for name in dict.fromkeys(chosen):
        variant = VARIANTS[name]
        scores = {fold: score_by(trainer.train(variant, left_out)) for fold, left_out in FOLDS.items()}
        values = {
            each: _measure(trainer.gather(each, variant, FOLDS[fold]), scores[fold])
            for each, fold in _LEFT_OUT_OF.items()
        }
        compared = compared or values
        figures[f"left out: {name}"] = _report(trainer, variant, scores, True, compared)
        print(name, json.dumps(figures[f"left out: {name}"]), file=sys.stderr, flush=True)
    print(json.dumps(figures, indent=2))


def _report(
    trainer: Trainer,
    variant: Variant,
    scores: Mapping[str, LogOdds],
    is_left_out: bool,
    compared: Mapping[str, Values],
) -> dict[str, object]:
    """Return the figures of each catalogue, and by how much the mean over them changes, with its interval.

    A query's figure is the mean of its figures, so that each catalogue counts once.
    """
    figures: dict[str, object] = {}
    changes: list[float] = []
    families: list[str] = []
    means = []
    for name, fold in _LEFT_OUT_OF.items():
        queries = trainer.gather(name, variant, FOLDS[fold] if is_left_out else ())
        values = _measure(queries, scores[fold])
        figures[name] = _describe(queries, values, scores[fold])
        own = [
            float(np.mean([each[query] for each in values.values()])) for query in next(iter(values.values()))
        ]
        then = [
            float(np.mean([each[query] for each in compared[name].values()]))
            for query in next(iter(values.values()))
        ]
        changes += np.subtract(own, then).tolist()
        families += [name] * len(own)
        means.append(float(np.mean(own)))
    change = compare_probes(np.array(changes), families)
    figures["mean"] = round(float(np.mean(means)), 4)
    figures["change"] = [round(each, 4) for each in (change.mean, change.low, change.high)]
    return figures


def _measure(queries: MeasuredCatalogue, score: LogOdds) -> Values:
    return queries.measure(score)


def _describe(queries: MeasuredCatalogue, values: Values, score: LogOdds) -> dict[str, object]:
    figures: dict[str, object] = {"queries": len(queries.windows)}
    figures |= {kind: round(float(np.mean(list(each.values()))), 4) for kind, each in values.items()}
    if "whole" in values:
        figures["loses"] = round(queries.count_losers(values["whole"]), 4)
    auc = queries.measure_auc(score)
    if auc is not None:
        figures["auc"] = round(auc, 4)
    return figures


if __name__ == "__main__":
    main()
