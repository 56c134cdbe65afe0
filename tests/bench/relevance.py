"""Relevance on the electronics catalogue: the judged pool, and the whole catalogue through real OpenSearch.

Every judged query is ranked by a scorer that learnt from the other queries' judgements only (5 folds);
the towers never see a judgement. All rankings come from one run over one index. Prints JSON.

Over the whole catalogue, a product that nobody judged counts as a wrong one, and the judged ones are those
that one keyword search showed. So each ranking is also measured by its judged products alone, in their order
("condensed": Sakai, Alternatives to Bpref, SIGIR 2007). `loses_to_bm25` names the queries whose nDCG@10 is
more than 0.1 below that of BM25 on the same fields, by either measure.

    python -m tests.bench.relevance --url http://localhost:9200 --index products

The index must be the bundled catalogue, made with the model measured (`attune demo`, or `attune index`).
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import click
import numpy as np
from opensearchpy import OpenSearch

from mappings.client import check_cluster, connect
from mappings.settings import OpenSearchSettings, Settings, SidecarSettings
from mappings.types import JsonObject
from plugin_api.commands.train.weights import plan_weights
from plugin_api.opensearch.http_client import HttpClient
from plugin_api.search.query.keyword_query import keyword_query
from plugin_api.search.query.types import SearchCall
from plugin_api.search.search import Searcher
from plugin_api.terminal import StageProgress
from reranker.encoders.codec import normalise
from reranker.encoders.product_encoder import tokenise_products
from reranker.evaluation.measures import (
    Grades,
    group_by_query,
    measure,
    measure_by_query,
    select_answerable,
)
from reranker.fusion import Scorer, score_products
from reranker.model import Model, load_model
from reranker.text.product_text import build_product_text
from reranker.training.datasets.bm25 import KeywordIndex
from reranker.training.datasets.training_data import TrainingData
from reranker.training.distillation.teacher import compute_teacher_states
from reranker.training.encoders.bert import Bert, QueryTower, locate_minilm
from reranker.training.run.threads import use_all_cores
from reranker.training.scoring.cross_validation import cross_validate, train_held_out_scorers
from reranker.training.scoring.examples import EncodedCatalogue
from reranker.training.scoring.preparation import encode_catalogue, make_examples
from reranker.types import EncodedQuery, Floats

DEPTH = 100
TWO_FIELDS = "BM25, title + description"
ALL_FIELDS = "BM25, all text fields (Attune's own keyword query)"
_BASELINES = {f"Attune over {name}": name for name in (TWO_FIELDS, ALL_FIELDS)}
_LOSS = 0.1
Ranking = Sequence[str]


class HeldOut:
    """The model, but for the scorer: each judged query's own, which never saw that query."""

    def __init__(self, model: Model, scorers: Mapping[str, Scorer]) -> None:
        self.version = model.version
        self.encode_query = model.encode_query
        self._scorers = scorers

    def is_readable(self, stored: bytes) -> bool:
        """See Reranker."""
        return bool(stored)

    def score_raw(self, query: EncodedQuery, stored: Sequence[bytes], weights: Sequence[float]) -> Floats:
        return score_products(self._scorers[query.text], query, stored, weights)


def two_field_query(text: str) -> JsonObject:
    """BM25 on title and description: the plain baseline."""
    return {"multi_match": {"query": text, "fields": ["title", "description"]}}


def searched(client: OpenSearch, index: str, query: JsonObject) -> dict[str, float]:
    """Id → score of the best DEPTH hits, best first."""
    found = client.search(index=index, body={"query": query, "size": DEPTH, "_source": False})
    return {hit["_id"]: hit["_score"] for hit in found["hits"]["hits"]}


def minmax(first: Mapping[str, float], second: Mapping[str, float], weight: float) -> Ranking:
    """Both lists scaled to 0..1 and added, `weight` to the second."""
    total: dict[str, float] = {}
    for part, share in ((first, 1 - weight), (second, weight)):
        low, high = min(part.values(), default=0.0), max(part.values(), default=0.0)
        for i, value in part.items():
            total[i] = total.get(i, 0.0) + share * (value - low) / max(high - low, 1e-9)
    return sorted(total, key=total.__getitem__, reverse=True)[:DEPTH]


def reciprocal(first: Ranking, second: Ranking, k: int = 60) -> Ranking:
    """Reciprocal rank fusion."""
    total: dict[str, float] = {}
    for part in (first, second):
        for rank, i in enumerate(part, start=1):
            total[i] = total.get(i, 0.0) + 1 / (k + rank)
    return sorted(total, key=total.__getitem__, reverse=True)[:DEPTH]


def attune_ranking(searching: Searcher, index: str, query: JsonObject) -> Ranking:
    """Ids of Attune's best DEPTH hits. Raises ValueError where a search was not reranked."""
    body = json.dumps({"query": query, "size": DEPTH, "_source": False}).encode()
    answer = searching.answer(SearchCall(index, body)).json()
    report = answer["ext"]["attune"]
    if report["rerank_status"] != "reranked":
        raise ValueError(f"not reranked: {report}")
    return [hit["_id"] for hit in answer["hits"]["hits"]]


def _condense(run: Mapping[str, Ranking], counts: Mapping[str, Grades]) -> dict[str, Ranking]:
    """Leave the products out of each ranking that its query has no judgement for."""
    return {query: [i for i in ranking if i in counts[query]] for query, ranking in run.items()}


def _losses(
    run: Mapping[str, Ranking], base: Mapping[str, Ranking], counts: Mapping[str, Grades]
) -> dict[str, float]:
    """Return by how much nDCG@10 is lower than the baseline's, for the queries that lose more than 0.1."""
    values, plain = measure_by_query(run, counts), measure_by_query(base, counts)
    lost = {query: plain[query]["ndcg@10"] - values[query]["ndcg@10"] for query in counts}
    return {query: round(loss, 2) for query, loss in lost.items() if loss > _LOSS}


@click.command(help=__doc__)
@click.option("--url", default=OpenSearchSettings().url, show_default=True, help="OpenSearch.")
@click.option("--index", default="products", show_default=True, help="Index or alias of the catalogue.")
@click.option(
    "--model", "folder", type=click.Path(path_type=Path), help="Model folder; the shipped one if not given."
)
def main(url: str, index: str, folder: Path | None) -> None:
    """Measure and print."""
    use_all_cores()
    settings = Settings(opensearch=OpenSearchSettings(url=url), sidecar=SidecarSettings(deadline_ms=60_000))
    client = connect(settings.opensearch)
    check_cluster(client, settings.opensearch)
    model = load_model(folder).load()
    plan = plan_weights(model.folder)
    recipe = plan.recipe
    data = TrainingData(plan.products, plan.others, plan.pairs, group_by_query(plan.judgements))
    untrained, own = Bert(locate_minilm()), QueryTower(model)
    stages = StageProgress(terminal=False)
    rows = tokenise_products(
        model.product_tokenizer, [build_product_text(p) for p in data.main], recipe.product_tokens
    )
    texts = [row.ids[: row.pooled] for row in rows]
    plain = compute_teacher_states(untrained, texts, stages("MiniLM reads the catalogue"))
    minilm = np.stack([normalise(states.astype(np.float32).mean(0)) for states in plain.states])  # (N, d)
    del plain
    teacher = compute_teacher_states(own, texts, stages("the query encoder reads the catalogue"))
    encoded = encode_catalogue(model, data.main, stages("catalogue is encoded"))
    catalogue = EncodedCatalogue(data.main, encoded, teacher.states, KeywordIndex(data.main))
    examples = make_examples(data, own, catalogue, model, recipe, stages)
    scorers = train_held_out_scorers(model.scorer, examples, recipe.scorer)
    counts = select_answerable(data.judgements)

    ids = [p.id for p in data.main]
    runs: dict[str, dict[str, Ranking]] = {}
    pooled: dict[str, Ranking] = {}  # MiniLM vectors over each query's judged products

    def note(name: str, query: str, ranking: Ranking) -> None:
        runs.setdefault(name, {})[query] = ranking

    searching = Searcher(HttpClient(settings.opensearch), HeldOut(model, scorers), settings)
    for query in counts:
        bm25 = searched(client, index, two_field_query(query))
        note(TWO_FIELDS, query, list(bm25))
        fielded = searched(client, index, keyword_query(query))
        note(ALL_FIELDS, query, list(fielded))
        states = untrained.states(untrained.token_ids([query], 32))[0][0].numpy()  # (T, d)
        cosines = minilm @ normalise(states.mean(0))
        best = np.argsort(-cosines, kind="stable")[:DEPTH]
        judged = [i for i in range(len(ids)) if ids[i] in counts[query]]
        pooled[query] = [ids[i] for i in np.array(judged)[np.argsort(-cosines[judged], kind="stable")]]
        near = {ids[i]: float(cosines[i]) for i in best}
        note("MiniLM vectors, untrained", query, list(near))
        note("BM25 + MiniLM, min-max 0.3 : 0.7", query, minmax(bm25, near, 0.7))
        note("BM25 + MiniLM, RRF", query, reciprocal(list(bm25), list(near)))
        for name, body in (
            (TWO_FIELDS, two_field_query(query)),
            (ALL_FIELDS, keyword_query(query)),
        ):
            note(f"Attune over {name}", query, attune_ranking(searching, index, body))
    condensed = {name: _condense(run, counts) for name, run in runs.items()}
    rounded = {
        name: {
            **{measure: round(value, 4) for measure, value in measure(run, counts).items()},
            "ndcg@10_condensed": round(measure(condensed[name], counts)["ndcg@10"], 4),
        }
        for name, run in runs.items()
    }
    losses = {
        name: {
            "all": _losses(runs[name], runs[base], counts),
            "condensed": _losses(condensed[name], condensed[base], counts),
        }
        for name, base in _BASELINES.items()
    }
    print(
        json.dumps(
            {
                "model": model.version,
                "queries": len(counts),
                "product_tower_cosine": examples.tower_cosine,
                "judged_pool": {
                    **cross_validate(model, data, examples, recipe.scorer),
                    "judged_pool_ndcg@10_minilm": round(measure(pooled, counts)["ndcg@10"], 4),
                },
                "whole_catalogue": rounded,
                "loses_to_bm25": losses,
            },
            indent=2,
        )
    )


if __name__ == "__main__":
    main()
