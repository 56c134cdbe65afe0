"""Ranking measures over judgements, by ir-measures (extra `train`)."""

from collections.abc import Iterable, Mapping, Sequence

import ir_measures
from ir_measures import Judged, Qrel, R, ScoredDoc, nDCG

from mappings.types import Judgement

Grades = Mapping[str, int]

GOOD = 2
"""A grade from which on a product answers the query."""

MEASURES = {
    "ndcg@10": nDCG(gains={1: 1, 2: 3, 3: 7}) @ 10,
    "judged@10": Judged @ 10,
    "recall@100": R(rel=GOOD) @ 100,
}


def by_query(judgements: Iterable[Judgement]) -> dict[str, dict[str, int]]:
    """Group judgements: query → product id → grade."""
    grouped: dict[str, dict[str, int]] = {}
    for judgement in judgements:
        grouped.setdefault(judgement.query, {})[judgement.product_id] = judgement.grade
    return grouped


def countable(grades: Mapping[str, Grades]) -> dict[str, Grades]:
    """Keep the queries that some product answers well: on the others every ranking is as good."""
    return {query: found for query, found in grades.items() if max(found.values()) >= GOOD}


def measured(rankings: Mapping[str, Sequence[str]], grades: Mapping[str, Grades]) -> dict[str, float]:
    """Return the mean over `grades`'s queries of nDCG@10, judged@10 and recall@100 (grade 2 or more).

    `rankings` maps each query to product ids, best first. nDCG's gain is 2^grade - 1, an unjudged id's is 0
    (Järvelin and Kekäläinen 2002). A query without a ranking counts as 0.
    """
    judged = [Qrel(query, i, grade) for query, found in grades.items() for i, grade in found.items()]
    run = [
        ScoredDoc(query, i, -float(rank))
        for query, ranking in rankings.items()
        if query in grades
        for rank, i in enumerate(ranking)
    ]
    found = ir_measures.calc_aggregate(list(MEASURES.values()), judged, run)
    return {name: float(found[measure]) for name, measure in MEASURES.items()}
