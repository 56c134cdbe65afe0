"""Send Attune's own searches as the caller: with the caller's headers and URL parameters."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec
from msgspec import Raw, Struct

from mappings.errors import AttuneError
from mappings.types import JsonObject
from plugin_api.opensearch.client import Headers, OpenSearchClient, OpenSearchResponse, append_query
from plugin_api.opensearch.raw_json import dumps, raw_object
from plugin_api.search.caller_key import has_identity
from plugin_api.search.deadline import Deadline
from plugin_api.search.query.request import HEADER_PARAMETERS, SHARED_PARAMETERS
from plugin_api.search.query.types import SearchCall

_FAIR_SHARE = 0.5
"""Share of a search's time that OpenSearch must have had for a late answer to be its fault."""

_JSON, _NDJSON = "application/json", "application/x-ndjson"


class _Responses(Struct):
    responses: list[Raw]


_responses = msgspec.json.Decoder(_Responses)


class SearchRefused(AttuneError):
    """OpenSearch refuses a search, with this status: the search is wrong, or the cluster is in trouble."""

    def __init__(self, status: int, error: str) -> None:
        super().__init__(f"OpenSearch answered {status}: {error}")
        self.status, self.error = status, error


class OpenSearchLate(AttuneError):
    """OpenSearch did not answer in time, though it had most of the search's time."""


@dataclass(frozen=True, slots=True)
class CallerSearch:
    """The body of one search, and the number of the only shard that it is sent to, None for all shards."""

    body: JsonObject
    shard: int | None = None


@dataclass(frozen=True, slots=True)
class CallerClient:
    """OpenSearch as one caller reaches it during one search.

    `params` are the URL parameters to send with each search, `pit` the point in time that all are sent
    within. Every method raises SearchRefused, ClusterDown, OpenSearchLate, and TimeoutError where the
    deadline had almost passed before.
    """

    client: OpenSearchClient
    call: SearchCall
    params: Mapping[str, str]
    deadline: Deadline
    pit: str = ""

    @property
    def has_identity(self) -> bool:
        """Whether OpenSearch may tell the caller from others."""
        return has_identity(self.call.headers)

    def search(self, body: JsonObject) -> OpenSearchResponse:
        """Send one search with all URL parameters."""
        response = self._post(self.call.path, self.params, dumps(body), _JSON)
        if response.status != 200:
            raise SearchRefused(response.status, _error_of(response))
        return response

    def search_all(self, searches: Sequence[CallerSearch]) -> tuple[Headers, list[bytes]]:
        """Send searches in one round trip; one by one for a caller who may use `_search` only.

        Each answer may be an error.
        """
        if self.pit or len(searches) == 1:
            return self._search_each(searches, {})
        index = f"/{self.call.index}" if self.call.index else ""
        shared = {name: value for name, value in self.params.items() if name in SHARED_PARAMETERS}
        lines = (
            dumps(part).replace(b"\n", b" ")
            for search in searches
            for part in (self._header(search), search.body)
        )
        response = self._post(f"{index}/_msearch", shared, b"\n".join(lines) + b"\n", _NDJSON)
        if response.status == 403:
            return self._search_each(searches, shared)
        if response.status != 200:
            raise SearchRefused(response.status, _error_of(response))
        return response.headers, [bytes(answer) for answer in _responses.decode(response.body).responses]

    def _header(self, search: CallerSearch) -> dict[str, str]:
        header = {name: value for name, value in self.params.items() if name in HEADER_PARAMETERS}
        if search.shard is not None:
            own = header.get("preference")
            header["preference"] = f"_shards:{search.shard}" + (f"|{own}" if own else "")
        return header

    def _search_each(
        self, searches: Sequence[CallerSearch], shared: Mapping[str, str]
    ) -> tuple[Headers, list[bytes]]:
        responses = [
            self._post("/_search", {}, dumps({**search.body, "pit": {"id": self.pit}}), _JSON)
            if self.pit
            else self._post(self.call.path, {**self._header(search), **shared}, dumps(search.body), _JSON)
            for search in searches
        ]
        if responses[0].status == 403:
            raise SearchRefused(403, _error_of(responses[0]))
        return responses[0].headers, [response.body for response in responses]

    def _post(
        self, path: str, params: Mapping[str, str], body: bytes, content_type: str
    ) -> OpenSearchResponse:
        headers = {**self.call.headers, "content-type": content_type}
        if "accept" in headers:  # the caller may want YAML, which only the caller's own search is answered in
            headers["accept"] = _JSON
        target = append_query(path, params)
        seconds = self.deadline.remaining()
        try:
            return self.client.request("POST", target, headers, body, seconds)
        except TimeoutError as error:
            if seconds < _FAIR_SHARE * self.deadline.seconds:
                raise
            raise OpenSearchLate(str(error)) from error


def error_sentence(error: Raw | bytes) -> str:
    """Return the sentence of an OpenSearch error."""
    value = msgspec.json.decode(error)
    if not isinstance(value, dict):
        return str(value)
    causes = value.get("root_cause") or [value]
    return f"{causes[0].get('type')}: {causes[0].get('reason')}"


def _error_of(response: OpenSearchResponse) -> str:
    try:
        return error_sentence(raw_object(response.body)["error"])
    except (ValueError, KeyError):
        return f"status {response.status}"
