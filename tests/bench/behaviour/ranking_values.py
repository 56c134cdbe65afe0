"""Recall and nDCG of rankings, averaged by household, with intervals and paired tests."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from mappings.types import JsonObject
from reranker.evaluation.significance import bootstrap_mean, compare_paired
from tests.bench.inputs.ranking import measure_ranking

TOP = 20


class RankingValues:
    """Values of one ranking, household by household, and the different products that it showed."""

    def __init__(self) -> None:
        self._recall: dict[str, list[float]] = {}
        self._ndcg: dict[str, list[float]] = {}
        self.shown: set[int] = set()

    def add(self, household: str, ranking: NDArray[np.int64], wanted: NDArray[np.int64]) -> None:
        """Take in a ranking, best first, and the products wanted, of which at most TOP can be met."""
        if not len(wanted):
            return
        recall, ndcg = measure_ranking(np.isin(ranking, wanted), len(wanted), TOP)
        self._recall.setdefault(household, []).append(recall)
        self._ndcg.setdefault(household, []).append(ndcg)
        self.shown.update(ranking[:TOP].tolist())

    def recall(self) -> dict[str, float]:
        """Mean recall of each household."""
        return {household: float(np.mean(values)) for household, values in self._recall.items()}

    def summary(self) -> JsonObject:
        """Means by household with the 95 % interval of recall, and coverage."""
        recall = bootstrap_mean(list(self.recall().values()))
        ndcg = bootstrap_mean([float(np.mean(values)) for values in self._ndcg.values()])
        return {
            "recall": round(recall.mean, 4),
            "interval": [round(recall.low, 4), round(recall.high, 4)],
            "ndcg": round(ndcg.mean, 4),
            "households": len(self._recall),
            "different_products": len(self.shown),
        }


def summarise(values: Mapping[str, RankingValues], first: str) -> JsonObject:
    """Return each ranking's summary, and how `first` does beside the others (paired by household)."""
    rows: JsonObject = {name: value.summary() for name, value in values.items()}
    others = {name: value.recall() for name, value in values.items() if name != first}
    for name, comparison in compare_paired(values[first].recall(), others).items():
        change = comparison.change
        rows[name]["first_is_better_by"] = [round(v, 4) for v in (change.mean, change.low, change.high)]
        rows[name]["p"] = round(comparison.p_holm, 4)
    return rows


def best(scores: NDArray[np.float64], size: int = TOP) -> NDArray[np.int64]:
    """Return the rows of the highest scores, best first."""
    size = min(size, len(scores))
    rows = np.argpartition(-scores, size - 1)[:size]
    return rows[np.argsort(-scores[rows], kind="stable")].astype(np.int64)
