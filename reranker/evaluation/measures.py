"""Ranking measures over judgements, by ir-measures (extra `evaluate`)."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence

import ir_measures
from ir_measures import AP, RR, Judged, P, Qrel, R, ScoredDoc, SetF, SetP, SetR, nDCG

from mappings.types import Judgement
from reranker.evaluation import judgements as reading

Grades = Mapping[str, int]
Values = dict[str, float]

GOOD = 2
"""A grade from which on a product answers the query."""

MEASURES = {
    "ndcg@10": nDCG(gains={1: 1, 2: 3, 3: 7}) @ 10,
    "precision@10": P(rel=GOOD) @ 10,
    "recall@100": R(rel=GOOD) @ 100,
    "mrr": RR(rel=GOOD),
    "map": AP(rel=GOOD),
    "judged@10": Judged @ 10,
}
"""Of a ranking. nDCG's gain is 2^grade - 1, an unjudged id's is 0 (Järvelin and Kekäläinen 2002)."""

_DECISION_MEASURES = {"precision": SetP(rel=GOOD), "recall": SetR(rel=GOOD), "f1": SetF(rel=GOOD)}
"""Measures of the set of products whose probability reaches a threshold. Their order does not count."""


def fingerprint_query(text: str) -> str:
    """Return what a model folder notes of a query that it was trained on: 16 hex digits of a SHA-256.

    Spellings that differ in case, width or spacing only have the same. A model lists the keys under
    `origin["trained_queries"]`, so that its folder does not reveal what shoppers searched for.
    """
    return hashlib.sha256(reading.normalise_query(text).encode()).hexdigest()[:16]


def find_trained_queries(origin: Mapping[str, object], queries: Iterable[str]) -> list[str]:
    """Return those of `queries`, in their order, that a model of this `ModelConfig.origin` was trained on."""
    noted = origin.get("trained_queries", ())
    keys = set(noted) if isinstance(noted, Iterable) else set()
    return [query for query in queries if fingerprint_query(query) in keys]


def group_by_query(judgements: Iterable[Judgement]) -> dict[str, dict[str, int]]:
    """Group judgements: query → product id → grade."""
    grouped: dict[str, dict[str, int]] = {}
    for judgement in judgements:
        grouped.setdefault(judgement.query, {})[judgement.product_id] = judgement.grade
    return grouped


def select_answerable(grades: Mapping[str, Grades]) -> dict[str, Grades]:
    """Keep the queries that some product answers well: on the others every ranking is as good."""
    return {
        query: query_grades
        for query, query_grades in grades.items()
        if max(query_grades.values(), default=0) >= GOOD
    }


def measure(rankings: Mapping[str, Sequence[str]], grades: Mapping[str, Grades]) -> Values:
    """Return the mean of each of MEASURES over `grades`'s queries.

    `rankings` maps each query to product ids, best first. A query without a ranking counts as 0.
    """
    return average_values(measure_by_query(rankings, grades))


def measure_by_query(
    rankings: Mapping[str, Sequence[str]], grades: Mapping[str, Grades]
) -> dict[str, Values]:
    """Return query → measure → value for each of MEASURES and of `grades`'s queries, as `measure` does."""
    return _measured(MEASURES, rankings, grades)


def measure_decisions(
    probabilities: Mapping[str, Mapping[str, float]], grades: Mapping[str, Grades], threshold: float
) -> dict[str, Values]:
    """Return query → precision, recall and F1 of the products whose probability is `threshold` or more.

    `probabilities` maps each query to product id → probability. Where no product reaches the threshold, all
    three are 0.
    """
    taken = {
        query: [i for i, probability in likely.items() if probability >= threshold]
        for query, likely in probabilities.items()
    }
    return _measured(_DECISION_MEASURES, taken, grades)


def average_values(values: Mapping[str, Values]) -> Values:
    """Return each measure's mean over the queries (0 for no queries)."""
    names = dict.fromkeys(name for query_values in values.values() for name in query_values)
    return {name: sum(query_values[name] for query_values in values.values()) / len(values) for name in names}


def count_shown_products(rankings: Iterable[Sequence[str]], top: int = 10) -> int:
    """Count the different products in the first `top` of any ranking."""
    return len({i for ranking in rankings for i in ranking[:top]})


def _measured(
    measures: Mapping[str, ir_measures.Measure],
    rankings: Mapping[str, Sequence[str]],
    grades: Mapping[str, Grades],
) -> dict[str, Values]:
    judged = [
        Qrel(query, i, grade) for query, query_grades in grades.items() for i, grade in query_grades.items()
    ]
    run = [
        ScoredDoc(query, i, -float(rank))
        for query, ranking in rankings.items()
        if query in grades
        for rank, i in enumerate(ranking)
    ]
    values: dict[str, Values] = {query: dict.fromkeys(measures, 0.0) for query in grades}
    names = {measure: name for name, measure in measures.items()}
    for metric in ir_measures.iter_calc(list(names), judged, run):
        values[metric.query_id][names[metric.measure]] = float(metric.value)
    return values
