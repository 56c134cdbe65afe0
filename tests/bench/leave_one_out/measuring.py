"""Judged and made queries of a catalogue with their candidates, ranked as a search ranks them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from mappings.settings import SearchSettings
from reranker.evaluation.losses import LOSS_MARGIN
from reranker.evaluation.measures import GOOD, Grades, measure_by_query
from reranker.keyword_evidence import add_keyword_evidence, weigh_keywords
from reranker.log_odds import compute_probabilities
from reranker.model import Model
from reranker.probes.known_items import make_queries
from reranker.training.scoring.examples import build_example_inputs
from reranker.types import Doubles, Floats
from tests.bench.ablation import is_kept_aside
from tests.bench.demands.systems import choose_window
from tests.bench.leave_one_out.catalogues import JudgedCatalogue
from tests.bench.tuning import read_grades, read_grades_of_all

_KNOWN_ITEMS, _SEED = 400, 31
_SETTINGS = SearchSettings()


class LogOdds(Protocol):
    """Maps the scorer's inputs (n, F + t) to log-odds (n,)."""

    def __call__(self, inputs: Floats, /) -> Doubles: ...


@dataclass(frozen=True)
class Candidates:
    """What one query ranks: ids, the scorer's inputs (n, F + t), keyword scores (n,), and their weight."""

    ids: Sequence[str]
    inputs: Floats
    keywords: Floats
    keyword_weight: float


@dataclass(frozen=True)
class MeasuredCatalogue:
    """The queries of a catalogue, on one side of the halves that a hash makes.

    `windows` are what a search orders; `pools` are judged products alone; `pairs` are all judged pairs:
    inputs (m, F + t) and 1.0 where relevant (m,).
    """

    name: str
    grades: Mapping[str, Grades]
    windows: Mapping[str, Candidates]
    pools: Mapping[str, Candidates]
    pairs: tuple[Floats, Doubles] | None

    def measure(self, score: LogOdds) -> dict[str, dict[str, float]]:
        """Return figures by query: whole-catalogue nDCG@10 of judged queries, or 1 / rank of known items, and
        nDCG@10 over judged products where a query has several.
        """
        found = {query: _rank(each, score) for query, each in self.windows.items()}
        if not self.grades:
            wanted = {query: each.ids[0] for query, each in self.pools.items()}
            ranks = {query: _reciprocal_rank(found[query], own) for query, own in wanted.items()}
            return {"known item": ranks}
        figures = {"whole": _ndcg(found, self.grades)}
        if self.pools:
            judged = {query: _rank(each, score, False) for query, each in self.pools.items()}
            figures["judged"] = _ndcg(judged, self.grades)
        return figures

    def measure_bm25(self) -> dict[str, float]:
        """Return nDCG@10 of each judged query by keyword scores alone."""
        found = {
            query: [each.ids[at] for at in np.argsort(-each.keywords, kind="stable") if each.keywords[at] > 0]
            for query, each in self.windows.items()
        }
        return _ndcg(found, self.grades)

    def count_losers(self, whole: Mapping[str, float]) -> float:
        """Return the share of queries that lose more than 0.1 to BM25."""
        own = self.measure_bm25()
        return float(np.mean([own[query] - value > LOSS_MARGIN for query, value in whole.items()]))

    def measure_auc(self, score: LogOdds) -> float | None:
        """Return the chance that a relevant pair scores above another one."""
        if self.pairs is None:
            return None
        inputs, relevant = self.pairs
        log_odds = score(inputs)
        order = log_odds.argsort().argsort() + 1.0
        good = relevant > 0
        count, others = good.sum(), (~good).sum()
        return float((order[good].sum() - count * (count + 1) / 2) / (count * others))


def gather_queries(catalogue: JudgedCatalogue, model: Model, kept_aside: bool | None) -> MeasuredCatalogue:
    """Gather the candidates of a catalogue's queries: one half of them, or for None all.

    `model` reads the inputs; it has the towers of the catalogue's own.
    """
    shop, name = catalogue.shop, catalogue.name
    row_of = {product.id: row for row, product in enumerate(shop.products)}

    def window(text: str, rows: Sequence[int] | None = None) -> Candidates:
        query = shop.model.encode_query(text)
        keywords = shop.keywords.scores(text)
        if rows is None:
            rows = [int(hit.id) for hit in choose_window(shop, text, query, _SETTINGS)]
        inputs = build_example_inputs(model, query, [shop.stored[row] for row in rows])
        weight = weigh_keywords(_SETTINGS.keyword_weight, query)
        return Candidates([shop.products[row].id for row in rows], inputs, keywords[rows], weight)

    def is_wanted(text: str) -> bool:
        return kept_aside is None or is_kept_aside(text) == kept_aside

    if name == "groceries":
        taught = {each.text.casefold() for each in catalogue.soft_lists}
        made = make_queries(shop.products, _KNOWN_ITEMS, _SEED)
        known = {q: row for q, row in made if q.casefold() not in taught and is_wanted(q)}
        pools = {query: window(query, [row]) for query, row in known.items()}
        return MeasuredCatalogue(name, {}, {query: window(query) for query in known}, pools, None)
    grades = {query: judged for query, judged in sorted(read_grades(name).items()) if is_wanted(query)}
    several = name == "electronics"
    pools = {
        query: window(query, [row_of[i] for i in judged if i in row_of])
        for query, judged in (grades.items() if several else ())
    }
    pairs = None
    if not several:
        all_pairs = [
            (window(query, [row_of[i]]).inputs[0], float(grade >= GOOD))
            for query, judged in sorted(read_grades_of_all(name).items())
            if is_wanted(query)
            for i, grade in judged.items()
            if i in row_of
        ]
        pairs = np.stack([each for each, _ in all_pairs]), np.array([relevant for _, relevant in all_pairs])
    return MeasuredCatalogue(name, grades, {query: window(query) for query in grades}, pools, pairs)


def _rank(candidates: Candidates, score: LogOdds, with_keywords: bool = True) -> list[str]:
    log_odds = score(candidates.inputs)
    if with_keywords:
        likely = compute_probabilities(log_odds).tolist()
        weight = candidates.keyword_weight
        log_odds = np.array(add_keyword_evidence(likely, candidates.keywords.tolist(), weight))
    return [candidates.ids[at] for at in np.argsort(-log_odds, kind="stable")]


def _ndcg(rankings: Mapping[str, Sequence[str]], grades: Mapping[str, Grades]) -> dict[str, float]:
    return {query: values["ndcg@10"] for query, values in measure_by_query(rankings, grades).items()}


def _reciprocal_rank(ranking: Sequence[str], wanted: str) -> float:
    return 1 / (1 + ranking.index(wanted)) if wanted in ranking else 0.0
