"""OpenSearch as far as experiments need it: queries and events by index with numbers of their writes."""

import json
from itertools import islice
from typing import Any

from mappings.types import JsonObject
from plugin_api.opensearch.client import OpenSearchClient
from plugin_api.shoppers.experiments.tag import ExperimentTag, write_tag
from plugin_api.shoppers.experiments.watch import STATES
from tests.fakes.json_client import JsonClient

KEY = "secret"
QUERIES, EVENTS = "attune-queries-2027.01", "attune-events-2027.01"


class ExperimentCluster(JsonClient):
    """Stores searches of experiments and what followed, and which variants are stopped.

    What else it is asked goes to `otherwise`.
    """

    def __init__(self, otherwise: OpenSearchClient | None = None) -> None:
        super().__init__(otherwise)
        self.documents: dict[str, list[JsonObject]] = {QUERIES: [], EVENTS: []}
        self.states: dict[str, JsonObject] = {}

    def search(self, tag: ExperimentTag, *actions: tuple[str, str, int], key: str = KEY) -> str:
        """Store a search and what followed: actions as (name, product, place). Return its `query_id`."""
        query_id = write_tag(tag, key)
        self.documents[QUERIES].append({"query_id": query_id})
        for name, product, place in actions:
            self.act(query_id, name, product, place)
        return query_id

    def act(self, query_id: str, name: str, product: str, place: int = 0, price: float = 0.0) -> None:
        """Store what followed a search."""
        thing = {"object_id": product, "object_detail": {"price": price}}
        attributes = {"object": thing, "position": {"ordinal": place}}
        event = {"query_id": query_id, "action_name": name, "event_attributes": attributes}
        self.documents[EVENTS].append(event)

    def answer(self, method: str, target: str, body: bytes) -> tuple[int, Any] | None:
        """See JsonClient."""
        path = target.partition("?")[0].strip("/").split("/")
        match path:
            case ["_cat", "indices", _]:
                return 200, [{"index": name} for name in self.documents]
            case [index, "_search"] if index in self.documents:
                return 200, {"hits": {"hits": self._find(index, json.loads(body))}}
            case [index, "_doc", name] if index == STATES:
                if method == "PUT":
                    self.states[name] = json.loads(body)
                return (200, {"_source": self.states[name]}) if name in self.states else (404, {})
        return (200, {}) if self._otherwise is None else None

    def _find(self, index: str, search: JsonObject) -> list[JsonObject]:
        prefix, numbers = search["query"]["bool"]["filter"]
        start, after = prefix["prefix"]["query_id"], numbers["range"]["_seq_no"]["gt"]
        hits = (
            {"_id": f"{index}-{number}", "_source": source, "sort": [number]}
            for number, source in enumerate(self.documents[index])
            if number > after and source["query_id"].startswith(start)
        )
        return list(islice(hits, search["size"]))
