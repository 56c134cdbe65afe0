"""Suitability: searches and recommendations for made-up clients, and how many hits do not suit them.

    python -m tests.bench.domains.suitability --alias investments

Needs an index of the finance domain (`attune demo --domain finance --once` makes it). Each search has its own
text, size, page and sort. Most go in lists, by `_msearch`; every hundredth is reranked or a recommendation.
"""

import json
import random
from collections.abc import Iterator, Mapping
from typing import Any

import click

from mappings.settings import load_settings
from plugin_api.opensearch.http_client import HttpClient
from plugin_api.sidecar.app import create_app
from reranker.model import load_model

_LIST = 100
_WORDS = (
    *(
        "technology",
        "fund",
        "bond",
        "deposit",
        "safe",
        "crypto",
        "gold",
        "shares",
        "energy",
        "high",
        "risk",
        "income",
    ),
    *(
        "pension",
        "风险",
        "理财",
        "股票",
        "leveraged",
        "private",
        "equity",
        "years",
        "savings",
        "world",
        "small",
    ),
)
_KINDS = ("next_purchase", "trending", "similar", "session")


def make_client(random_: random.Random) -> dict[str, Any]:
    """Return a client of any risk class and horizon, now and then beyond all of them."""
    return {"risk": random_.choice((0, 1, 2, 3, 4, 5, 6, 7, 2.5, 9)), "horizon": random_.randint(-1, 16)}


def make_search(random_: random.Random) -> dict[str, Any]:
    """Return a search of any of many shapes."""
    text = " ".join(random_.sample(_WORDS, random_.randint(1, 4)))
    query: dict[str, Any] = random_.choice((
        {"match": {"title": text}},
        {"multi_match": {"query": text, "fields": ["title", "description", "category"]}},
        {"bool": {"should": [{"match": {"description": text}}, {"match_all": {}}]}},
        {"bool": {"must_not": [{"match": {"title": text}}]}},
        {"match_all": {}},
    ))  # fmt: skip
    body: dict[str, Any] = {"query": query, "size": random_.randint(1, 30)}
    if random_.random() < 0.3:
        body["sort"] = [{"price": random_.choice(("asc", "desc"))}]
    if random_.random() < 0.2:
        body["from"] = random_.randint(0, 20)
    return body


def count_violations(hits: list[Mapping[str, Any]], client: Mapping[str, float]) -> int:
    """Return how many hits are above the client's risk class or horizon."""
    own = [hit["_source"]["attributes"] for hit in hits]
    return sum(
        int(a["risk class"]) > client["risk"] or int(a["horizon years"]) > client["horizon"] for a in own
    )


def run(app: Any, alias: str, count: int, seed: int) -> Iterator[tuple[int, int]]:
    """Yield hits and violations of each search or recommendation."""
    random_ = random.Random(seed)
    for _ in range(count // _LIST):
        clients = [make_client(random_) for _ in range(_LIST)]
        lines = []
        for client in clients[:-1]:
            lines += [
                {"index": alias},
                {**make_search(random_), "ext": {"attune": {"client": client, "rerank": False}}},
            ]
        data = "".join(json.dumps(line) + "\n" for line in lines)
        answers = app.post("/_msearch", data=data, content_type="application/x-ndjson").json["responses"]
        one = {"client": clients[-1], "size": 30}
        if random_.random() < 0.5:
            body = {**make_search(random_), "ext": {"attune": {"client": clients[-1]}}}
            answers.append(app.post(f"/{alias}/_search", json=body).json)
        else:
            call = {**one, "kind": random_.choice(_KINDS), "products": [f"inv-{random_.randint(1, 290):04d}"]}
            answers.append(app.post("/_attune/recommend", json=call).json)
        for answer, client in zip(answers, clients, strict=True):
            hits = answer["hits"]["hits"]
            yield len(hits), count_violations(hits, client)


@click.command()
@click.option("--alias", default="investments", show_default=True)
@click.option("--count", default=100_000, show_default=True)
@click.option("--seed", default=7, show_default=True)
def main(alias: str, count: int, seed: int) -> None:
    """Print how many searches were made, how many hits they had, and how many do not suit their client."""
    environment = {
        "ATTUNE_SEARCH_ALIAS": alias,
        "ATTUNE_SHOPPERS_KEY": "bench",
        "ATTUNE_SIDECAR_DEADLINE_MS": "60000",
    }
    settings = load_settings(None, environment, "finance")
    app = create_app(settings, HttpClient(settings.opensearch), load_model()).test_client()
    searches = hits = violations = 0
    for some, wrong in run(app, alias, count, seed):
        searches, hits, violations = searches + 1, hits + some, violations + wrong
    click.echo(f"{searches:,} searches and recommendations, {hits:,} hits, {violations} violations")


if __name__ == "__main__":
    main()
