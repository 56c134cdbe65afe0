"""What popularity and a history add to searches, over a shop that `tests.bench.behaviour.export` wrote.

    python -m tests.bench.behaviour.popular_search FOLDER --alias groceries

Counts first what was bought until the searches began, and leaves those counts in the index.
"""

import json
import time
from collections import defaultdict
from datetime import UTC, datetime
from pathlib import Path

import click

from mappings.settings import OpenSearchSettings, Settings, ShopperSettings
from mappings.types import JsonObject
from plugin_api.commands.evaluate.behaviour.personal_job import ProfileClient, replay_profile
from plugin_api.opensearch.http_client import HttpClient
from plugin_api.search.query.keyword_query import keyword_query
from plugin_api.search.query.types import SearchCall
from plugin_api.search.search import Searcher, without_time_limits
from plugin_api.shoppers.cluster import ClusterRequests
from plugin_api.shoppers.count_job import count_behaviour
from plugin_api.shoppers.events import SECONDS_A_DAY
from plugin_api.shoppers.order_history import read_actions
from plugin_api.shoppers.pseudonyms import hash_shopper
from reranker.evaluation.significance import bootstrap_mean
from reranker.model import load_model
from tests.bench.inputs import machine

_TOP = 20
_DAYS = 29.0
"""Days before today at which counting stops: the searches are of the last four weeks."""

WAYS: dict[str, JsonObject] = {
    "plain": {"popularity": 0},
    "with popularity": {},
    "with popularity and history": {"user": "replayed"},
}


@click.command()
@click.argument("folder", type=click.Path(path_type=Path, exists=True))
@click.option("--url", default="http://localhost:9200", show_default=True, help="OpenSearch.")
@click.option("--alias", default="groceries", show_default=True, help="Index with the shop's products.")
@click.option("--key", required=True, help="shoppers.key with which the shop's orders were stored.")
@click.option("--searches", "most", default=2_000, show_default=True, help="Searches at most.")
@click.option("--count/--no-count", default=True, help="Count first.")
def main(folder: Path, url: str, alias: str, key: str, most: int, count: bool) -> None:
    """Measure; print one JSON object."""
    facts = machine("numpy")
    settings = Settings(opensearch=OpenSearchSettings(url=url), shoppers=ShopperSettings(key=key))
    client = HttpClient(settings.opensearch)
    requests = ClusterRequests(client, {})
    if count:
        count_behaviour(requests, alias, settings.shoppers, time.time() - _DAYS * SECONDS_A_DAY, None)
    purchases: dict[str, list[tuple[float, str, str]]] = defaultdict(list)
    for one in read_actions(requests, "purchase"):
        purchases[one.user].append((one.day, one.order, one.product))
    replayed = ProfileClient(client)
    searcher = Searcher(replayed, load_model(), without_time_limits(settings))
    lines = [json.loads(line) for line in (folder / "searches.jsonl").read_text().splitlines()]
    values: dict[str, dict[str, dict[str, list[float]]]] = defaultdict(
        lambda: defaultdict(lambda: defaultdict(list))
    )
    for query, action in list(zip(lines[::2], lines[1::2], strict=True))[:most]:
        if not query["user_query"]:
            continue
        wanted = action["event_attributes"]["object"]["object_id"]
        at = datetime.fromisoformat(query["timestamp"]).replace(tzinfo=UTC).timestamp() / SECONDS_A_DAY
        owned = sorted(purchases[hash_shopper(key, query["user_id"])])
        replayed.profile = replay_profile(owned, at)
        ranks, bears = {}, False
        for way, options in WAYS.items():
            body = {"query": keyword_query(query["user_query"]), "size": 100, "_source": False}
            call = SearchCall.of(alias, json.dumps({**body, "ext": {"attune": options}}).encode())
            answer = searcher.answer(call).json()
            ids = [hit["_id"] for hit in answer["hits"]["hits"]][:_TOP]
            ranks[way] = 1 / (1 + ids.index(wanted)) if wanted in ids else 0.0
            shown = answer["ext"]["attune"].get("behaviour", {})
            bears = any(parts.keys() - {"popularity"} for parts in shown.values())
        groups = ["all", "history bears" if bears else "does not bear"]
        if bears and wanted not in replayed.profile.bought:
            groups.append("bears, another wanted")
        for group in groups:
            for way, rank in ranks.items():
                values[group][way][query["user_id"]].append(rank)
    result = {
        group: {way: _summarise(households) for way, households in ways.items()}
        | {"searches": sum(map(len, ways["plain"].values()))}
        for group, ways in values.items()
    }
    click.echo(json.dumps({**facts, "mrr@20": result}, indent=2))


def _summarise(households: dict[str, list[float]]) -> list[float]:
    mean = bootstrap_mean([sum(ranks) / len(ranks) for ranks in households.values()])
    return [round(mean.mean, 4), round(mean.low, 4), round(mean.high, 4)]


if __name__ == "__main__":
    main()
