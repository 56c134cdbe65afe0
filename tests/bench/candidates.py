"""The candidate stage on the electronics catalogue: what the window holds, by query type, fusion and weight.

Two kinds of queries: those that people judged, and known items: words, brands and model numbers of a
product picked at random, which is to be found again. The first are few, and their judgements come from a
keyword engine; the second are many, but use the product's own words. Neither alone should choose a weight.
Prints JSON.

    python -m tests.bench.candidates --url http://localhost:9200 --index products

The index must be the bundled catalogue, made with the model measured. Where the cluster has a hybrid query,
its windows and their time are measured beside Attune's own fusion.
"""

import json
import random
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean, median

import click
from opensearchpy import OpenSearch

from mappings.client import check_cluster, connect
from mappings.settings import OpenSearchSettings, SearchSettings
from mappings.types import JsonObject, Product
from plugin_api.candidates import FirstStage, fuse, gather
from plugin_api.demo_catalogue import PRODUCTS
from plugin_api.hybrid import Gathering
from plugin_api.query_type import QueryType, query_type
from plugin_api.request import RerankRequest, SearchCall, keyword_query, parse_call
from reranker.evaluation import by_query, countable, means, measured_by_query
from reranker.judgements import read_judgements
from reranker.model import load_model
from reranker.training.queries import catalogue_queries
from reranker.types import Floats
from tests.bench.inputs import JUDGEMENTS, machine, products

WINDOW = 100
WEIGHTS = tuple(round(step / 10, 1) for step in range(11))
FUSIONS = ("minmax", "rrf")
A_TYPE = 150
"""Known items asked of each type."""
HALVES = 200
SEED = 7
PATIENCE_SECONDS = 60.0
SETTING = {
    QueryType.HEAD: "vector_weight_head",
    QueryType.MODEL: "vector_weight_model",
    QueryType.SENTENCE: "vector_weight_sentence",
    QueryType.PHRASE: "vector_weight",
}

Grades = Mapping[str, int]


@dataclass(frozen=True)
class Asked:
    """One query, what answers it, and both lists."""

    text: str
    kind: QueryType
    grades: Grades
    request: RerankRequest
    vector: Floats
    first: FirstStage


def spoken_queries(catalogue: Sequence[Product], count: int, seed: int) -> list[tuple[str, int]]:
    """Return `count` sentences with the row of the product each was made from: no shopper's, but as long."""
    chooser = random.Random(seed)
    found: list[tuple[str, int]] = []
    rows = list(range(len(catalogue)))
    chooser.shuffle(rows)
    for row in rows:
        product, said = catalogue[row], catalogue[row].description.split()
        title = [word for word in product.title.split() if word.isalpha() and word != product.brand]
        if len(found) == count:
            break
        if len(title) < 2 or len(said) < 8:
            continue
        start = chooser.randrange(len(said) - 4)
        detail, kind = " ".join(said[start : start + 4]), " ".join(title[-2:])
        text = chooser.choice(
            (f"i need a {kind} with {detail}", f"which {product.brand} {kind} has {detail}")
        )
        if query_type(text) == QueryType.SENTENCE:
            found.append((text, row))
    return found


def known_items(catalogue: Sequence[Product]) -> dict[str, Grades]:
    """Query → the product it was made from: A_TYPE of each type."""
    counts: Counter[QueryType] = Counter()
    found: dict[str, Grades] = {}
    made = catalogue_queries(catalogue, 30 * A_TYPE, SEED)
    for text, row in spoken_queries(catalogue, A_TYPE, SEED) + made:
        kind = query_type(text)
        if counts[kind] < A_TYPE:
            counts[kind] += 1
            found[text] = {catalogue[row].id: 3}
    return found


def weighed(fusion: str, weight: float) -> SearchSettings:
    """Settings that fuse so, whatever the query's type."""
    return SearchSettings(fusion=fusion, window=WINDOW, **dict.fromkeys(SETTING.values(), weight))  # type: ignore[arg-type]


def window_ids(asked: Asked, settings: SearchSettings) -> list[str]:
    """The fused window's ids, best first."""
    return [fused.hit.id for fused in fuse(asked.first, settings, asked.text)]


def measures(asked: Sequence[Asked], settings: SearchSettings) -> dict[str, dict[str, float]]:
    """Query → measure → value of the fused lists."""
    rankings = {one.text: window_ids(one, settings) for one in asked}
    return measured_by_query(rankings, {one.text: one.grades for one in asked})


def split_half(values: Mapping[float, Sequence[float]], chooser: random.Random) -> float:
    """Mean over random halves of what the weight that is best on one half gets on the other."""
    count = len(next(iter(values.values())))
    got = []
    for _ in range(HALVES):
        order = chooser.sample(range(count), count)
        one, other = order[: count // 2], order[count // 2 :]
        best = max(values, key=lambda weight: sum(values[weight][i] for i in one))
        got.append(fmean(values[best][i] for i in other))
    return fmean(got)


def by_type(asked: Sequence[Asked], settings: SearchSettings) -> JsonObject:
    """For each type of query and fusion: recall and nDCG at each weight, and what choosing one is worth."""
    shown: JsonObject = {}
    for kind in QueryType:
        group = [one for one in asked if one.kind == kind]
        if not group:
            continue
        shown[kind] = {"queries": len(group)}
        for fusion in FUSIONS:
            found = {weight: measures(group, weighed(fusion, weight)) for weight in WEIGHTS}
            recalls = {w: [values["recall@100"] for values in found[w].values()] for w in WEIGHTS}
            shown[kind][fusion] = {
                "recall@100": [round(fmean(recalls[w]), 4) for w in WEIGHTS],
                "ndcg@10": [round(means(found[w])["ndcg@10"], 4) for w in WEIGHTS],
                "recall@100_split_half": round(split_half(recalls, random.Random(SEED)), 4)
                if len(group) > 3
                else None,
            }
        in_force = means(measures(group, settings))
        shown[kind]["in_force"] = {name: round(in_force[name], 4) for name in ("recall@100", "ndcg@10")}
    in_force = means(measures(asked, settings))
    shown["all"] = {
        "queries": len(asked),
        **{
            fusion: {
                name: [round(means(measures(asked, weighed(fusion, w)))[name], 4) for w in WEIGHTS]
                for name in ("recall@100", "ndcg@10")
            }
            for fusion in FUSIONS
        },
        "in_force": {name: round(in_force[name], 4) for name in ("recall@100", "ndcg@10")},
    }
    return shown


def timed(ask: Callable[[], FirstStage]) -> tuple[FirstStage, float]:
    """What was gathered, and the milliseconds it took."""
    began = time.perf_counter()
    first = ask()
    return first, (time.perf_counter() - began) * 1000


def native(client: OpenSearch, asked: Sequence[Asked], settings: SearchSettings) -> JsonObject | None:
    """The cluster's hybrid windows beside Attune's, taking turns; None where it has none."""
    ways = {way: Gathering(client, replace(settings, hybrid=way)) for way in ("auto", "never")}
    took: dict[str, list[float]] = {"auto": [], "never": []}
    rankings: dict[str, dict[str, list[str]]] = {"auto": {}, "never": {}}
    shared: list[float] = []
    for turn in range(4):
        for number, one in enumerate(asked):
            for way in sorted(ways, reverse=bool((turn + number) % 2)):
                gathering = ways[way]
                first, ms = timed(
                    lambda one=one, gathering=gathering: gathering.gather(
                        one.request, one.vector, {}, PATIENCE_SECONDS
                    )
                )
                if way == "auto" and not first.fused:
                    return None
                rankings[way][one.text] = [fused.hit.id for fused in fuse(first, settings, one.text)]
                if turn:
                    took[way].append(ms)
            ours, theirs = (set(rankings[way][one.text]) for way in ("never", "auto"))
            shared.append(len(ours & theirs) / max(len(ours | theirs), 1))
    grades = {one.text: one.grades for one in asked}
    return {
        "windows_shared": round(fmean(shared), 4),
        **{
            name: {
                "ms_p50": round(median(took[way]), 2),
                "recall@100": round(means(measured_by_query(rankings[way], grades))["recall@100"], 4),
            }
            for name, way in (("hybrid query", "auto"), ("two searches", "never"))
        },
    }


@click.command(help=__doc__)
@click.option("--url", default=OpenSearchSettings().url, show_default=True, help="OpenSearch.")
@click.option("--index", default="products", show_default=True, help="Index or alias of the catalogue.")
@click.option("--model", type=click.Path(path_type=Path), help="Model folder; the shipped one if not given.")
def main(url: str, index: str, model: Path | None) -> None:
    """Measure and print."""
    client = connect(OpenSearchSettings(url=url, timeout_seconds=PATIENCE_SECONDS))
    version = check_cluster(client, OpenSearchSettings(url=url))
    facts = machine("attune")
    encoder = load_model(model)
    judged = countable(by_query(read_judgements(JUDGEMENTS)))
    settings = SearchSettings(window=WINDOW)

    def asked(text: str, grades: Grades) -> Asked:
        body = json.dumps({"query": keyword_query(text), "_source": False}).encode()
        request = parse_call(SearchCall(index, body))
        if not isinstance(request, RerankRequest):
            raise click.ClickException(f"{text!r} can't be reranked: {request.reason}")
        vector = encoder.encode_query(text).vector
        first = gather(client, request, vector, WINDOW, {}, PATIENCE_SECONDS)
        return Asked(text, query_type(text), grades, request, vector, first)

    people = [asked(text, grades) for text, grades in judged.items()]
    items = [asked(text, grades) for text, grades in known_items(products(PRODUCTS)).items()]
    result = {
        **facts,
        "opensearch": version,
        "model": encoder.version,
        "weights": WEIGHTS,
        "judged": by_type(people, settings),
        "known_items": by_type(items, settings),
        "native": native(client, people, settings),
    }
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
