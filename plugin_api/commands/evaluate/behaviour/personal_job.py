"""`attune evaluate --personal`: stored searches again, with the history that their shoppers had then."""

import json
import time
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import groupby

import numpy as np

from mappings.errors import EvaluationError, LabelsError
from mappings.settings import Settings, ShopperSettings
from mappings.types import JsonObject
from plugin_api.commands.evaluate.behaviour.evaluation import BehaviourEvaluation, BehaviourPart
from plugin_api.commands.evaluate.job import Working
from plugin_api.commands.searched_index import MakeQuery
from plugin_api.opensearch.client import OpenSearchClient, OpenSearchResponse, encode_credentials
from plugin_api.opensearch.raw_json import dumps
from plugin_api.search.query.types import SearchCall
from plugin_api.search.reasons import RerankStatus
from plugin_api.search.search import Searcher
from plugin_api.search.timing import without_time_limits
from plugin_api.shoppers.cluster import ClusterRequests
from plugin_api.shoppers.event_store import EVENT_INDEXES, QUERY_INDEXES
from plugin_api.shoppers.events import SECONDS_A_DAY
from plugin_api.shoppers.order_history import scan_hits
from plugin_api.shoppers.profile_store import USERS, pack_profile
from reranker.behaviour.counts import Profile, add_purchases
from reranker.behaviour.evaluation.ranking_values import RankingValues, ShownProducts, summarise_rankings
from reranker.training.clicks.click_log import ACTIONS
from reranker.types import Reranker

MAX_SEARCHES = 2_000
"""Searches that are replayed: the latest."""

_PLAIN, _PERSONAL = "plain", "personal"
_WANTING = ("purchase", "cart", "click")
"""Actions that tell what a search was for, the surest first."""

_GROUPS = {
    "all": "all searches of shoppers who had bought something",
    "history bears": "something that the shopper had bought is in the window",
    "bears, another wanted": "the same, and what was wanted had not been bought before",
    "does not bear": "nothing that the shopper had bought is in the window",
}


@dataclass(frozen=True, slots=True)
class ReplayedSearch:
    """A stored search: its text, its shopper's pseudonym, its day, and the products that it was for."""

    text: str
    shopper: str
    day: float
    wanted: tuple[str, ...]


@dataclass(slots=True)
class _Behaviour:
    """Stored searches by `query_id`, what was done after them, and each shopper's purchases by day.

    `searchers` has the ids of the client and the user of each search: others' actions are not counted.
    """

    searches: dict[str, tuple[str, str, float]] = field(default_factory=dict)
    searchers: dict[str, set[object]] = field(default_factory=dict)
    actions: dict[str, dict[str, list[str]]] = field(default_factory=dict)
    purchases: dict[str, list[tuple[float, str, str]]] = field(default_factory=dict)


class ProfileClient:
    """OpenSearch, but for profiles: every shopper's is `profile`."""

    def __init__(self, client: OpenSearchClient) -> None:
        self._client = client
        self.profile = Profile()

    def request(
        self,
        method: str,
        target: str,
        headers: Mapping[str, str],
        body: bytes = b"",
        timeout_seconds: float | None = None,
    ) -> OpenSearchResponse:
        """See OpenSearchClient."""
        if not target.startswith(f"/{USERS}/_doc/"):
            return self._client.request(method, target, headers, body, timeout_seconds)
        document = {"_source": pack_profile(self.profile), "_seq_no": 0, "_primary_term": 1}
        return OpenSearchResponse(200, (), dumps(document))


def evaluate_personal_search(
    client: OpenSearchClient,
    alias: str,
    settings: Settings,
    model: Reranker,
    make_query: MakeQuery,
    working: Working,
) -> BehaviourEvaluation:
    """Replay stored searches, plain and personal.

    Raises LabelsError where no stored search led to anything, EvaluationError where one can't be reranked.
    """
    behaviour = _read_behaviour(ClusterRequests(client, encode_credentials(settings.opensearch)))
    searches = sorted(_list_searches(behaviour), key=lambda search: search.day)[-MAX_SEARCHES:]
    if not searches:
        raise LabelsError(
            "no stored search was followed by a click or purchase with its query_id: store queries and "
            "events first (attune events, or the collector)"
        )
    replay = _Replay(client, alias, settings, model, make_query)
    groups = {group: {_PERSONAL: RankingValues(), _PLAIN: RankingValues()} for group in _GROUPS}
    rows: dict[str, int] = {}
    strangers = 0
    with working("searches", len(searches)) as advance:
        for search in searches:
            profile = replay_profile(behaviour.purchases.get(search.shopper, []), search.day)
            if profile.bought:
                _replay_search(replay, search, profile, groups, rows)
            strangers += not profile.bought
            advance(1)
    counted = {"searches": len(searches), "of shoppers without a history": strangers}
    popularity = np.zeros(max(len(rows), 1))
    for owned in behaviour.purchases.values():
        for _, _, product in owned:
            if product in rows:
                popularity[rows[product]] += 1
    parts = []
    for group, values in groups.items():
        if figures := summarise_rankings(values, _PERSONAL, ShownProducts(popularity)):
            count = len(values[_PLAIN].shown)
            parts.append(BehaviourPart(group, f"{count:,} searches: {_GROUPS[group]}", figures))
    if not parts:
        raise LabelsError("no stored search is of a shopper who had bought anything before")
    return BehaviourEvaluation(f"Personal search in {alias}", counted, tuple(parts), ())


def replay_profile(purchases: list[tuple[float, str, str]], day: float) -> Profile:
    """Return the profile that purchases (day, order, product), sorted, had made before a day.

    Its days are moved so that it is as old now as it was then.
    """
    before = purchases[: bisect_left(purchases, (day, "", ""))]
    shift = round(time.time() / SECONDS_A_DAY - day)
    profile = Profile()
    for (date, _), rows in groupby(before, key=lambda row: (int(row[0]), row[1])):
        profile = add_purchases(profile, [product for _, _, product in rows], date + shift)
    return profile


class _Replay:
    """Runs a search with a profile, and without."""

    def __init__(
        self, client: OpenSearchClient, alias: str, settings: Settings, model: Reranker, make_query: MakeQuery
    ) -> None:
        self._client = ProfileClient(client)
        keyed = replace(settings, shoppers=ShopperSettings(key="replay"))  # its profiles are not stored
        self._search = Searcher(self._client, model, without_time_limits(keyed))
        self._alias, self._make_query = alias, make_query
        self._headers = encode_credentials(settings.opensearch)

    def rank(self, text: str, profile: Profile | None) -> tuple[list[str], bool]:
        """Return the ids of the first hits, and whether the profile bore on them. Raises EvaluationError."""
        self._client.profile = profile or Profile()
        own = {"user": "replayed"} if profile else {}
        body = {
            "query": self._make_query(text),
            "size": 100,
            "_source": False,
            "ext": {"attune": own},
        }
        call = SearchCall.of(self._alias, json.dumps(body).encode(), headers=self._headers)
        answer = self._search.answer(call).json()
        report = answer.get("ext", {}).get("attune", {})
        if report.get("rerank_status") == RerankStatus.MISMATCH:
            raise EvaluationError(f"the search for {text!r} was not reranked: {report.get('reason')}")
        ids = [hit["_id"] for hit in answer.get("hits", {}).get("hits", [])]
        return ids, _bears(report.get("behaviour", {}))


def _bears(behaviour: Mapping[str, Mapping[str, float]]) -> bool:
    """Return whether anything but popularity was added to a hit."""
    return any(parts.keys() - {"popularity"} for parts in behaviour.values())


def _replay_search(
    replay: _Replay,
    search: ReplayedSearch,
    profile: Profile,
    groups: Mapping[str, Mapping[str, RankingValues]],
    rows: dict[str, int],
) -> None:
    plain, _ = replay.rank(search.text, None)
    personal, bears = replay.rank(search.text, profile)
    names = ["all", "history bears" if bears else "does not bear"]
    if bears and not any(product in profile.bought for product in search.wanted):
        names.append("bears, another wanted")
    wanted = np.array([rows.setdefault(product, len(rows)) for product in search.wanted])
    for label, ids in ((_PLAIN, plain), (_PERSONAL, personal)):
        ranking = np.array([rows.setdefault(product, len(rows)) for product in ids], dtype=np.int64)
        for name in names:
            groups[name][label].add(search.shopper, ranking, wanted)


def _list_searches(behaviour: _Behaviour) -> Iterator[ReplayedSearch]:
    for query_id, (text, shopper, day) in behaviour.searches.items():
        done = behaviour.actions.get(query_id, {})
        wanted = next((done[action] for action in _WANTING if action in done), [])
        if wanted:
            yield ReplayedSearch(text, shopper, day, tuple(dict.fromkeys(wanted)))


def _read_behaviour(requests: ClusterRequests) -> _Behaviour:
    behaviour = _Behaviour()
    source = ["timestamp", "client_id", "user_id", "query_id", "user_query"]
    for hit in scan_hits(
        requests, QUERY_INDEXES, {"query": {"exists": {"field": "query_id"}}, "_source": source}
    ):
        query = hit["_source"]
        behaviour.searches[query["query_id"]] = (query["user_query"], _shopper(query), _day(query))
        behaviour.searchers[query["query_id"]] = _list_ids(query)
    names = [name for name, action in ACTIONS.items() if action in _WANTING]
    source = ["timestamp", "client_id", "user_id", "query_id", "action_name", "event_attributes"]
    purchases: dict[str, list[tuple[float, str, str]]] = defaultdict(list)
    for hit in scan_hits(
        requests, EVENT_INDEXES, {"query": {"terms": {"action_name": names}}, "_source": source}
    ):
        event = hit["_source"]
        attributes = event.get("event_attributes", {})
        product = attributes.get("object", {}).get("object_id", "")
        if not product:
            continue
        action = ACTIONS[event["action_name"]]
        query_id = event.get("query_id", "")
        if behaviour.searchers.get(query_id, set()) & _list_ids(event):
            behaviour.actions.setdefault(query_id, {}).setdefault(action, []).append(product)
        if action == "purchase":
            order = str(attributes.get("order_id", ""))
            purchases[_shopper(event)].append((_day(event), order, product))
    behaviour.purchases = {shopper: sorted(rows) for shopper, rows in purchases.items()}
    return behaviour


def _shopper(document: JsonObject) -> str:
    return str(document.get("user_id") or document["client_id"])


def _list_ids(document: JsonObject) -> set[object]:
    return {document[name] for name in ("client_id", "user_id") if name in document}


def _day(document: JsonObject) -> float:
    return datetime.fromisoformat(document["timestamp"]).timestamp() / SECONDS_A_DAY
