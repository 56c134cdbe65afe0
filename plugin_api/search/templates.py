"""Search templates: rendered by OpenSearch as the caller, then searched like any other body."""

from collections.abc import Mapping

from msgspec import Raw

from plugin_api.opensearch.client import OpenSearchClient
from plugin_api.opensearch.raw_json import RawObject, dumps, raw_object
from plugin_api.search.query.request import SearchCall

RENDERED_KEYS = ("id", "source", "params", "lang")
PASSED_ON = ("explain", "profile")


class NotRendered(ValueError):
    """A template that this caller can't have rendered: its search goes on as it came."""


def render(
    client: OpenSearchClient, headers: Mapping[str, str], body: bytes, timeout_seconds: float
) -> bytes:
    """Return the search that a body of `_search/template` stands for.

    Raises NotRendered where OpenSearch does not render it for this caller, or not in time; ClusterDown.
    """
    try:
        asked = raw_object(body)
    except (ValueError, RecursionError) as error:
        raise NotRendered("the template can't be read") from error
    template = dumps({name: asked[name] for name in RENDERED_KEYS if name in asked})
    json_headers = {**headers, "content-type": "application/json"}
    try:
        reply = client.request("POST", "/_render/template", json_headers, template, timeout_seconds)
    except TimeoutError as error:
        raise NotRendered("OpenSearch did not render the template in time") from error
    if reply.status != 200:
        raise NotRendered(f"OpenSearch answered {reply.status} when asked to render the template")
    try:
        rendered = raw_object(raw_object(reply.body)["template_output"])
    except (ValueError, KeyError) as error:
        raise NotRendered("the template renders to no JSON object") from error
    more: RawObject = {name: Raw(bytes(asked[name])) for name in PASSED_ON if name in asked}
    return dumps({**rendered, **more})


def rendered_call(client: OpenSearchClient, call: SearchCall, timeout_seconds: float) -> SearchCall:
    """Return the `_search` that a `_search/template` stands for. Raises as `render` does."""
    return SearchCall(
        call.index,
        render(client, call.headers, call.body, timeout_seconds),
        call.params,
        call.headers,
    )
