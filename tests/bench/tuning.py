"""What `attune tune` is worth by people's grades: nDCG@10 over whole catalogues, before and after.

Nothing is chosen by the grades: the check-up sees catalogues alone. They are electronics, and the products
of ESCI (general merchandise) in English and Spanish. Makes an index of each that has none yet. Prints JSON.

    python -m tests.bench.tuning --url http://localhost:9200
"""

import csv
import gzip
import json
import random
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import click
from opensearchpy import OpenSearch

from indexer.catalogue.guessing import guess_field_map
from indexer.rebuild.job import rebuild_index
from indexer.rebuild.product_source import CatalogueSource
from indexer.sources.files import open_catalogue
from indexer.store.session import IndexSession, OneEncoder
from mappings.settings import OpenSearchSettings, Settings
from mappings.types import JsonObject, Product
from plugin_api.commands.demo.catalogue import index_catalogue
from plugin_api.commands.index.tuning import open_tuning
from plugin_api.commands.train.weights import read_electronics_judgements
from plugin_api.opensearch.http_client import HttpClient
from plugin_api.search.query.keyword_query import keyword_query
from plugin_api.search.query.types import SearchCall
from plugin_api.search.search import Searcher
from plugin_api.search.timing import without_time_limits
from plugin_api.tuning.job import tune_index
from plugin_api.tuning.record import forget_tuning, record_tuning
from reranker.evaluation.losses import report_losses
from reranker.evaluation.measures import Grades, group_by_query, measure_by_query, select_answerable
from reranker.evaluation.significance import bootstrap_mean
from reranker.model import load_model
from tests.bench.inputs.demo_shop import patient_client

_ESCI = Path(__file__).parents[2] / "reranker/training/data/esci/pairs.csv.gz"
_GRADES = {"exact": 3, "substitute": 1, "complement": 0, "irrelevant": 0}
CATALOGUES = ("electronics", "esci-us", "esci-es", "esci-jp")
_TUNED = CATALOGUES[:3]
_DEPTH = 10
_SEED = 4


@click.command(help=__doc__)
@click.option("--url", default=OpenSearchSettings().url, show_default=True, help="OpenSearch.")
@click.option("--seconds", default=60.0, show_default=True, help="Time to probe each catalogue in.")
@click.option("--queries", default=250, show_default=True, help="Judged queries of each catalogue, at most.")
@click.argument("catalogues", nargs=-1, type=click.Choice(CATALOGUES))
def main(url: str, seconds: float, queries: int, catalogues: tuple[str, ...]) -> None:
    """Measure and print."""
    client, figures = patient_client(url), {}
    settings = without_time_limits(Settings(opensearch=OpenSearchSettings(url=url)))
    for name in catalogues or _TUNED:
        alias = index_judged(client, name)
        grades = read_grades(name)
        chosen = random.Random(_SEED).sample(sorted(grades), min(queries, len(grades)))
        figures[name] = _compare(client, settings, alias, {query: grades[query] for query in chosen}, seconds)
    print(json.dumps(figures, indent=2))


def _compare(
    client: OpenSearch, settings: Settings, alias: str, grades: Mapping[str, Grades], seconds: float
) -> JsonObject:
    forget_tuning(client, alias)
    own = _measure({query: search_own(client, alias, query) for query in grades}, grades)
    before = _measure(_search(settings, alias, list(grades)), grades)
    report = tune_index(open_tuning(client, settings, alias, None, seconds))
    record_tuning(client, alias, report)
    after = _measure(_search(settings, alias, list(grades)), grades)
    change = bootstrap_mean([after[query] - before[query] for query in grades])
    lost = {
        name: report_losses({query: values[query] - own[query] for query in grades}, {}).total.share
        for name, values in (("before", before), ("after", after))
    }
    return {
        "queries": len(grades),
        "made_queries": report.queries,
        "chosen": report.tuned.values,
        "ndcg@10": {
            name: round(sum(values.values()) / len(values), 4)
            for name, values in (("own", own), ("before", before), ("after", after))
        },
        "change": {"mean": round(change.mean, 4), "low": round(change.low, 4), "high": round(change.high, 4)},
        "share_that_loses_0.1_to_own": {name: round(share.mean, 4) for name, share in lost.items()},
        "probes": [{"kind": kind.kind, "own": kind.own, "after": kind.after} for kind in report.kinds],
    }


def _measure(rankings: Mapping[str, Sequence[str]], grades: Mapping[str, Grades]) -> dict[str, float]:
    return {query: values["ndcg@10"] for query, values in measure_by_query(rankings, grades).items()}


def search_own(client: OpenSearch, alias: str, query: str) -> list[str]:
    """Return the ids of the best hits of the keyword query."""
    body = {"query": keyword_query(query), "size": _DEPTH, "_source": False}
    return [hit["_id"] for hit in client.search(index=alias, body=body)["hits"]["hits"]]


def _search(settings: Settings, alias: str, queries: Sequence[str]) -> dict[str, list[str]]:
    searcher = Searcher(HttpClient(settings.opensearch), load_model(), settings)  # has read no record yet
    searcher.text_reader.find_interpreter(SearchCall.of(alias))
    rankings = {}
    for query in queries:
        body = {"query": keyword_query(query), "size": _DEPTH, "_source": False}
        answer = searcher.answer(SearchCall.of(alias, json.dumps(body).encode())).json()
        rankings[query] = [hit["_id"] for hit in answer["hits"]["hits"]]
    return rankings


def index_judged(client: OpenSearch, name: str) -> str:
    """Return the alias of a judged catalogue, which is indexed where it is not there yet."""
    alias = f"bench-{name}"
    if not client.indices.exists(index=alias):
        _index(client, name, alias)
    return alias


def _index(client: OpenSearch, name: str, alias: str) -> None:
    if name == "electronics":
        index_catalogue(client, alias, load_model(), Settings().index, lambda _, __: None)
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "products.jsonl"
        products = {row["product_id"]: row for row in read_esci(name)}
        with path.open("w", encoding="utf-8") as lines:
            for product_id, row in products.items():
                text = f"{row['product_bullet_point']} {row['product_description']}".strip()
                record = {"id": product_id, "title": row["product_title"], "brand": row["product_brand"]}
                record |= {"description": text, "color": row["product_color_name"]}
                lines.write(json.dumps(record) + "\n")
        catalogue = open_catalogue(path)
        session = IndexSession(client, alias, OneEncoder(load_model()))
        source = CatalogueSource(catalogue, guess_field_map(catalogue))
        rebuild_index(session, source, Path(folder) / "rejects.jsonl")


def list_esci_products(name: str) -> list[Product]:
    """Return the products of ESCI in one language, each once."""
    rows = {row["product_id"]: row for row in read_esci(name)}
    return [
        Product(
            product_id,
            title=row["product_title"],
            brand=row["product_brand"],
            description=f"{row['product_bullet_point']} {row['product_description']}".strip(),
            attributes={"color": row["product_color_name"]} if row["product_color_name"] else {},
        )
        for product_id, row in rows.items()
        if row["product_title"]
    ]


def read_grades(name: str) -> Mapping[str, Grades]:
    """Return the grades of a catalogue's answerable queries."""
    return select_answerable(read_grades_of_all(name))


def read_grades_of_all(name: str) -> Mapping[str, Grades]:
    """Return the grades of all judged queries of a catalogue."""
    if name == "electronics":
        return group_by_query(read_electronics_judgements())
    grades: dict[str, dict[str, int]] = {}
    for row in read_esci(name):
        grades.setdefault(row["query"], {})[row["product_id"]] = _GRADES[row["esci_label"]]
    return grades


def read_esci(name: str) -> list[dict[str, str]]:
    """Return the rows of a locale of ESCI, such as esci-jp."""
    csv.field_size_limit(1_000_000)
    with gzip.open(_ESCI, "rt", encoding="utf-8", newline="") as lines:
        return [row for row in csv.DictReader(lines) if name == f"esci-{row['query_locale']}"]


if __name__ == "__main__":
    main()
