"""Do the scorer's probabilities come true on catalogues that it never saw? Over judged pairs, in memory.

Electronics' grades and ESCI's English pairs taught the shipped scorer; nothing of ESCI's Spanish and Japanese
pairs had a part in it. An answer is relevant where it is graded 2 or 3, or labelled exact. Beside the
probabilities as they are stands what Platt scaling would make of them, whose slope falls with the logarithm
of a query's tokens, fitted on electronics and English alike: it moves no product past another. Prints JSON:
expected calibration error, mean probability and share that is relevant.

    python -m tests.bench.calibration
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import click
import numpy as np

from mappings.types import Product
from plugin_api.commands.demo.catalogue import PRODUCTS
from reranker.evaluation.calibration import measure_calibration
from reranker.evaluation.measures import GOOD, Grades
from reranker.log_odds import compute_probabilities
from reranker.model import Model, load_model
from reranker.training.scoring.examples import build_example_inputs
from reranker.training.scoring.scorer import fit_logistic
from reranker.types import Doubles
from tests.bench.inputs.catalogue import products
from tests.bench.tuning import CATALOGUES, list_esci_products, read_grades_of_all

_TAUGHT = ("electronics", "esci-us")
_TOKENS = 6
"""Tokens from which on a query counts as no longer."""
_PAIRS = 2000
"""Pairs that are drawn of each catalogue to fit on, so that both count alike."""


@dataclass(frozen=True)
class JudgedPairs:
    """Judged pairs of one catalogue: log-odds, tokens of the query, and 1.0 where relevant, each (n,)."""

    log_odds: Doubles
    tokens: Doubles
    relevant: Doubles

    @property
    def features(self) -> Doubles:
        """What the scaling reads (n, 3)."""
        length = np.log(np.minimum(self.tokens, _TOKENS))
        return np.stack([self.log_odds, self.log_odds * length, np.ones(len(length))], 1)


@click.command(help=__doc__)
def main() -> None:
    """Measure and print."""
    model = load_model()
    pairs = {name: _score_pairs(model, name) for name in CATALOGUES}
    weights = _fit([pairs[name] for name in _TAUGHT])
    figures = {
        name: {
            "pairs": len(each.relevant),
            "relevant": round(float(each.relevant.mean()), 3),
            "mean probability": round(float(compute_probabilities(each.log_odds).mean()), 3),
            "error": _measure_error(each.log_odds, each),
            "error, scaled by length": _measure_error(each.features @ weights, each),
        }
        for name, each in pairs.items()
    }
    print(json.dumps({"scaling": weights.round(3).tolist(), "catalogues": figures}, indent=2))


def _score_pairs(model: Model, name: str) -> JudgedPairs:
    grades = read_grades_of_all(name)
    judged = {product for each in grades.values() for product in each}
    catalogue = [p for p in _read_products(name) if p.id in judged]
    stored = {p.id: e.stored for p, e in zip(catalogue, model.encode_products(catalogue), strict=True)}
    parts = [_score_query(model, query, each, stored) for query, each in grades.items()]
    return JudgedPairs(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def _score_query(
    model: Model, text: str, grades: Grades, stored: Mapping[str, bytes]
) -> tuple[Doubles, Doubles, Doubles]:
    query = model.encode_query(text)
    known = [product for product in grades if product in stored]
    if not known:
        return np.empty(0), np.empty(0), np.empty(0)
    inputs = build_example_inputs(model, query, [stored[product] for product in known])
    log_odds = model.scorer.logits(inputs)[:, 0].astype(np.float64)
    relevant = np.array([float(grades[product] >= GOOD) for product in known])
    return log_odds, np.full(len(known), float(len(query.tokens))), relevant


def _fit(parts: Sequence[JudgedPairs]) -> Doubles:
    """Return the scaling's weights (3,)."""
    random = np.random.default_rng(0)
    drawn = [random.choice(len(each.relevant), _PAIRS) for each in parts]
    features = np.concatenate([each.features[rows] for each, rows in zip(parts, drawn, strict=True)])
    relevant = np.concatenate([each.relevant[rows] for each, rows in zip(parts, drawn, strict=True)])
    return fit_logistic(features, relevant, np.zeros(len(relevant)))


def _measure_error(log_odds: Doubles, pairs: JudgedPairs) -> float:
    likely = compute_probabilities(log_odds).tolist()
    return round(measure_calibration(likely, (pairs.relevant > 0).tolist()).error, 3)


def _read_products(name: str) -> list[Product]:
    return list(products(PRODUCTS)) if name == "electronics" else list_esci_products(name)


if __name__ == "__main__":
    main()
