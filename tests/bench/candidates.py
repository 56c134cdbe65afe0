"""The candidate stage: what the window holds, by query type, fusion and weight of the vector's part.

Three kinds of queries, none of which should choose a weight alone. `judged`: the electronics queries that
people judged; few, nearly all of one or two words, judged on what a keyword engine found. `known_items`: made
from products of the same catalogue, each to be found again; many, but in the product's own words. `shoppers`:
what people asked another shop (ESCI, English), the products labelled exact among all 1,359 there, in memory,
without OpenSearch; recall at 20, since 100 of so few find nearly all. Prints JSON.

    python -m tests.bench.candidates --url http://localhost:9200 --index products

The index must be the bundled catalogue, made with the model measured.
"""

import json
import random
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray

from mappings.client import check_cluster, connect
from mappings.settings import OpenSearchSettings, SearchSettings
from mappings.types import JsonObject, Product
from plugin_api.commands.demo.catalogue import PRODUCTS
from plugin_api.commands.train.weights import read_esci_pairs
from plugin_api.opensearch.http_client import HttpClient
from plugin_api.search.deadline import Deadline
from plugin_api.search.query.keyword_query import keyword_query
from plugin_api.search.query.request import parse_call
from plugin_api.search.query.types import RerankRequest, SearchCall
from plugin_api.search.retrieval.caller_client import CallerClient
from plugin_api.search.retrieval.candidates import Candidates, gather
from plugin_api.search.retrieval.fusion import fuse
from plugin_api.search.retrieval.hit import Hit
from reranker.evaluation.judgements import read_judgements
from reranker.evaluation.measures import group_by_query, measure_by_query, select_answerable
from reranker.model import Model, load_model
from reranker.probes.known_items import make_queries
from reranker.text.query_type import classify_query
from reranker.training.datasets.bm25 import KeywordIndex
from reranker.types import QueryType
from tests.bench.inputs import JUDGEMENTS, machine, products

WINDOW = 100
WEIGHTS = tuple(round(step / 10, 1) for step in range(11))
FUSIONS = ("minmax", "rrf")
A_TYPE = 150
"""Known items asked of each type."""
SHOPPERS_CUT = 20
HALVES, SEED = 200, 7
PATIENCE_SECONDS = 60.0
WEIGHT_SETTINGS = ("vector_weight", "vector_weight_head", "vector_weight_model", "vector_weight_sentence")

PARTS = ("judged", "known_items", "shoppers")

Grades = Mapping[str, int]


@dataclass(frozen=True)
class Asked:
    """One query, what answers it, and both lists."""

    text: str
    grades: Grades
    first: Candidates

    @property
    def kind(self) -> QueryType:
        """The query's type."""
        return classify_query(self.text)


def spoken_queries(catalogue: Sequence[Product], count: int) -> list[tuple[str, int]]:
    """Return `count` sentences with the row of the product each was made from: as long as a shopper's."""
    chooser = random.Random(SEED)
    found: list[tuple[str, int]] = []
    for row in chooser.sample(range(len(catalogue)), len(catalogue)):
        product, said = catalogue[row], catalogue[row].description.split()
        title = [word for word in product.title.split() if word.isalpha() and word != product.brand]
        if len(found) == count:
            break
        if len(title) < 2 or len(said) < 8:
            continue
        start = chooser.randrange(len(said) - 4)
        detail, thing = " ".join(said[start : start + 4]), " ".join(title[-2:])
        text = chooser.choice(
            (f"i need a {thing} with {detail}", f"which {product.brand} {thing} has {detail}")
        )
        if classify_query(text) == QueryType.SENTENCE:
            found.append((text, row))
    return found


def known_items(catalogue: Sequence[Product]) -> dict[str, Grades]:
    """Query → the product it was made from: A_TYPE of each type."""
    counts: Counter[QueryType] = Counter()
    found: dict[str, Grades] = {}
    for text, row in spoken_queries(catalogue, A_TYPE) + make_queries(catalogue, 30 * A_TYPE, SEED):
        kind = classify_query(text)
        if counts[kind] < A_TYPE:
            counts[kind] += 1
            found[text] = {catalogue[row].id: 3}
    return found


def shoppers(model: Model) -> list[Asked]:
    """ESCI's queries with both lists over its products, made in memory."""
    exact: dict[str, dict[str, int]] = defaultdict(dict)
    shop: dict[str, Product] = {}
    for text, product, probability in read_esci_pairs():
        shop.setdefault(product.id, product)
        if probability == 1.0:
            exact[text][product.id] = 3
    catalogue = list(shop.values())
    vectors = np.stack([encoded.vector for encoded in model.encode_products(catalogue)])  # (n, d)
    words = KeywordIndex(catalogue)

    def best(scores: NDArray[np.floating[Any]], kind: str) -> tuple[Hit, ...]:
        order = [int(i) for i in np.argsort(-scores, kind="stable")[:WINDOW] if scores[i] > 0]
        return tuple(Hit("esci", catalogue[i].id, **{kind: float(scores[i])}) for i in order)

    return [
        Asked(
            text,
            grades,
            Candidates(
                best(words.scores(text), "keyword_score"),
                neighbours=best((1 + vectors @ model.encode_query(text).vector) / 2, "vector_score"),
            ),
        )
        for text, grades in exact.items()
    ]


def ids(first: Candidates, settings: SearchSettings, text: str) -> list[str]:
    """The window's ids, best first."""
    return [hit.id for hit in fuse(first.own, first.neighbours, settings, classify_query(text))]


def measures(asked: Sequence[Asked], cut: int, settings: SearchSettings) -> dict[str, dict[str, float]]:
    """Query → recall among the best `cut`, and nDCG at 10, of the fused lists."""
    found = measure_by_query(
        {one.text: ids(one.first, settings, one.text)[:cut] for one in asked},
        {one.text: one.grades for one in asked},
    )
    return {
        text: {"recall": values["recall@100"], "ndcg@10": values["ndcg@10"]} for text, values in found.items()
    }


def split_half(recalls: Mapping[float, Sequence[float]]) -> float | None:
    """What the weight that is best on one random half gets on the other: the mean over many halves."""
    chooser = random.Random(SEED)
    count = len(recalls[0.0])
    if count < 10:
        return None
    got = []
    for _ in range(HALVES):
        order = chooser.sample(range(count), count)
        one, other = order[: count // 2], order[count // 2 :]
        best = max(recalls, key=lambda weight: sum(recalls[weight][i] for i in one))
        got.append(fmean(recalls[best][i] for i in other))
    return round(fmean(got), 4)


def settings_compared() -> dict[str, SearchSettings]:
    """The defaults, and each fusion at each weight whatever the query's type."""
    found = {"defaults": SearchSettings(window=WINDOW)}
    for fusion in FUSIONS:
        for weight in WEIGHTS:
            weights = dict.fromkeys(WEIGHT_SETTINGS, weight)
            found[f"{fusion} {weight}"] = SearchSettings(fusion=fusion, window=WINDOW, **weights)  # type: ignore[arg-type]
    return found


def shown(values: Mapping[str, Mapping[str, Mapping[str, float]]], texts: Sequence[str]) -> JsonObject:
    """Mean recall and nDCG of these queries at each weight of each fusion, and of the settings' defaults."""

    def mean(name: str, measure: str) -> float:
        return round(fmean(values[name][text][measure] for text in texts), 4)

    return {
        "queries": len(texts),
        "defaults": {measure: mean("defaults", measure) for measure in ("recall", "ndcg@10")},
        **{
            fusion: {
                **{
                    measure: [mean(f"{fusion} {weight}", measure) for weight in WEIGHTS]
                    for measure in ("recall", "ndcg@10")
                },
                "recall_split_half": split_half(
                    {w: [values[f"{fusion} {w}"][text]["recall"] for text in texts] for w in WEIGHTS}
                ),
            }
            for fusion in FUSIONS
        },
    }


def by_type(asked: Sequence[Asked], cut: int = WINDOW) -> JsonObject:
    """What each weight is worth to the queries of each type, and to all of them."""
    values = {name: measures(asked, cut, settings) for name, settings in settings_compared().items()}
    groups = {kind: [one.text for one in asked if one.kind == kind] for kind in QueryType}
    return {
        "recall_at": cut,
        **{kind: shown(values, group) for kind, group in groups.items() if group},
        "all": shown(values, [one.text for one in asked]),
    }


@click.command(help=__doc__)
@click.option("--url", default=OpenSearchSettings().url, show_default=True, help="OpenSearch.")
@click.option("--index", default="products", show_default=True, help="Index or alias of the catalogue.")
@click.option(
    "--model", "folder", type=click.Path(path_type=Path), help="Model folder; the shipped one if not given."
)
@click.option("--part", "parts", multiple=True, type=click.Choice(PARTS), help="Only this; repeatable.")
def main(url: str, index: str, folder: Path | None, parts: tuple[str, ...]) -> None:
    """Measure and print."""
    where = OpenSearchSettings(url=url, timeout_seconds=PATIENCE_SECONDS)
    client, opensearch = connect(where), HttpClient(where)
    result: JsonObject = machine("attune") | {"opensearch": check_cluster(client, where)}
    model = load_model(folder)
    judged: dict[str, Grades] = dict(select_answerable(group_by_query(read_judgements(JUDGEMENTS))))
    result |= {"model": model.version, "weights": WEIGHTS}

    def candidates(text: str) -> Candidates:
        body = {"query": keyword_query(text), "_source": False}
        request = parse_call(SearchCall(index, json.dumps(body).encode()))
        if not isinstance(request, RerankRequest):
            raise click.ClickException(f"{text!r} can't be reranked: {request.cause.sentence}")
        deadline = Deadline.after(PATIENCE_SECONDS)
        caller = CallerClient(opensearch, request.call, request.params, deadline)
        return gather(caller, request, model.encode_query(text).vector, WINDOW)

    def gathered(texts: Mapping[str, Grades]) -> list[Asked]:
        return [Asked(text, grades, candidates(text)) for text, grades in texts.items()]

    measured = {
        "judged": lambda: by_type(gathered(judged)),
        "known_items": lambda: by_type(gathered(known_items(products(PRODUCTS)))),
        "shoppers": lambda: by_type(shoppers(model), SHOPPERS_CUT),
    }
    result |= {part: measured[part]() for part in parts or PARTS}
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
