"""Searches of an experiment and what followed them, read from stored events as they come."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from mappings.types import JsonObject
from plugin_api.shoppers.cluster import ClusterRequests
from plugin_api.shoppers.event_store import EVENT_INDEXES, QUERY_INDEXES
from plugin_api.shoppers.experiments.tag import INTERLEAVED, ExperimentTag, make_tag_prefix, read_tag
from reranker.training.clicks.click_log import ACTIONS

CREDITED = ("click", "cart", "purchase")

_PAGE = 5_000
_OVERLAP = 1_000
"""Writes of an index that are read again: one may be shown after another with a higher number."""


@dataclass(slots=True)
class Trial:
    """One search of an experiment: the actions after it, `credit` for the first ranking's hits, revenue."""

    tag: ExperimentTag
    credit: int = 0
    actions: int = 0
    revenue: float = 0.0
    seen: set[tuple[str, str]] = field(default_factory=set)


class ExperimentLog:
    """Reads what is new of an experiment. Queries and events that were not signed with `key` are left out.

    `trials` has what was read by `query_id`; whoever is done with one may remove it. `uncredited` counts
    actions on interleaved hits that do not say at which place the product stood. Not thread-safe.
    """

    def __init__(self, requests: ClusterRequests, name: str, key: str) -> None:
        self._requests, self._name, self._key = requests, name, key
        self._read_to: dict[str, int] = {}
        self._recent: dict[str, dict[str, int]] = {}
        self.trials: dict[str, Trial] = {}
        self.uncredited = 0

    def read(self) -> None:
        """Read what was stored since the last time. Raises ShopperStoreError."""
        target = f"/_cat/indices/{QUERY_INDEXES},{EVENT_INDEXES}?format=json&h=index"
        names = sorted(row["index"] for row in self._requests.ask("GET", target)[1]["list"])
        for name in reversed(names):  # queries before the events that name them
            for document in self._read_index(name):
                self._take_in(document)

    def _read_index(self, index: str) -> Iterator[JsonObject]:
        after = self._read_to.get(index, -1) - _OVERLAP
        while True:
            filters = [
                {"prefix": {"query_id": make_tag_prefix(self._name)}},
                {"range": {"_seq_no": {"gt": after}}},
            ]
            body = {
                "query": {"bool": {"filter": filters}},
                "sort": [{"_seq_no": "asc"}],
                "size": _PAGE,
                "_source": ["query_id", "action_name", "event_attributes"],
            }
            hits = self._requests.ask("POST", f"/{index}/_search", body, also=(404,))[1].get("hits", {})
            rows = hits.get("hits", [])
            recent = self._recent.setdefault(index, {})
            yield from (hit["_source"] for hit in rows if hit["_id"] not in recent)
            if not rows:
                return
            after = self._read_to[index] = max(rows[-1]["sort"][0], self._read_to.get(index, -1))
            numbers = {**recent, **{hit["_id"]: hit["sort"][0] for hit in rows}}
            self._recent[index] = {
                id_: number for id_, number in numbers.items() if number > self._read_to[index] - _OVERLAP
            }
            if len(rows) < _PAGE:
                return

    def _take_in(self, document: JsonObject) -> None:
        tag = read_tag(document["query_id"], self._key)
        if tag is None:
            return
        trial = self.trials.setdefault(document["query_id"], Trial(tag))
        action = ACTIONS.get(document.get("action_name", ""))
        if action not in CREDITED:
            return
        attributes = document.get("event_attributes", {})
        thing = attributes.get("object", {})
        product = thing.get("object_id", "")
        if (action, product) in trial.seen:  # an action on a product counts once a search
            return
        trial.seen.add((action, product))
        trial.actions += 1
        if action == "purchase":
            trial.revenue += thing.get("object_detail", {}).get("price", 0.0)
        if tag.variant == INTERLEAVED:
            team = tag.find_team(attributes.get("position", {}).get("ordinal", 0))
            self.uncredited += team is None
            trial.credit += 0 if team is None else 1 if team else -1
