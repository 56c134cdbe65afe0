"""What small changes of a model are measured on, without a cluster and without training anything.

Judged pools: the electronics catalogue's judged queries, each over its judged products. Known items: queries
made from products of the catalogue, each over a shelf of products among which its own is. Scores are the
scorer's prior, cosine + token match, which nothing was trained for.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from mappings.types import Product
from plugin_api.commands.train.weights import read_electronics, read_electronics_judgements
from reranker.encoders.codec import StoredBatch
from reranker.evaluation.measures import Grades, group_by_query, measure, select_answerable
from reranker.fusion import compute_attention
from reranker.probes.known_items import make_queries
from reranker.training.scoring.scorer import PRIOR
from reranker.types import EncodedQuery, Floats

SEED = 20
TEMPERATURE = 0.05

Score = Callable[[str, Sequence[int]], Floats]
"""A query and rows of Pools.products (n,) → their scores (n,)."""


@dataclass(frozen=True)
class Pools:
    """Products, row by row, and the queries that rank some of them.

    `judged` are rows of each judged query's products, `known` is the row that each made query is looked for
    among the `shelf`.
    """

    products: Sequence[Product]
    grades: Mapping[str, Grades]
    judged: Mapping[str, Sequence[int]]
    known: Mapping[str, int]
    shelf: Sequence[int]

    @property
    def queries(self) -> list[str]:
        """Judged ones, then made ones."""
        return [*self.judged, *self.known]

    def ndcg(self, score: Score) -> float:
        """Return nDCG@10 over judged pools."""
        rankings = {}
        for query, rows in self.judged.items():
            order = np.argsort(-score(query, rows), kind="stable")
            rankings[query] = [self.products[rows[at]].id for at in order]
        return measure(rankings, self.grades)["ndcg@10"]

    def mrr(self, score: Score) -> float:
        """Return the mean reciprocal rank of made queries' products on the shelf; ties count against it."""
        ranks = []
        for query, row in self.known.items():
            scores = score(query, self.shelf)
            ranks.append(int((scores >= scores[self.shelf.index(row)]).sum()))
        return float(np.mean(1 / np.array(ranks)))


def read_pools(shelf: int, made: int) -> Pools:
    """Read the demo's catalogue and judgements; make up to `made` queries for `shelf` products of it."""
    everything = read_electronics()
    grades = select_answerable(group_by_query(read_electronics_judgements()))
    wanted = {i for found in grades.values() for i in found}
    shelved = {everything[n * len(everything) // shelf].id for n in range(shelf)}
    products = [p for p in everything if p.id in wanted | shelved]
    row_of = {p.id: row for row, p in enumerate(products)}
    judged = {q: [row_of[i] for i in found if i in row_of] for q, found in grades.items()}
    rows = [row_of[i] for i in sorted(shelved)]
    queries = make_queries([products[row] for row in rows], made, SEED)
    known = {query: rows[at] for query, at in queries if query not in judged}
    return Pools(products, grades, judged, known, rows)


def prior(query: EncodedQuery, batch: StoredBatch) -> Floats:
    """Return the scorer's prior (n,) of stored products."""
    best = compute_attention(query.tokens, batch, TEMPERATURE)[2].mean(0)  # (n,)
    scores: Floats = PRIOR["cosine"] * (batch.vectors @ query.vector) + PRIOR["token_match"] * best
    return scores


def loss(value: float, whole: float) -> float:
    """By how many percent `value` is below `whole`."""
    return round(100 * (1 - value / whole), 2)
