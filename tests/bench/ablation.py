"""What each idea brings: searches with one part left out, on half of the judged queries of each catalogue.

Each query is searched for through OpenSearch, by Attune as shipped and without each part in turn, beside the
shop's own keyword query (BM25 over all text fields). Given are nDCG@10 over the whole catalogue, and the
share of queries that lose more than 0.1 to the keyword query. A hash decides which half a query is in: choose
on the one, report the other with --kept-aside. Makes an index of each catalogue that has none yet.

    python -m tests.bench.ablation --url http://localhost:9200 esci-us --only "as shipped" --lost
"""

import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import click
import numpy as np
from opensearchpy import OpenSearch

from mappings.settings import OpenSearchSettings, Settings
from mappings.types import JsonObject
from plugin_api.opensearch.client import OpenSearchClient
from plugin_api.opensearch.http_client import HttpClient
from plugin_api.search.memory.index_records import IndexRecord, IndexRecords
from plugin_api.search.query.keyword_query import keyword_query
from plugin_api.search.query.types import SearchCall
from plugin_api.search.search import Searcher
from plugin_api.search.text_reader import TextReader
from plugin_api.search.timing import without_time_limits
from reranker.encoders.codec import unpack_products
from reranker.evaluation.losses import report_losses
from reranker.evaluation.measures import Grades, measure_by_query
from reranker.evaluation.significance import bootstrap_mean
from reranker.fusion import FEATURES, build_scorer_inputs
from reranker.log_odds import compute_probabilities
from reranker.model import Model, locate_shipped_model
from reranker.types import EncodedQuery, Floats
from reranker.understanding.adjustment import Weights
from reranker.understanding.demands import KINDS, Understanding
from reranker.understanding.interpreter import QueryInterpreter
from tests.bench.inputs.demo_shop import patient_client
from tests.bench.tuning import CATALOGUES, index_judged, read_grades, search_own

_DEPTH = 10
_COSINE: tuple[Mapping[str, float], float, float] = ({"cosine": 1.0}, 20.5, -12.6)
_MATCHES: tuple[Mapping[str, float], float, float] = ({"cosine": 1.0, "token_match": 0.5}, 14.2, -14.2)
"""Weights of features that take the MLP's place, and slope and shift of their log-odds, fitted to its own."""
_WEIGHTLESS = Weights(prior=1.0, soft=1.0, kinds={})
"""Weights by which demands add nothing to scores."""


@dataclass(frozen=True)
class Parts:
    """Which parts of a search there are, and settings and options of Attune's to search with."""

    kinds: frozenset[str] = frozenset(KINDS)
    corrects: bool = True
    moves: bool = True
    cuts: bool = True
    prior: tuple[Mapping[str, float], float, float] | None = None
    settings: tuple[tuple[str, Any], ...] = ()
    options: tuple[tuple[str, Any], ...] = ()


WAYS = {
    "as shipped": Parts(),
    "verbatim: nothing understood": Parts(options=(("verbatim", True),)),
    "without corrections": Parts(corrects=False),
    "demands find, but move nothing": Parts(moves=False),
    "the whole query encoded": Parts(cuts=False),
    **{f"without {kind}": Parts(frozenset(KINDS) - {kind}) for kind in KINDS},
    "cosine for the scorer": Parts(prior=_COSINE),
    "cosine and token matches for the scorer": Parts(prior=_MATCHES),
    "without keyword evidence": Parts(settings=(("keyword_weight", 0.0),)),
    "without near products": Parts(settings=(("floor", 1.0),)),
}


@dataclass(frozen=True)
class _Interpreter(QueryInterpreter):
    """An interpreter without some of its parts."""

    parts: Parts = Parts()

    def understand(self, text: str, keep: Collection[str] = (), corrects: bool = True) -> Understanding:
        """See QueryInterpreter."""
        complete = super().understand(text, keep, corrects and self.parts.corrects)
        demands = tuple(demand for demand in complete.demands if demand.kind in self.parts.kinds)
        cut = len(demands) == len(complete.demands) and self.parts.cuts
        return replace(complete, demands=demands, core=complete.core if cut else complete.text)


class _Records(IndexRecords):
    """The records of indexes, whose interpreters lack some parts."""

    parts = Parts()

    def find(self, call: SearchCall, wait: float = 0.0) -> IndexRecord:
        """See IndexRecords."""
        record = super().find(call, wait)
        full = record.interpreter
        if full is None:
            return record
        weights = full.weights if self.parts.moves else _WEIGHTLESS
        less = _Interpreter(full.vocabulary, full.encode, weights, self.parts)
        less.__dict__.update(types=full.types, corrector=full.corrector)
        return replace(record, interpreter=less)


class AblatedSearcher(Searcher):
    """A searcher without some parts of understanding."""

    def __init__(self, client: OpenSearchClient, model: Model, settings: Settings, parts: Parts) -> None:
        super().__init__(client, model, settings)
        records = _Records(client, self._models)
        records.parts = parts
        self.text_reader = TextReader(client, records, settings, settings.sidecar.deadline_ms / 1000)


class _Prior(Model):
    """The model with the cosine, and where it has them the token matches, in its MLP's place."""

    def __init__(self, folder: Path, features: Mapping[str, float], slope: float, shift: float) -> None:
        super().__init__(folder)
        self._features, self._slope, self._shift = features, slope, shift

    def score_raw(
        self, query: EncodedQuery, stored: Sequence[bytes], weights: Sequence[float] = (1.0, 0.0, 0.0)
    ) -> Floats:
        """See Reranker."""
        batch = unpack_products(stored, self.dimension, query.tokens.shape[1], self.config.stored_tokens)
        inputs = build_scorer_inputs(query, batch, self.scorer.temperature, self.scorer.idf_table)
        prior = sum(weight * inputs[:, FEATURES.index(name)] for name, weight in self._features.items())
        likely: Floats = compute_probabilities(self._slope * prior + self._shift).astype(np.float32)
        return likely


@click.command(help=__doc__)
@click.option("--url", default=OpenSearchSettings().url, show_default=True, help="OpenSearch.")
@click.option("--kept-aside", is_flag=True, help="Report the half of the queries that is kept aside.")
@click.option("--everything", is_flag=True, help="Report both halves together.")
@click.option("--only", multiple=True, type=click.Choice(list(WAYS)), help="This way alone; may be repeated.")
@click.option("--lost", is_flag=True, help="Print the queries that lose, to the standard error.")
@click.option("--most", default=500, show_default=True, help="Queries of each catalogue, at most.")
@click.argument("catalogues", nargs=-1, type=click.Choice(CATALOGUES))
def main(
    url: str,
    kept_aside: bool,
    everything: bool,
    only: tuple[str, ...],
    lost: bool,
    most: int,
    catalogues: tuple[str, ...],
) -> None:
    """Measure and print."""
    client, figures = patient_client(url), {}
    settings = without_time_limits(Settings(opensearch=OpenSearchSettings(url=url)))
    for name in catalogues or CATALOGUES:
        grades = read_grades(name)
        ordered = sorted(grades, key=_hash)
        chosen = [query for query in ordered if everything or is_kept_aside(query) == kept_aside]
        grades = {query: grades[query] for query in chosen[:most]}
        alias = index_judged(client, name)
        figures[name] = _compare(client, settings, alias, grades, only or tuple(WAYS), lost)
    print(json.dumps(figures, indent=2))


def is_kept_aside(query: str) -> bool:
    """Return whether a query is in the half that nothing is chosen on."""
    return _hash(query)[0] % 2 == 1


def _hash(query: str) -> bytes:
    return hashlib.blake2b(query.encode(), digest_size=1).digest()


def _compare(
    client: OpenSearch,
    settings: Settings,
    alias: str,
    grades: Mapping[str, Grades],
    ways: Sequence[str],
    prints_lost: bool,
) -> JsonObject:
    own = _measure({query: search_own(client, alias, query) for query in grades}, grades)
    figures: JsonObject = {"queries": len(grades), "own search": round(_mean(own), 4)}
    shipped: Mapping[str, float] = {}
    for way in ways:
        values = _measure(_search(settings, alias, list(grades), WAYS[way]), grades)
        shipped = shipped or values
        change = bootstrap_mean([values[query] - shipped[query] for query in grades])
        losses = report_losses({query: values[query] - own[query] for query in grades}, {})
        figures[way] = {
            "ndcg@10": round(_mean(values), 4),
            "change": [round(change.mean, 4), round(change.low, 4), round(change.high, 4)],
            "loses": round(losses.total.share.mean, 4),
        }
        for query in losses.queries if prints_lost else ():
            click.echo(f"{alias} · {way} · {query.query}: {query.change:+.2f}", err=True)
    return figures


def _mean(values: Mapping[str, float]) -> float:
    return float(np.mean(list(values.values())))


def _measure(rankings: Mapping[str, Sequence[str]], grades: Mapping[str, Grades]) -> dict[str, float]:
    return {query: values["ndcg@10"] for query, values in measure_by_query(rankings, grades).items()}


def _search(settings: Settings, alias: str, queries: Sequence[str], parts: Parts) -> dict[str, list[str]]:
    """Return the ids of the best hits of each query."""
    settings = replace(settings, search=replace(settings.search, **dict(parts.settings)))
    folder = locate_shipped_model()
    model = _Prior(folder, *parts.prior) if parts.prior else Model(folder)
    searcher = AblatedSearcher(HttpClient(settings.opensearch), model, settings, parts)
    searcher.text_reader.find_interpreter(SearchCall.of(alias))
    rankings = {}
    for query in queries:
        options = {"attune": dict(parts.options)}
        body = {"query": keyword_query(query), "size": _DEPTH, "_source": False, "ext": options}
        answer = searcher.answer(SearchCall.of(alias, json.dumps(body).encode())).json()
        rankings[query] = [hit["_id"] for hit in answer["hits"]["hits"]]
    return rankings


if __name__ == "__main__":
    main()
