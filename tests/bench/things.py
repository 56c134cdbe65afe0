"""Things before what belongs to them: how many of the first five hits are what a query names.

Queries name things by a rare word, by a word before another, or in two words that titles write as one:
"tablet", "gaming pc", "key board". `things.json` says by patterns which titles are the thing. Given are the
shares of five places, of those that could be, for the shop's own search and for Attune. A third of the
queries is kept aside. Makes an index of each catalogue that has none yet. Prints JSON.

    python -m tests.bench.things --url http://localhost:9200 --kept-aside
"""

import json
import re
from collections.abc import Sequence
from pathlib import Path

import click
import msgspec
import numpy as np
from opensearchpy import OpenSearch, helpers

from mappings.settings import OpenSearchSettings, Settings
from plugin_api.opensearch.http_client import HttpClient
from plugin_api.search.query.keyword_query import keyword_query
from plugin_api.search.query.types import SearchCall
from plugin_api.search.search import Searcher
from plugin_api.search.timing import without_time_limits
from reranker.model import load_model
from tests.bench.inputs.demo_shop import patient_client
from tests.bench.tuning import index_judged

_PLACES = 5


class _Thing(msgspec.Struct, frozen=True, rename={"named": "is", "others": "is_not"}):
    """A query, and patterns of titles that are the thing, and that only belong to it."""

    catalogue: str
    query: str
    named: str
    others: str
    kept_aside: bool

    def is_named_by(self, title: str) -> bool:
        """Return whether a title is of the thing."""
        belongs = self.others and re.search(self.others, title, re.IGNORECASE)
        return bool(re.search(self.named, title, re.IGNORECASE)) and not belongs


@click.command(help=__doc__)
@click.option("--url", default=OpenSearchSettings().url, show_default=True, help="OpenSearch.")
@click.option("--kept-aside", is_flag=True, help="Report the third of the queries that is kept aside.")
def main(url: str, kept_aside: bool) -> None:
    """Measure and print."""
    client = patient_client(url)
    settings = without_time_limits(Settings(opensearch=OpenSearchSettings(url=url)))
    path = Path(__file__).with_suffix(".json")
    things = msgspec.json.decode(path.read_bytes(), type=list[_Thing])
    things = [thing for thing in things if thing.kept_aside == kept_aside]
    figures = {}
    for catalogue in dict.fromkeys(thing.catalogue for thing in things):
        alias = index_judged(client, catalogue)
        searcher = Searcher(HttpClient(settings.opensearch), load_model(), settings)
        searcher.text_reader.find_interpreter(SearchCall.of(alias))
        titles = [hit["_source"].get("title", "") for hit in helpers.scan(client, index=alias)]
        for thing in things:
            if thing.catalogue == catalogue:
                figures[f"{catalogue}: {thing.query}"] = _measure(client, searcher, alias, thing, titles)
    means = np.mean([list(shares.values()) for shares in figures.values()], axis=0).round(3).tolist()
    print(json.dumps({"mean": dict(zip(("own", "attune"), means, strict=True)), **figures}, indent=2))


def _measure(
    client: OpenSearch, searcher: Searcher, alias: str, thing: _Thing, titles: Sequence[str]
) -> dict[str, float]:
    """Return the share of the places that are the thing, for the shop's own search and for Attune."""
    body = {"query": keyword_query(thing.query), "size": _PLACES, "_source": ["title"]}
    answers = {
        "own": client.search(index=alias, body=body),
        "attune": searcher.answer(SearchCall.of(alias, json.dumps(body).encode())).json(),
    }
    possible = min(_PLACES, sum(map(thing.is_named_by, titles)))
    return {
        name: sum(thing.is_named_by(hit["_source"]["title"]) for hit in answer["hits"]["hits"]) / possible
        for name, answer in answers.items()
    }


if __name__ == "__main__":
    main()
