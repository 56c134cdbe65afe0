"""Do the first hits still meet the query as the plain ones do, whatever a shopper bought?

    python -m tests.bench.behaviour.first_hits --alias products

Queries are the judged ones of the demo's catalogue, and others made of its products: types, demands and model
numbers. For each, a shopper bought the ten hits of its window that meet it least, twenty times until today,
and the history may add all that it ever may.
"""

import json
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from unittest.mock import patch

import click
import numpy as np

from mappings.settings import OpenSearchSettings, Settings, ShopperSettings
from mappings.types import JsonObject
from plugin_api.commands.evaluate.behaviour.personal_job import ProfileClient
from plugin_api.opensearch.http_client import HttpClient
from plugin_api.search import rerank
from plugin_api.search.query.keyword_query import keyword_query
from plugin_api.search.query.types import SearchCall
from plugin_api.search.search import Searcher
from plugin_api.search.timing import without_time_limits
from plugin_api.shoppers.events import SECONDS_A_DAY
from plugin_api.shoppers.personaliser import ShopperHistory, apply_behaviour
from reranker.behaviour.counts import Profile, add_purchases, add_views
from reranker.behaviour.personal_search import MAX_STRENGTH
from reranker.behaviour.window_products import StoredHit, read_window
from reranker.model import load_model
from reranker.probes.queries import make_probe_queries
from reranker.types import EncodedQuery
from tests.bench.inputs import machine
from tests.bench.inputs.catalogue import products, queries

_FIRST = 10
_BOUGHT, _TIMES = 10, 20
_SAMPLE = 3_000


class _FirstHits:
    """Catches the tiers of the first hits of a search, plain and with the worst history."""

    def __init__(self) -> None:
        self.plain: list[int] = []
        self.personal: list[int] = []
        self.moved = False

    def apply(
        self,
        _: ShopperHistory,
        __: float,
        query: EncodedQuery,
        hits: Sequence[StoredHit],
        scores: Sequence[float],
    ) -> tuple[list[float], Sequence[Mapping[str, float]]]:
        """Order a window both ways, in place of `apply_behaviour`."""
        tiers = np.array([product.tier for product in read_window(hits, query.words, with_kinds=False)])
        worst = np.lexsort((np.asarray(scores), tiers))[:_BOUGHT]
        profile, today = Profile(), time.time() / SECONDS_A_DAY
        for _ in range(_TIMES):
            profile = add_purchases(profile, [hits[row].id for row in worst], today)
        moved, _ = apply_behaviour(ShopperHistory(profile), MAX_STRENGTH, query, hits, scores)
        orders = [np.argsort(-np.asarray(each), kind="stable")[:_FIRST] for each in (scores, moved)]
        self.plain, self.personal = (sorted(tiers[order].tolist(), reverse=True) for order in orders)
        self.moved = orders[0].tolist() != orders[1].tolist()
        return list(scores), ()


@click.command()
@click.option("--url", default="http://localhost:9200", show_default=True, help="OpenSearch.")
@click.option("--alias", default="products", show_default=True, help="Index of the demo's catalogue.")
def main(url: str, alias: str) -> None:
    """Measure; print one JSON object."""
    facts = machine("numpy")
    settings = Settings(opensearch=OpenSearchSettings(url=url), shoppers=ShopperSettings(key="replay"))
    client = ProfileClient(HttpClient(settings.opensearch))
    client.profile = add_views(Profile(), ["anything"], time.time() / SECONDS_A_DAY)
    searcher = Searcher(client, load_model(), without_time_limits(settings))
    families: dict[str, list[str]] = defaultdict(list, {"judged": queries()})
    interpreter = searcher.text_reader.find_interpreter(SearchCall.of(alias, b"{}"))
    if interpreter is None:
        raise click.ClickException(f"{alias} has no vocabulary: index it with attune index")
    for probe in make_probe_queries(products(_SAMPLE), interpreter.vocabulary, interpreter.types):
        families[probe.family].append(probe.text)
    click.echo(json.dumps({**facts, "families": {
        family: _measure(searcher, alias, texts) for family, texts in families.items()
    }}, indent=2))  # fmt: skip


def _measure(searcher: Searcher, alias: str, texts: Sequence[str]) -> JsonObject:
    counts = {"queries": len(texts), "left plain": 0, "order changed": 0, "first hits meet it less": 0}
    for text in texts:
        first = _FirstHits()
        options = {"user": "replayed", "popularity": 0}
        body = {"query": keyword_query(text), "size": _FIRST, "_source": False, "ext": {"attune": options}}
        with patch.object(rerank, "apply_behaviour", first.apply):
            searcher.answer(SearchCall.of(alias, json.dumps(body).encode()))
        counts["left plain"] += not first.plain
        counts["order changed"] += first.moved
        counts["first hits meet it less"] += any(
            own < other for own, other in zip(first.personal, first.plain, strict=True)
        )
    return counts


if __name__ == "__main__":
    main()
