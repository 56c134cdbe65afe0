"""Searches of Attune's own making, sent as the caller whose search it is: with its headers and parameters."""

from collections.abc import Mapping, Sequence

import msgspec
from msgspec import Raw, Struct

from mappings.errors import BadRequest, ClusterDown
from mappings.types import JsonObject
from plugin_api.opensearch.client import OpenSearchClient, OpenSearchResponse, with_query
from plugin_api.opensearch.connection import Headers
from plugin_api.opensearch.raw_json import dumps, raw_object
from plugin_api.search.query.request import HEADER_PARAMETERS, SHARED_PARAMETERS, RerankRequest

JSON, NDJSON = "application/json", "application/x-ndjson"


class _Responses(Struct):
    responses: list[Raw]


_responses = msgspec.json.Decoder(_Responses)


def ask_all(
    client: OpenSearchClient, request: RerankRequest, searches: Sequence[JsonObject], timeout_seconds: float
) -> tuple[Headers, list[bytes]]:
    """Send searches in one round trip; several one by one for a caller who may `_search` only.

    An answer may be an error: see `refused`. Raises BadRequest and ClusterDown where none of them is
    answered, and TimeoutError.
    """
    header = {name: value for name, value in request.params.items() if name in HEADER_PARAMETERS}
    if len(searches) == 1:
        return _ask_each(client, request, header, searches, timeout_seconds)
    index = f"/{request.call.index}" if request.call.index else ""
    shared = {name: value for name, value in request.params.items() if name in SHARED_PARAMETERS}
    head = dumps(header)
    lines = b"".join(b"%b\n%b\n" % (head, dumps(search).replace(b"\n", b" ")) for search in searches)
    reply = post(client, request, f"{index}/_msearch", shared, lines, NDJSON, timeout_seconds)
    if reply.status == 403:
        return _ask_each(client, request, header | shared, searches, timeout_seconds)
    if reply.status != 200:
        raise refused(reply.status, refusal(reply))
    return reply.headers, [bytes(answer) for answer in _responses.decode(reply.body).responses]


def post(
    client: OpenSearchClient,
    request: RerankRequest,
    path: str,
    params: Mapping[str, str],
    body: bytes,
    content_type: str,
    timeout_seconds: float,
) -> OpenSearchResponse:
    """Send one request. Raises ClusterDown and TimeoutError."""
    headers = {**request.call.headers, "content-type": content_type}
    return client.request("POST", with_query(path, params), headers, body, timeout_seconds)


def refused(status: int, why: str) -> BadRequest | ClusterDown:
    """The error for a search that OpenSearch refuses: the caller's own, or that of a cluster in trouble."""
    if status != 429 and status < 500:
        return BadRequest(why)
    said = f"OpenSearch answered {status}"
    return ClusterDown(why if why == said else f"{said}: {why}")


def refusal(reply: OpenSearchResponse) -> str:
    """Why OpenSearch refused a request."""
    try:
        return reason(raw_object(reply.body)["error"])
    except (ValueError, KeyError):
        return f"OpenSearch answered {reply.status}"


def reason(error: Raw | bytes) -> str:
    """The sentence of an OpenSearch error."""
    found = msgspec.json.decode(error)
    if not isinstance(found, dict):
        return str(found)
    causes = found.get("root_cause") or [found]
    return f"{causes[0].get('type')}: {causes[0].get('reason')}"


def _ask_each(
    client: OpenSearchClient,
    request: RerankRequest,
    params: Mapping[str, str],
    searches: Sequence[JsonObject],
    timeout_seconds: float,
) -> tuple[Headers, list[bytes]]:
    path = request.call.path
    replies = [
        post(client, request, path, params, dumps(search), JSON, timeout_seconds) for search in searches
    ]
    if replies[0].status == 403:
        raise BadRequest(refusal(replies[0]))
    return replies[0].headers, [answer.body for answer in replies]
