"""Do the model's probabilities come true on catalogues that it never saw? Over judged pairs, in memory.

Electronics' grades and ESCI's English pairs taught the shipped scorer, and the scaling by the length of
queries; nothing of ESCI's Spanish and Japanese pairs had a part in either. An answer is relevant where it is
graded 2 or 3, or labelled exact. `before` is the error of the probabilities that a search adds evidence to,
`error` that of those which are shown. Between so few pairs chance alone makes an error: `by chance` is the
mean one of outcomes drawn by the probabilities themselves. Prints JSON: expected calibration errors, the mean
probability and the share that is relevant. With `--url` also the error of the scores that `_search` shows, of
the judged products among the first hits of their query.

    python -m tests.bench.calibration --url http://localhost:9200
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import click
import numpy as np

from mappings.settings import OpenSearchSettings, Settings
from mappings.types import JsonObject, Product
from plugin_api.commands.demo.catalogue import PRODUCTS
from plugin_api.opensearch.http_client import HttpClient
from plugin_api.search.query.keyword_query import keyword_query
from plugin_api.search.query.types import SearchCall
from plugin_api.search.reasons import RerankStatus
from plugin_api.search.search import Searcher
from plugin_api.search.timing import without_time_limits
from reranker.evaluation.calibration import measure_calibration
from reranker.evaluation.measures import GOOD, Grades
from reranker.length_scaling import calibrate
from reranker.model import Model, load_model
from tests.bench.inputs.catalogue import products
from tests.bench.inputs.demo_shop import patient_client
from tests.bench.tuning import CATALOGUES, index_judged, list_esci_products, read_grades_of_all

_DRAWS = 50
_SHOWN = 100


@dataclass(frozen=True)
class JudgedPairs:
    """Judged pairs: their probabilities before and after calibration, and whether each is relevant."""

    before: list[float]
    after: list[float]
    relevant: list[bool]


@click.command(help=__doc__)
@click.option("--url", help="OpenSearch. An index of each catalogue is made where there is none.")
def main(url: str | None) -> None:
    """Measure and print."""
    model = load_model()
    pairs = {name: _score_pairs(model, name) for name in CATALOGUES}
    figures = {
        name: {
            "pairs": len(each.relevant),
            "relevant": round(float(np.mean(each.relevant)), 3),
            "mean probability": round(float(np.mean(each.after)), 3),
            "before": _measure_error(each.before, each.relevant),
            "error": _measure_error(each.after, each.relevant),
            "by chance": _measure_chance(each.after),
            **({"searches": _measure_searches(url, name)} if url else {}),
        }
        for name, each in pairs.items()
    }
    print(json.dumps({"scaling": model.scorer.scaling.round(3).tolist(), "catalogues": figures}, indent=2))


def _score_pairs(model: Model, name: str) -> JudgedPairs:
    grades = read_grades_of_all(name)
    judged = {product for each in grades.values() for product in each}
    catalogue = [p for p in _read_products(name) if p.id in judged]
    stored = {p.id: e.stored for p, e in zip(catalogue, model.encode_products(catalogue), strict=True)}
    pairs = JudgedPairs([], [], [])
    for text, each in grades.items():
        _add_query(pairs, model, text, each, stored)
    return pairs


def _add_query(
    pairs: JudgedPairs, model: Model, text: str, grades: Grades, stored: Mapping[str, bytes]
) -> None:
    query = model.encode_query(text)
    known = [product for product in grades if product in stored]
    before = model.score_raw(query, [stored[product] for product in known]).tolist()
    pairs.before.extend(before)
    pairs.after.extend(calibrate(query, before))
    pairs.relevant.extend(grades[product] >= GOOD for product in known)


def _measure_error(probabilities: Sequence[float], relevant: Sequence[bool]) -> float:
    return round(measure_calibration(probabilities, relevant).error, 3)


def _measure_chance(probabilities: Sequence[float]) -> float:
    random = np.random.default_rng(0)
    drawn = [(random.random(len(probabilities)) < probabilities).tolist() for _ in range(_DRAWS)]
    return round(float(np.mean([measure_calibration(probabilities, each).error for each in drawn])), 3)


def _measure_searches(url: str, name: str) -> JsonObject:
    alias = index_judged(patient_client(url), name)
    settings = without_time_limits(Settings(opensearch=OpenSearchSettings(url=url)))
    searcher = Searcher(HttpClient(settings.opensearch), load_model(), settings)
    searcher.text_reader.find_interpreter(SearchCall.of(alias))
    scores, relevant = [], []
    for text, grades in read_grades_of_all(name).items():
        body = {"query": keyword_query(text), "size": _SHOWN, "_source": False}
        answer = searcher.answer(SearchCall.of(alias, json.dumps(body).encode())).json()
        if answer["ext"]["attune"]["rerank_status"] == RerankStatus.RERANKED:
            judged = [hit for hit in answer["hits"]["hits"] if hit["_id"] in grades]
            scores += [hit["_score"] for hit in judged]
            relevant += [grades[hit["_id"]] >= GOOD for hit in judged]
    return {"pairs": len(scores), "error": _measure_error(scores, relevant)}


def _read_products(name: str) -> list[Product]:
    return list(products(PRODUCTS)) if name == "electronics" else list_esci_products(name)


if __name__ == "__main__":
    main()
