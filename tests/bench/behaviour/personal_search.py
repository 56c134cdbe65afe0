"""What popularity and a history add to searches, over a shop that `tests.bench.behaviour.export` wrote.

    python -m tests.bench.behaviour.export FOLDER
    attune index FOLDER/products.jsonl --alias groceries
    python -m tests.bench.behaviour.personal_search FOLDER --alias groceries

Counts first what was bought until the searches began, and leaves each product's popularity in the index. Then
each search is run once, and its window is ordered by each set of features. Choose by the searches of another
export (`--remainder 1`), report by those of the default.
"""

import csv
import json
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from unittest.mock import patch

import click
import numpy as np

from mappings.settings import OpenSearchSettings, Settings, ShopperSettings
from mappings.types import JsonObject
from plugin_api.commands.evaluate.behaviour.personal_job import ProfileClient, replay_profile
from plugin_api.opensearch.http_client import HttpClient
from plugin_api.opensearch.raw_json import dumps
from plugin_api.search import rerank
from plugin_api.search.query.keyword_query import keyword_query
from plugin_api.search.query.types import SearchCall
from plugin_api.search.search import Searcher
from plugin_api.search.timing import without_time_limits
from plugin_api.shoppers.cluster import ClusterRequests
from plugin_api.shoppers.events import SECONDS_A_DAY
from plugin_api.shoppers.personaliser import ShopperHistory
from plugin_api.shoppers.product_counts import COUNTS_MAPPING
from reranker.behaviour.attention import attend_window, list_recent_actions
from reranker.behaviour.counts import Profile, add_texts
from reranker.behaviour.personal_search import PERSONAL_WEIGHTS, personalise
from reranker.behaviour.popularity import DEFAULT_POPULARITY, build_popularity_features, compute_priors
from reranker.behaviour.purchases import Purchase, build_purchase_log
from reranker.behaviour.window_products import StoredHit, read_window
from reranker.evaluation.significance import bootstrap_mean
from reranker.log_odds import compute_log_odds
from reranker.model import load_model
from reranker.types import EncodedQuery, Floats
from tests.bench.inputs import machine

_TOP, _FIRST = 20, 10
_DAYS = 29.0
"""Days before today at which counting stops: the searches are of the last four weeks."""

_TEXT_DAYS = 28.0

_COUNTS = ("bought", "maker", "type")
WAYS: Mapping[str, tuple[str, ...]] = {
    "bought": ("bought",),
    "bought, maker, type": _COUNTS,
    "and price_level": (*_COUNTS, "price_level"),
    "and history_attention without texts": (*_COUNTS, "actions"),
    "and history_attention": (*_COUNTS, "actions", "texts"),
    "texts alone": ("texts",),
    "all": (*_COUNTS, "price_level", "actions", "texts"),
}
"""The features of each way; `actions` and `texts` are what `history_attention` attends from."""


@dataclass(frozen=True, slots=True, eq=False)
class ReplayedWindow:
    """A window as a search had it, its shopper's history then, and the row of what was wanted."""

    user: str
    query: EncodedQuery
    hits: Sequence[StoredHit]
    log_odds: Floats
    shopper: ShopperHistory
    wanted: int | None
    knows_wanted: bool


@click.command()
@click.argument("folder", type=click.Path(path_type=Path, exists=True))
@click.option("--url", default="http://localhost:9200", show_default=True, help="OpenSearch.")
@click.option("--alias", default="groceries", show_default=True, help="Index with the shop's products.")
@click.option("--searches", "most", default=2_000, show_default=True, help="Searches at most.")
def main(folder: Path, url: str, alias: str, most: int) -> None:
    """Measure; print one JSON object."""
    facts = machine("numpy")
    windows = list(replay_windows(folder, url, alias, most))
    click.echo(json.dumps({**facts, **measure_windows(windows)}, indent=2))


def read_orders(folder: Path) -> list[Purchase]:
    """Return the orders of a folder."""
    with (folder / "orders.csv").open(encoding="utf-8", newline="") as file:
        return [
            Purchase(row["user_id"], row["product_id"], row["order_id"], _read_day(row["timestamp"]))
            for row in csv.DictReader(file)
        ]


def write_popularity(requests: ClusterRequests, alias: str, orders: Sequence[Purchase], day: float) -> None:
    """Write what `attune count` writes of popularity, as of a day, with the default weights."""
    log = build_purchase_log(purchase for purchase in orders if purchase.day < day)
    no_clicks = log.select(np.zeros(len(log), dtype=bool))
    priors = compute_priors(build_popularity_features(log, no_clicks, day), DEFAULT_POPULARITY)
    requests.ask("PUT", f"/{alias}/_mapping", COUNTS_MAPPING)
    pairs = list(zip(log.product_ids, priors.tolist(), strict=True))
    for begin in range(0, len(pairs), 1_000):
        lines = b"".join(
            dumps({"update": {"_id": product}})
            + b"\n"
            + dumps({"doc": {"attune": {"behaviour": {"prior": round(prior, 3)}}}})
            + b"\n"
            for product, prior in pairs[begin : begin + 1_000]
        )
        requests.ask("POST", f"/{alias}/_bulk", lines)
    requests.ask("POST", f"/{alias}/_refresh")


def replay_windows(folder: Path, url: str, alias: str, most: int) -> Iterator[ReplayedWindow]:
    """Run the searches of a folder; yield the window of each that was reranked.

    A shopper's texts are the titles of what was bought in the 28 days before.
    """
    settings = Settings(opensearch=OpenSearchSettings(url=url), shoppers=ShopperSettings(key="replay"))
    client = HttpClient(settings.opensearch)
    orders = read_orders(folder)
    write_popularity(ClusterRequests(client, {}), alias, orders, time.time() / SECONDS_A_DAY - _DAYS)
    purchases: dict[str, list[tuple[float, str, str]]] = defaultdict(list)
    for one in orders:
        purchases[one.user].append((one.day, one.order, one.product))
    catalogue = map(json.loads, (folder / "products.jsonl").read_text().splitlines())
    titles = {product["id"]: product["title"] for product in catalogue}
    replayed = ProfileClient(client)
    searcher = Searcher(replayed, load_model(), without_time_limits(settings))
    lines = [json.loads(line) for line in (folder / "searches.jsonl").read_text().splitlines()]
    for query, action in list(zip(lines[::2], lines[1::2], strict=True))[:most]:
        if not query["user_query"]:
            continue
        at = _read_day(query["timestamp"])
        owned = sorted(purchases[query["user_id"]])
        replayed.profile = _add_titles(replay_profile(owned, at), owned, at, titles)
        body = {"query": keyword_query(query["user_query"]), "size": 1, "_source": False}
        call = SearchCall.of(alias, json.dumps({**body, "ext": {"attune": {"user": "replayed"}}}).encode())
        caught: list[tuple[ShopperHistory, EncodedQuery, Sequence[StoredHit], Sequence[float]]] = []

        def catch(
            shopper: ShopperHistory,
            _strength: float,
            query: EncodedQuery,
            hits: Sequence[StoredHit],
            scores: Sequence[float],
            caught: list[tuple[ShopperHistory, EncodedQuery, Sequence[StoredHit], Sequence[float]]] = caught,
        ) -> tuple[list[float], Sequence[Mapping[str, float]]]:
            caught.append((shopper, query, hits, scores))
            return list(scores), ()

        with patch.object(rerank, "apply_behaviour", catch):
            searcher.answer(call)
        for shopper, encoded, hits, scores in caught:
            wanted = action["event_attributes"]["object"]["object_id"]
            rows = [row for row, hit in enumerate(hits) if hit.id == wanted]
            yield ReplayedWindow(
                query["user_id"],
                encoded,
                hits,
                compute_log_odds(scores).astype(np.float32),
                shopper,
                rows[0] if rows else None,
                wanted in shopper.profile.bought,
            )


def _add_titles(
    profile: Profile, owned: list[tuple[float, str, str]], at: float, titles: Mapping[str, str]
) -> Profile:
    """Return a profile that has lately viewed what its shopper bought; its days are as `replay_profile`'s."""
    shift = round(time.time() / SECONDS_A_DAY - at)
    for day, _, product in owned:
        if at - _TEXT_DAYS <= day < at and product in titles:
            profile = add_texts(profile, [titles[product]], day + shift)
    return profile


def order_window(window: ReplayedWindow, features: Sequence[str]) -> tuple[Floats, bool]:
    """Return the log-odds (n,) of a window by popularity and these features, and whether these bear on it."""
    day, profile = time.time() / SECONDS_A_DAY, window.shopper.profile
    products = read_window(window.hits, window.query.words)
    texts = window.shopper.texts if "texts" in features else ()
    ids = [hit.id for hit in window.hits]
    actions = list_recent_actions(profile, ids, day) if "actions" in features else []
    stored = [hit.stored for hit in window.hits]
    attention = attend_window(actions, stored, texts) if actions or texts else None
    named = {*features, *(["history_attention"] if attention is not None else [])}
    weights = {name: weight if name in named else 0.0 for name, weight in PERSONAL_WEIGHTS.items()}
    with patch.dict(PERSONAL_WEIGHTS, weights):
        history = {product.id: product for product in products if product.id in profile.bought}
        scores = personalise(profile, history, products, window.log_odds, day, attention=attention)
    bears = any(parts.keys() - {"popularity"} for parts in scores.reasons)
    return scores.log_odds, bears


def measure_windows(
    windows: Sequence[ReplayedWindow], ways: Mapping[str, tuple[str, ...]] = WAYS
) -> JsonObject:
    """Return MRR of the first 20 plain and by popularity, how each way changes the latter, and in how many
    searches the first ten hits hold fewer of the query's words, numbers and demands than the plain ones.
    """
    values: dict[str, dict[str, dict[str, list[float]]]] = defaultdict(lambda: defaultdict(_lists))
    less: dict[str, int] = dict.fromkeys(("popularity", *ways), 0)
    for window in windows:
        popular, _ = order_window(window, ())
        groups = ["all", "history bears" if order_window(window, WAYS["all"])[1] else "does not bear"]
        if groups[1] == "history bears" and not window.knows_wanted:
            groups.append("bears, another wanted")
        before = _reciprocal(popular, window.wanted)
        orders = {
            "popularity": popular,
            **{way: order_window(window, named)[0] for way, named in ways.items()},
        }
        changes = {way: _reciprocal(orders[way], window.wanted) - before for way in ways}
        plain = _list_tiers(window, window.log_odds)
        for way, order in orders.items():
            tiers = _list_tiers(window, order)
            less[way] += any(own < other for own, other in zip(tiers, plain, strict=True))
        for group in groups:
            values[group]["plain"][window.user].append(_reciprocal(window.log_odds, window.wanted))
            values[group]["popularity"][window.user].append(before)
            for way, change in changes.items():
                values[group][way][window.user].append(change)
    return {
        "mrr": {
            group: {"searches": sum(map(len, by_way["plain"].values()))}
            | {way: _summarise(households) for way, households in by_way.items()}
            for group, by_way in values.items()
        },
        "first_hits_meet_it_less": less,
    }


def _list_tiers(window: ReplayedWindow, log_odds: Floats) -> list[int]:
    """Return the tiers of the first ten hits, the best first."""
    tiers = [product.tier for product in read_window(window.hits, window.query.words, with_kinds=False)]
    first = np.argsort(-log_odds, kind="stable")[:_FIRST]
    return sorted((tiers[row] for row in first.tolist()), reverse=True)


def _reciprocal(log_odds: Floats, wanted: int | None) -> float:
    if wanted is None:
        return 0.0
    place = int(np.flatnonzero(np.argsort(-log_odds, kind="stable") == wanted)[0])
    return 1 / (1 + place) if place < _TOP else 0.0


def _read_day(timestamp: str) -> float:
    return datetime.fromisoformat(timestamp).replace(tzinfo=UTC).timestamp() / SECONDS_A_DAY


def _lists() -> dict[str, list[float]]:
    return defaultdict(list)


def _summarise(households: Mapping[str, Sequence[float]]) -> list[float]:
    mean = bootstrap_mean([sum(ranks) / len(ranks) for ranks in households.values()])
    return [round(mean.mean, 4), round(mean.low, 4), round(mean.high, 4)]


if __name__ == "__main__":
    main()
