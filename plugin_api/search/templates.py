"""Search templates: OpenSearch renders them as the caller, then they are searched like any other body."""

from collections.abc import Mapping

from msgspec import Raw

from plugin_api.opensearch.client import OpenSearchClient
from plugin_api.opensearch.raw_json import RawObject, dumps, raw_object
from plugin_api.search.deadline import Deadline
from plugin_api.search.query.types import SearchCall
from plugin_api.search.reasons import NotReranked, Reason

_RENDERED_KEYS = ("id", "source", "params", "lang")
_SEARCH_KEYS = ("explain", "profile")


def render_template(
    client: OpenSearchClient, headers: Mapping[str, str], body: bytes, deadline: Deadline
) -> bytes:
    """Return the search that a body of `_search/template` stands for.

    Raises NotReranked where OpenSearch does not render it for this caller, or not in time; ClusterDown.
    """
    try:
        call = raw_object(body)
    except (ValueError, RecursionError) as error:
        raise _not_rendered("the template can't be read") from error
    template = dumps({name: call[name] for name in _RENDERED_KEYS if name in call})
    json_headers = {**headers, "content-type": "application/json"}
    try:
        seconds = deadline.remaining()
        response = client.request("POST", "/_render/template", json_headers, template, seconds)
    except TimeoutError as error:
        raise _not_rendered("OpenSearch did not render the template in time") from error
    if response.status != 200:
        raise _not_rendered(f"OpenSearch answered {response.status} to the request to render the template")
    try:
        rendered = raw_object(raw_object(response.body)["template_output"])
    except (ValueError, KeyError) as error:
        raise _not_rendered("the template does not render to a JSON object") from error
    more: RawObject = {name: Raw(bytes(call[name])) for name in _SEARCH_KEYS if name in call}
    return dumps({**rendered, **more})


def render_call(client: OpenSearchClient, call: SearchCall, deadline: Deadline) -> SearchCall:
    """Return the `_search` that a `_search/template` stands for. Raises as `render_template` does."""
    body = render_template(client, call.headers, call.body, deadline)
    return SearchCall(call.index, body, call.params, call.headers)


def _not_rendered(problem: str) -> NotReranked:
    return NotReranked(Reason.TEMPLATE_NOT_RENDERED.because(problem=problem))
