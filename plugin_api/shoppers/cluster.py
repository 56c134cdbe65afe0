"""Attune's own requests to OpenSearch about shoppers, signed in as Attune itself."""

from collections.abc import Collection, Mapping
from typing import Any

import msgspec

from mappings.errors import AttuneError
from mappings.types import JsonObject
from plugin_api.opensearch.client import OpenSearchClient
from plugin_api.opensearch.raw_json import dumps

JSON_HEADERS = {"content-type": "application/json"}


class ShopperStoreError(AttuneError):
    """OpenSearch refused to read or write what is stored of shoppers."""


class ClusterRequests:
    """Requests with one set of credentials, their answers parsed."""

    def __init__(self, client: OpenSearchClient, credentials: Mapping[str, str]) -> None:
        self._client = client
        self._headers = {**credentials, **JSON_HEADERS}

    def ask(
        self,
        method: str,
        target: str,
        body: Any = None,
        also: Collection[int] = (),
        timeout_seconds: float | None = None,
    ) -> tuple[int, JsonObject]:
        """Return the status and the parsed answer.

        `body` is sent as JSON, or as it is where it is bytes. Raises ShopperStoreError for a status of 300 or
        more that is not in `also`, and what the client raises.
        """
        sent = b"" if body is None else body if isinstance(body, bytes) else dumps(body)
        answer = self._client.request(method, target, self._headers, sent, timeout_seconds)
        if answer.status >= 300 and answer.status not in also:
            path = target.partition("?")[0]
            raise ShopperStoreError(
                f"OpenSearch answers {answer.status} to {method} {path}: {_reason(answer.body)}"
            )
        parsed = msgspec.json.decode(answer.body) if answer.body else {}
        return answer.status, parsed if isinstance(parsed, dict) else {"list": parsed}

    def create_index(self, name: str, body: JsonObject) -> None:
        """Create an index where it is not there yet. Raises ShopperStoreError."""
        status, answer = self.ask("PUT", f"/{name}", body, also=(400,))
        if status == 400 and answer["error"]["type"] != "resource_already_exists_exception":
            raise ShopperStoreError(f"the index {name} can't be created: {answer['error']['reason']}")


def _reason(body: bytes) -> str:
    try:
        error = msgspec.json.decode(body)["error"]
        return str(error["reason"] if isinstance(error, dict) else error)[:300]
    except (ValueError, KeyError, TypeError):
        return "no reason given"
