"""Rankings of several systems, measured side by side under two protocols.

whole catalogue   each system's own best hits. Whatever nobody judged counts as irrelevant, so a system that
                  finds what the judges never saw looks worse than it is: read nDCG beside judged@10.
judged products   each query's judged products alone, all of them, in each system's order. Nothing unjudged
                  can hurt, but what a system would have found besides doesn't show either.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from mappings.errors import EvaluationError
from reranker.evaluation.calibration import Calibration, measure_calibration
from reranker.evaluation.interleaved_clicks import ClickReport
from reranker.evaluation.interval import Interval
from reranker.evaluation.losses import LossReport, QueryKind, report_losses
from reranker.evaluation.measures import (
    GOOD,
    Grades,
    Values,
    count_shown_products,
    measure_by_query,
    measure_decisions,
    select_answerable,
)
from reranker.evaluation.significance import PairedComparison, bootstrap_mean, compare_paired

HEADLINE = "ndcg@10"
"""The measure that systems are compared by."""

WHOLE_CATALOGUE, JUDGED_PRODUCTS = "whole_catalogue", "judged_products"
"""Names of the protocols."""


@dataclass(frozen=True, slots=True)
class RankedList:
    """One answer: product ids, best first; the first ones' probabilities, where the system has any; its time.

    `ms` is what a caller waits for it, in milliseconds.
    """

    ids: tuple[str, ...]
    probabilities: tuple[float, ...] = ()
    ms: float | None = None


@dataclass(frozen=True, slots=True)
class System:
    """What ranks. `trained` are the judged queries that its model was trained on."""

    name: str
    label: str
    model: str = ""
    trained: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class SystemRun:
    """All answers of one system: query → ranking of the whole catalogue, and of the judged products."""

    system: System
    catalogue: Mapping[str, RankedList]
    pool: Mapping[str, RankedList]


@dataclass(frozen=True, slots=True)
class Latency:
    """Milliseconds of one search: mean and 95th percentile over the queries."""

    mean: float
    p95: float


@dataclass(frozen=True, slots=True)
class Figures:
    """One system under one protocol.

    `values` has each measure's mean and 95 % interval, `by_query` each query's. `shown` counts the different
    products in any first ten, `coverage` is their share of the catalogue, None where its size isn't known.
    """

    system: System
    values: Mapping[str, Interval]
    by_query: Mapping[str, Values]
    shown: int
    coverage: float | None
    latency: Latency | None
    calibration: Calibration | None

    @property
    def trained(self) -> int:
        """How many of the measured queries the system's model was trained on."""
        return sum(query in self.system.trained for query in self.by_query)


@dataclass(frozen=True, slots=True)
class Protocol:
    """Every system's figures; `compared` has the first system against each other one, by HEADLINE.

    `losses` has the queries that the first system answers clearly worse than each other one.
    """

    name: str
    title: str
    figures: tuple[Figures, ...]
    compared: Mapping[str, PairedComparison]
    losses: Mapping[str, LossReport] = field(default_factory=dict)

    def get_label(self, name: str) -> str:
        """Return the label of the system with this name."""
        return next(one.system.label for one in self.figures if one.system.name == name)


@dataclass(frozen=True, slots=True)
class JudgementPool:
    """What is measured by: the grades of products that can be found, and those of queries that count.

    A query counts where some product answers it well; on the others every ranking is as good, but the model's
    probability can still be wrong. `queries` were judged, `missing` of their products are not in the index.
    `products` is the catalogue's size, where it is known.
    """

    grades: Mapping[str, Grades]
    counted: Mapping[str, Grades]
    queries: int
    missing: int = 0
    products: int | None = None


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The whole comparison. `notes` say what the figures don't: what was left out, and why.

    `clicks` are those on interleaved rankings, of which the first system's is the first.
    """

    judgements: str
    index: str
    judged: JudgementPool
    threshold: float
    depth: int
    protocols: tuple[Protocol, ...]
    notes: tuple[str, ...] = field(default=())
    clicks: ClickReport | None = None


def pool_judgements(
    grades: Mapping[str, Grades], present: Iterable[str] | None, products: int | None = None
) -> JudgementPool:
    """Keep what can be measured by: products that are `present` (None: all), queries that one answers well.

    Raises EvaluationError when nothing is left.
    """
    there = None if present is None else set(present)
    present_grades = {
        query: {i: grade for i, grade in query_grades.items() if there is None or i in there}
        for query, query_grades in grades.items()
    }
    judged_ids = {i for query_grades in grades.values() for i in query_grades}
    missing = 0 if there is None else len(judged_ids - there)
    counted = select_answerable(present_grades)
    if not counted:
        lost = f"; {missing} of {len(judged_ids)} judged products are not in the index" if missing else ""
        raise EvaluationError(
            f"none of the {len(grades)} queries has a product of grade {GOOD} or more to be found{lost}: "
            "judge some, or name the --alias of the catalogue they were judged in"
        )
    findable = {query: query_grades for query, query_grades in present_grades.items() if query_grades}
    return JudgementPool(findable, counted, len(grades), missing, products)


def restrict_to_pool(ranked: Sequence[str], grades: Grades) -> tuple[str, ...]:
    """Rank all judged products of a query: those in `ranked` in its order, then the others by id.

    A system gives no order to what it does not return. Ordering by id leaves its place to chance.
    """
    judged = tuple(i for i in ranked if i in grades)
    return judged + tuple(sorted(grades.keys() - set(judged)))


def compare_runs(
    runs: Sequence[SystemRun],
    judged: JudgementPool,
    threshold: float,
    kinds: Mapping[str, QueryKind] | None = None,
) -> tuple[Protocol, ...]:
    """Measure every run under both protocols; the others are compared with the first.

    `kinds` are those of queries whose demands are known.
    """
    catalogue = [measure_system(run.system, run.catalogue, judged, threshold) for run in runs]
    pool = [
        measure_system(run.system, _all_judged(run.pool, judged), judged, threshold, pool=True)
        for run in runs
    ]
    return (
        _compare(WHOLE_CATALOGUE, "Whole catalogue", catalogue, kinds or {}),
        _compare(JUDGED_PRODUCTS, "Judged products only", pool, kinds or {}),
    )


def measure_system(
    system: System,
    rankings: Mapping[str, RankedList],
    judged: JudgementPool,
    threshold: float,
    pool: bool = False,
) -> Figures:
    """Measure one system's rankings; with `pool`, its calibration as well instead of coverage and time."""
    grades = judged.counted
    ids = {query: answer.ids for query, answer in rankings.items() if query in grades}
    by_query = measure_by_query(ids, grades)
    likely = {
        query: dict(zip(answer.ids, answer.probabilities, strict=False)) for query, answer in rankings.items()
    }
    gives_probabilities = any(likely.values())
    if gives_probabilities:
        decided = measure_decisions(likely, grades, threshold)
        by_query = {query: values | decided[query] for query, values in by_query.items()}
    names = next(iter(by_query.values()))
    values = {name: bootstrap_mean([values[name] for values in by_query.values()]) for name in names}
    times = [answer.ms for query, answer in rankings.items() if query in grades and answer.ms is not None]
    shown = count_shown_products(ids.values())
    return Figures(
        system,
        values,
        by_query,
        shown,
        shown / judged.products if judged.products and not pool else None,
        Latency(float(np.mean(times)), float(np.percentile(times, 95))) if times and not pool else None,
        _calibration(likely, judged.grades) if pool and gives_probabilities else None,
    )


def _all_judged(rankings: Mapping[str, RankedList], judged: JudgementPool) -> dict[str, RankedList]:
    none = RankedList(())
    return {
        query: RankedList(
            restrict_to_pool(rankings.get(query, none).ids, grades), rankings.get(query, none).probabilities
        )
        for query, grades in judged.grades.items()
    }


def _calibration(likely: Mapping[str, Mapping[str, float]], grades: Mapping[str, Grades]) -> Calibration:
    pairs = [
        (probability, grades[query][i] >= GOOD)
        for query, probabilities in likely.items()
        for i, probability in probabilities.items()
    ]
    return measure_calibration([probability for probability, _ in pairs], [good for _, good in pairs])


def _compare(name: str, title: str, measured: Sequence[Figures], kinds: Mapping[str, QueryKind]) -> Protocol:
    by_query = [{q: values[HEADLINE] for q, values in one.by_query.items()} for one in measured]
    others = {one.system.name: values for one, values in zip(measured[1:], by_query[1:], strict=True)}
    compared = compare_paired(by_query[0], others)
    losses = {other: report_losses(paired.changes, kinds) for other, paired in compared.items()}
    return Protocol(name, title, tuple(measured), compared, losses)
