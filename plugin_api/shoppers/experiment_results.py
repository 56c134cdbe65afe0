"""What shoppers did in an experiment, counted from stored events."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from mappings.types import JsonObject
from plugin_api.shoppers.cluster import ClusterRequests
from plugin_api.shoppers.event_store import EVENT_INDEXES, QUERY_INDEXES
from plugin_api.shoppers.experiment_tag import ExperimentTag, make_tag_prefix, read_tag
from plugin_api.shoppers.order_history import scan_hits
from reranker.experiments.sequential import SequentialResult, compare_preference, compare_rates, least_p
from reranker.training.clicks.click_log import ACTIONS

_CREDITED = ("click", "cart", "purchase")


@dataclass(frozen=True, slots=True)
class PreferenceResult:
    """Interleaved searches: how many had more actions on the first ranking's hits, more on the second's.

    `test.p` is always valid: it may be read as often as one likes.
    """

    first: int
    second: int
    ties: int
    test: SequentialResult


@dataclass(frozen=True, slots=True)
class RateResult:
    """Shoppers who saw one ranking each: searches, and those that an action followed.

    `test.share` is the difference of the shares, the first less the second.
    """

    first_searches: int
    first_acted: int
    second_searches: int
    second_acted: int
    test: SequentialResult


@dataclass(frozen=True, slots=True)
class ExperimentResult:
    """What came of an experiment so far. `uncredited` events do not say at which place the product stood."""

    name: str
    preference: PreferenceResult | None
    rates: RateResult | None
    uncredited: int


@dataclass(slots=True)
class _Search:
    """One search of the experiment: when it was first heard of, and the actions on each ranking's hits."""

    tag: ExperimentTag
    at: str
    credit: int = 0
    actions: int = 0
    actors: set[tuple[str, str]] = field(default_factory=set)


def count_experiment(requests: ClusterRequests, name: str, key: str) -> ExperimentResult:
    """Count an experiment's events. Those whose `query_id` was not signed with `key` are left out.

    An action on a product counts once a search. Raises ShopperStoreError.
    """
    searches: dict[str, _Search] = {}
    for query in _read(requests, QUERY_INDEXES, name, []):
        if tag := read_tag(query["query_id"], key):
            searches.setdefault(query["query_id"], _Search(tag, query["timestamp"]))
    uncredited = 0
    for event in _read(requests, EVENT_INDEXES, name, ["action_name", "event_attributes"]):
        action = ACTIONS.get(event["action_name"])
        tag = read_tag(event["query_id"], key)
        if tag is None or action not in _CREDITED:
            continue
        search = searches.setdefault(event["query_id"], _Search(tag, event["timestamp"]))
        attributes = event.get("event_attributes", {})
        product = attributes.get("object", {}).get("object_id", "")
        if (action, product) in search.actors:
            continue
        search.actors.add((action, product))
        search.actions += 1
        if tag.variant == "interleaved":
            team = tag.find_team(attributes.get("position", {}).get("ordinal", 0))
            uncredited += team is None
            search.credit += 0 if team is None else 1 if team else -1
    by_time = sorted(searches.values(), key=lambda search: search.at)
    return ExperimentResult(name, _count_preference(by_time), _count_rates(by_time), uncredited)


def _count_preference(searches: list[_Search]) -> PreferenceResult | None:
    """Test after every decided search; the least p of all looks is as valid as the last."""
    wins = losses = ties = 0
    looks: list[SequentialResult] = []
    for search in searches:
        if search.tag.variant != "interleaved" or not search.actions:
            continue
        wins, losses = wins + (search.credit > 0), losses + (search.credit < 0)
        ties += search.credit == 0
        if search.credit:
            looks.append(compare_preference(wins, losses))
    if not wins + losses + ties:
        return None
    share = compare_preference(wins, losses).share
    return PreferenceResult(wins, losses, ties, SequentialResult(share, least_p(looks)))


def _count_rates(searches: list[_Search]) -> RateResult | None:
    shown = {"first": [0, 0], "second": [0, 0]}
    for search in searches:
        if search.tag.variant != "interleaved":
            shown[search.tag.variant][0] += 1
            shown[search.tag.variant][1] += search.actions > 0
    (n_first, first), (n_second, second) = shown["first"], shown["second"]
    if not n_first + n_second:
        return None
    test = compare_rates((first, n_first), (second, n_second))
    return RateResult(n_first, first, n_second, second, test)


def _read(requests: ClusterRequests, indexes: str, name: str, more: list[str]) -> Iterator[JsonObject]:
    query: JsonObject = {"prefix": {"query_id": make_tag_prefix(name)}}
    search = {"query": query, "_source": ["query_id", "timestamp", *more]}
    for hit in scan_hits(requests, indexes, search):
        yield hit["_source"]
