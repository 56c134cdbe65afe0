"""OpenSearch clients that answer in JSON, whoever asks."""

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

from mappings.types import JsonObject
from plugin_api.opensearch.client import OpenSearchClient, OpenSearchResponse

_HEADERS = (("content-type", "application/json; charset=UTF-8"),)


class JsonClient(ABC):
    """A client that answers by method, target and body. What has no answer goes to `otherwise`."""

    def __init__(self, otherwise: OpenSearchClient | None = None) -> None:
        self._otherwise = otherwise

    @abstractmethod
    def answer(self, method: str, target: str, body: bytes) -> tuple[int, Any] | None:
        """Return the status and the answer."""

    def request(
        self,
        method: str,
        target: str,
        headers: Mapping[str, str],
        body: bytes = b"",
        timeout_seconds: float | None = None,
    ) -> OpenSearchResponse:
        """See OpenSearchClient."""
        answer = self.answer(method, target, body)
        if answer is None:
            assert self._otherwise is not None, f"no answer to {method} {target}"
            return self._otherwise.request(method, target, headers, body, timeout_seconds)
        return OpenSearchResponse(answer[0], _HEADERS, json.dumps(answer[1]).encode())


class StoredLogs(JsonClient):
    """Logs by index, read in points in time. A search may want the beginning of a `query_id`."""

    def __init__(
        self, logs: Mapping[str, list[JsonObject]], otherwise: OpenSearchClient | None = None
    ) -> None:
        super().__init__(otherwise)
        self.logs = logs

    def answer(self, method: str, target: str, body: bytes) -> tuple[int, Any] | None:
        """See JsonClient."""
        path = target.partition("?")[0]
        index = path.split("/")[1]
        if index in self.logs:
            return 200, {"pit_id": index}
        if path == "/_search/point_in_time":
            return 200, {}
        if path != "/_search":
            return None
        search = json.loads(body)
        start = search["query"].get("prefix", {}).get("query_id", "")
        log = self.logs[search["pit"]["id"]]
        sources = [source for source in log if source.get("query_id", "").startswith(start)]
        return 200, {"hits": {"hits": [{"_source": source} for source in sources]}}
