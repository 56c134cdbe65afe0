"""What indexes are like, as callers see them: types of fields, and filters of aliases. Requested once a
minute.
"""

import threading
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from urllib.parse import quote

import msgspec
from cachetools import TTLCache
from msgspec import Struct

from mappings.errors import ClusterDown
from mappings.types import JsonObject
from plugin_api.opensearch.client import OpenSearchClient
from plugin_api.search.deadline import Deadline
from plugin_api.search.query.field_types import IndexSchema
from plugin_api.search.query.types import SearchCall

SCHEMA_SECONDS = 60.0
"""For how long a schema is used."""

_MAX_SCHEMAS = 1024
_MAX_FIELDS = 1000
"""Fields of one schema that are remembered."""


class _Capabilities(Struct, frozen=True):
    fields: dict[str, dict[str, object]] = {}


class _Alias(Struct, frozen=True):
    filter: JsonObject | None = None


class _Index(Struct, frozen=True):
    aliases: dict[str, _Alias] = {}


_capabilities = msgspec.json.Decoder(_Capabilities)
_indexes = msgspec.json.Decoder(dict[str, _Index])


@dataclass(slots=True)
class _Known:
    types: dict[str, Collection[str]] = field(default_factory=dict)
    alias_filter: tuple[JsonObject, ...] | None = None


class IndexSchemas:
    """Schemas by caller and index. Thread-safe; share one among all requests of a process.

    What OpenSearch does not tell a caller stays unknown: fields are then judged by their names.
    """

    def __init__(
        self,
        client: OpenSearchClient,
        seconds: float = SCHEMA_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client = client
        self._lock = threading.Lock()
        self._known: TTLCache[str, _Known] = TTLCache(_MAX_SCHEMAS, seconds, clock)

    def find(self, call: SearchCall, deadline: Deadline) -> IndexSchema:
        """Return the schema of what a call searches."""
        with self._lock:
            known = self._known.setdefault(call.caller_key, _Known())
        if known.alias_filter is None:
            known.alias_filter = self._find_alias_filter(call, deadline)

        def types_of(names: Collection[str]) -> Mapping[str, Collection[str]]:
            missing = [name for name in names if name not in known.types]
            if missing and len(known.types) < _MAX_FIELDS:
                known.types.update(self._field_types(call, missing, deadline))
            return known.types

        return IndexSchema(types_of, known.alias_filter or ())

    def _field_types(
        self, call: SearchCall, names: Collection[str], deadline: Deadline
    ) -> dict[str, Collection[str]]:
        index = f"/{call.index}" if call.index else ""
        listed = ",".join(quote(name, safe="") for name in names)
        answer = self._get(call, f"{index}/_field_caps?ignore_unavailable=true&fields={listed}", deadline)
        if answer is None:
            return {}
        try:
            types = _capabilities.decode(answer).fields
        except msgspec.DecodeError:
            types = {}
        return {name: frozenset(types.get(name, ())) for name in names}

    def _find_alias_filter(self, call: SearchCall, deadline: Deadline) -> tuple[JsonObject, ...] | None:
        """Return the filter of the alias that a call names; None where OpenSearch does not tell now."""
        if not call.index or any(letter in call.index for letter in ",*") or call.index.startswith("_"):
            return ()
        answer = self._get(call, f"/_alias/{call.index}", deadline)
        if answer is None:
            return None
        try:
            indexes = _indexes.decode(answer)
        except msgspec.DecodeError:
            return ()
        filters = {name: alias.filter for name, index in indexes.items() for alias in index.aliases.values()}
        if not filters or not all(filters.values()):
            return ()
        given = [one for one in filters.values() if one]
        if all(one == given[0] for one in given):
            return (given[0],)
        each: list[JsonObject] = [
            {"bool": {"filter": [{"term": {"_index": name}}, one]}} for name, one in filters.items()
        ]
        return ({"bool": {"should": each, "minimum_should_match": 1}},)

    def _get(self, call: SearchCall, target: str, deadline: Deadline) -> bytes | None:
        """Return OpenSearch's answer to this caller, empty for an error; None where it has none now."""
        try:
            seconds = deadline.remaining()
            response = self._client.request("GET", target, call.headers_without_body, b"", seconds)
        except (ClusterDown, TimeoutError):
            return None
        if response.status == 429 or response.status >= 500:
            return None
        return response.body if response.status == 200 else b""
