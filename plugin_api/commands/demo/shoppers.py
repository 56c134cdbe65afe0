"""Made-up shoppers of the demo: what they bought, a query of theirs, and what they are recommended."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from opensearchpy import OpenSearch

from mappings import fields
from mappings.domains import SHOP_DOMAIN, Domain
from mappings.settings import Settings
from mappings.types import JsonObject
from plugin_api.commands.demo.comparison import AttuneHit, one_line_errors
from plugin_api.opensearch.client import OpenSearchClient, encode_credentials
from plugin_api.search.query.keyword_query import keyword_query
from plugin_api.shoppers.cluster import ClusterRequests
from plugin_api.shoppers.event_store import EventStore
from plugin_api.shoppers.events import SECONDS_A_DAY
from plugin_api.shoppers.profile_store import ProfileStore
from plugin_api.shoppers.pseudonyms import hash_shopper
from plugin_api.shoppers.recommend_call import RecommendCall
from plugin_api.shoppers.recommender import Recommender

_KEY = "made-up shoppers of the demo"
"""Hashes the ids of shoppers who do not exist, where no shoppers.key is set."""

_SHOWN = 5
_RANKED = 100
_MONTH, _LATEST = 30, 12
"""Days between two orders of a product, and since the last."""


@dataclass(frozen=True, slots=True)
class DemoShopper:
    """A shopper: `bought` maps ids of products to how often they were ordered, once a month."""

    name: str
    shows: str
    query: str
    bought: dict[str, int]


DEMO_SHOPPERS = (
    DemoShopper(
        "anna",
        "prints photos on an Epson, and buys its ink every month",
        "ink cartridge",
        {"2246842": 5, "2246843": 5, "2074116": 4, "1069067": 3},
    ),
    DemoShopper(
        "ben",
        "runs an office with two Brother laser printers",
        "toner",
        {"1100809": 6, "3715502": 4, "101987": 4, "101988": 4},
    ),
    DemoShopper(
        "carla",
        "takes photos, and has bought Verbatim's memory cards",
        "memory card",
        {"2732725": 3, "2824191": 2, "464211": 1},
    ),
)


@dataclass(frozen=True, slots=True)
class PersonalComparison:
    """One query for everybody and for a shopper, and what the shopper is recommended.

    `personal` ranks are those of everybody's ranking; `reasons` has the log-odds that the history added to
    each of its hits, by feature. `recommended` has titles and reasons.
    """

    shopper: str
    shows: str
    query: str
    plain: tuple[str, ...]
    personal: tuple[AttuneHit, ...]
    reasons: tuple[dict[str, float], ...]
    recommended: tuple[tuple[str, str], ...]


def with_demo_shoppers(settings: Settings, domain: Domain) -> Settings:
    """Return the settings with a key for the demo's shoppers where there is none, and them on the page.

    Only a shop has them: with a key events are stored, and of patients nothing is by default.
    """
    if domain.name != SHOP_DOMAIN:
        return settings
    names = ", ".join(shopper.name for shopper in DEMO_SHOPPERS)
    return replace(
        settings,
        shoppers=replace(settings.shoppers, key=settings.shoppers.key or _KEY),
        preview=replace(settings.preview, shoppers=settings.preview.shoppers or names),
    )


def store_histories(client: OpenSearchClient, settings: Settings) -> int:
    """Store what the shoppers bought, unless it is stored already; return the number of purchases stored."""
    requests = ClusterRequests(client, encode_credentials(settings.opensearch))
    key, now = settings.shoppers.key, time.time()
    store = EventStore(requests, key, settings.shoppers.retention_days)
    profiles = ProfileStore(requests)
    stored = 0
    for shopper in DEMO_SHOPPERS:
        if not profiles.read(hash_shopper(key, shopper.name)).profile.bought:
            stored += store.store(list(_list_purchases(shopper, now)), now).stored
    return stored


def compare_shoppers(
    sidecar: OpenSearch,
    client: OpenSearchClient,
    settings: Settings,
    shoppers: Sequence[DemoShopper] = DEMO_SHOPPERS,
) -> Iterator[PersonalComparison]:
    """Yield each shopper's query for everybody and for them. Raises AttuneError where one is not answered."""
    recommender, alias = Recommender(client, settings), settings.search.alias
    for shopper in shoppers:
        with one_line_errors():
            plain = _search(sidecar, alias, shopper.query, {}, _RANKED)
            personal = _search(sidecar, alias, shopper.query, {"user": shopper.name}, _SHOWN)
        ranks = {hit["_id"]: rank for rank, hit in enumerate(plain["hits"]["hits"], start=1)}
        hits = personal["hits"]["hits"]
        added = personal["ext"][fields.ATTUNE].get("behaviour", {})
        call = RecommendCall(index=alias, user=shopper.name, size=3)
        answer = recommender.recommend(call, encode_credentials(settings.opensearch))
        yield PersonalComparison(
            shopper.name,
            shopper.shows,
            shopper.query,
            tuple(_title(hit) for hit in plain["hits"]["hits"][:_SHOWN]),
            tuple(AttuneHit(_title(hit), ranks.get(hit["_id"])) for hit in hits),
            tuple(added.get(hit["_id"], {}) for hit in hits),
            tuple((_title(hit), hit["fields"]["attune.reason"][0]) for hit in answer["hits"]["hits"]),
        )


def _list_purchases(shopper: DemoShopper, now: float) -> Iterator[JsonObject]:
    for product, times in shopper.bought.items():
        for number in range(times):
            at = now - (_LATEST + number * _MONTH) * SECONDS_A_DAY
            yield {
                "action_name": "purchase",
                "user_id": shopper.name,
                "timestamp": at * 1000,
                "event_id": f"{number}/{product}",
                "event_attributes": {"object": {"object_id": product}, "order_id": str(number)},
            }


def _search(sidecar: OpenSearch, alias: str, text: str, options: JsonObject, size: int) -> JsonObject:
    body = {"query": keyword_query(text), "size": size, "_source": [fields.TITLE], "ext": {"attune": options}}
    answer: JsonObject = sidecar.search(index=alias, body=body)
    return answer


def _title(hit: JsonObject) -> str:
    return str(hit.get("_source", {}).get(fields.TITLE, hit["_id"]))


_WORDS = {
    "bought": "bought before",
    "maker": "maker",
    "type": "kind",
    "price_level": "usual price",
    "history_attention": "like what was seen lately",
    "popularity": "popular",
}
"""What each feature of behaviour is called."""


def describe_reason(parts: dict[str, float]) -> str:
    """Return what behaviour added to a hit, in words; what rounds to 0.0 is left out."""
    return ", ".join(f"{_WORDS[name]} {value:+.1f}" for name, value in parts.items() if round(value, 1))


def is_personal(comparisons: Sequence[PersonalComparison]) -> bool:
    """Return whether any history bore on anything."""
    return any(any(comparison.reasons) for comparison in comparisons)
