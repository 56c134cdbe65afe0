"""Chinese, one known product a query: BM25, the teacher, both mixed, and Attune, in one run. Prints JSON.

The titles are those of a made-up shop with types, brands and words that no model learnt from, or those of a
file; no real shop's Chinese titles come under an open licence. Queries name what a title has in another order
and mostly not all of it: a fifth of the brands in their other script, a fifth of the other words by a part.

    python -m tests.bench.chinese --url http://localhost:9200 --teacher FOLDER

The same queries are asked in Traditional characters, too, and with one character of a word missing or twice.
Of these only BM25 and Attune are measured.

FOLDER is where `make weights` unpacked bge-small-zh-v1.5; without it the teacher is left out. `--titles` and
`--queries` are files of JSON lines with `id` and `title`, and with `query` and `id`. An index of the titles
is made under `--index` by the shipped model for their language, and removed at the end.
"""

import json
import random
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import click
import numpy as np

from indexer.catalogue.field_map import load_field_map
from indexer.rebuild.job import rebuild_index
from indexer.rebuild.product_source import CatalogueSource
from indexer.sources.files import open_catalogue
from indexer.store.session import IndexSession, OneEncoder
from mappings.client import check_cluster, connect
from mappings.settings import IndexSettings, OpenSearchSettings, Settings, SidecarSettings
from mappings.types import Product
from plugin_api.opensearch.http_client import HttpClient
from plugin_api.search.query.keyword_query import keyword_query
from plugin_api.search.search import Searcher
from reranker.encoders.codec import normalise
from reranker.mixed_model import load_any_model
from reranker.shipped_models import choose_shipped_model
from reranker.text.chinese import simplified_table
from reranker.text.product_text import build_product_text
from reranker.training.datasets.made_shop import MadeShop
from reranker.training.distillation.teacher import compute_teacher_states
from reranker.training.encoders.bert import Bert
from reranker.types import Floats
from tests.bench.relevance import Ranking, attune_ranking, minmax, searched

_PRODUCTS, _QUERIES, _SEED = 13_000, 1_000, 2024
_DEPTH, _SHOWN = 100, 10
_FEWEST_WORDS = 2


def read_titles(file: Path | None) -> list[Product]:
    """Return the products of a file, or the made-up shop's."""
    if file:
        rows = map(json.loads, file.read_text(encoding="utf-8").splitlines())
        return [Product(str(row["id"]), row["title"]) for row in rows]
    made = MadeShop([], _SEED, for_test=True).make_products(_PRODUCTS)
    return [Product(each.product.id, each.product.title) for each in made]


def read_queries(file: Path | None, count: int) -> list[tuple[str, str]]:
    """Return (query, id of its product) of a file, or made of the made-up shop's products."""
    if file:
        rows = map(json.loads, file.read_text(encoding="utf-8").splitlines())
        return [(row["query"], str(row["id"])) for row in rows][:count]
    chooser = random.Random(_SEED)
    made = MadeShop([], _SEED, for_test=True).make_products(_PRODUCTS)
    queries = []
    for each in chooser.sample(made, len(made)):
        spellings = each.brand.split("/")
        words = sorted(each.words - set(spellings) - {each.type})
        if len(words) < _FEWEST_WORDS:
            continue
        picked = [
            word[: max(2, len(word) - 1)] if chooser.random() < 0.2 else word
            for word in chooser.sample(words, chooser.randint(_FEWEST_WORDS, min(3, len(words))))
        ]
        named = [name for name in spellings if name and name in each.product.title]
        if named:
            other = chooser.random() < 0.2 and len(spellings) > 1
            picked.append(next((s for s in spellings if s not in named), named[0]) if other else named[0])
        parts = [each.type, *picked]
        chooser.shuffle(parts)
        queries.append((chooser.choice(["", " "]).join(parts), each.product.id))
        if len(queries) == count:
            break
    return queries


def write_traditional(query: str) -> str:
    """Return a query in Traditional characters, each Simplified one as the first that is written so."""
    traditional: dict[int, str] = {}
    for code, simplified in simplified_table().items():
        traditional.setdefault(ord(simplified), chr(code))
    return query.translate(traditional)


def misspell(query: str, twice: bool, chooser: random.Random) -> str:
    """Return a query of which one letter or Chinese character, not the first, is missing or there twice."""
    places = [i for i, sign in enumerate(query) if i and sign.isalpha()]
    if not places:
        return query
    place = chooser.choice(places)
    return query[:place] + query[place] * 2 * twice + query[place + 1 :]


def encode_texts(teacher: Bert, texts: Sequence[str]) -> tuple[Floats, Floats]:
    """Return the teacher's vectors (n, d) of texts: its first state, as it was trained, and the mean."""
    states = compute_teacher_states(teacher, teacher.token_ids(texts, 96), lambda *_: None).states
    first = np.stack([each[0].astype(np.float32) for each in states])
    return normalise(first), normalise(np.stack([each.astype(np.float32).mean(0) for each in states]))


def measure_known_items(run: Mapping[str, Ranking], source: Mapping[str, str]) -> dict[str, float]:
    """Return MRR@10, and the shares of queries whose product is first, and among the first ten."""
    ranks = [
        next((rank for rank, i in enumerate(run[query][:_SHOWN], start=1) if i == source[query]), 0)
        for query in source
    ]
    return {
        "mrr@10": round(float(np.mean([1 / rank if rank else 0.0 for rank in ranks])), 4),
        "first": round(float(np.mean([rank == 1 for rank in ranks])), 4),
        "in_ten": round(float(np.mean([rank > 0 for rank in ranks])), 4),
    }


@click.command(help=__doc__)
@click.option("--url", default=OpenSearchSettings().url, show_default=True, help="OpenSearch.")
@click.option("--index", default="bench-chinese", show_default=True, help="Alias of the index to make.")
@click.option(
    "--teacher", "folder", type=click.Path(path_type=Path, exists=True), help="The teacher's folder."
)
@click.option("--model", type=click.Path(path_type=Path, exists=True), help="Model folder.")
@click.option("--titles", type=click.Path(path_type=Path, exists=True), help="Titles, JSON lines.")
@click.option("--queries", "asked", type=click.Path(path_type=Path, exists=True), help="Queries, JSON lines.")
@click.option("--number", default=_QUERIES, show_default=True, help="Queries.")
def main(
    url: str,
    index: str,
    folder: Path | None,
    model: Path | None,
    titles: Path | None,
    asked: Path | None,
    number: int,
) -> None:
    """Measure and print."""
    settings = Settings(opensearch=OpenSearchSettings(url=url), sidecar=SidecarSettings(deadline_ms=60_000))
    client = connect(settings.opensearch)
    check_cluster(client, settings.opensearch)
    products = read_titles(titles)
    source = dict(read_queries(asked, number))
    chosen = model or choose_shipped_model(products)
    loaded = load_any_model(chosen).load()
    with tempfile.TemporaryDirectory() as work:
        file, fields = Path(work) / "titles.jsonl", Path(work) / "fields.toml"
        file.write_text(
            "\n".join(json.dumps({"id": p.id, "title": p.title}, ensure_ascii=False) for p in products)
        )
        fields.write_text('id = "id"\ntitle = "title"\n')
        catalogue = open_catalogue(file)
        session = IndexSession(client, index, OneEncoder(loaded), IndexSettings(tune_seconds=0))
        rebuild_index(
            session,
            CatalogueSource(catalogue, load_field_map(fields, catalogue)),
            Path(work) / "rejects.jsonl",
        )
    runs: dict[str, dict[str, Ranking]] = {}
    changed: dict[str, dict[str, str]] = {
        "Traditional": {write_traditional(q): i for q, i in source.items()},
        "a character missing": {misspell(q, False, random.Random(q)): i for q, i in source.items()},
        "a character twice": {misspell(q, True, random.Random(q)): i for q, i in source.items()},
    }
    others: dict[str, dict[str, float]] = {}
    ids = [p.id for p in products]
    try:
        searching = Searcher(HttpClient(settings.opensearch), loaded, settings)
        by_title = {q: searched(client, index, {"match": {"title": q}}) for q in source}
        runs["BM25 on pairs of characters, title"] = {q: list(hits) for q, hits in by_title.items()}
        runs["Attune, its own keyword query"] = {
            q: attune_ranking(searching, index, keyword_query(q)) for q in source
        }
        for kind, queries in changed.items():
            bm25 = {q: list(searched(client, index, {"match": {"title": q}})) for q in queries}
            ours = {q: attune_ranking(searching, index, keyword_query(q)) for q in queries}
            others[f"{kind}: BM25"] = measure_known_items(bm25, queries)
            others[f"{kind}: Attune"] = measure_known_items(ours, queries)
        if folder:
            bert, texts = Bert(folder), [build_product_text(Product(p.id, p.title)).pooled for p in products]
            names = ("the teacher, its first state", "the teacher, mean of its states")
            for name, theirs, own in zip(
                names, encode_texts(bert, texts), encode_texts(bert, list(source)), strict=True
            ):
                near = {}
                for query, vector in zip(source, own, strict=True):
                    cosines = theirs @ vector
                    best = np.argsort(-cosines, kind="stable")[:_DEPTH]
                    near[query] = {ids[i]: float(cosines[i]) for i in best}
                runs[name] = {q: list(hits) for q, hits in near.items()}
                runs[f"{name}, and BM25, min-max 0.7 : 0.3"] = {
                    q: minmax(by_title[q], near[q], 0.7) for q in source
                }
    finally:
        for name in client.indices.get_alias(name=index):
            client.indices.delete(index=name)
    report = {name: measure_known_items(run, source) for name, run in runs.items()} | others
    print(
        json.dumps(
            {
                "titles": len(products),
                "queries": len(source),
                "made_up": titles is None,
                "model": loaded.version,
                "folder": chosen.name,
                "rankings": report,
            },
            indent=2,
            ensure_ascii=False,
        )
    )


if __name__ == "__main__":
    main()
