"""Send searches that are not reranked to OpenSearch, and add the report on why to its answers."""

from plugin_api.clients.rules import ClientRules
from plugin_api.opensearch.client import OpenSearchClient, append_query
from plugin_api.opensearch.raw_json import dumps, raw_object
from plugin_api.search.answer import Answer
from plugin_api.search.query.types import FallbackRequest, SearchCall
from plugin_api.search.reasons import Reason
from plugin_api.search.render import add_report, json_headers
from plugin_api.search.report import RerankReport

_UNREAD = frozenset({
    Reason.SCROLL, Reason.FILTER_PATH, Reason.OTHER_FORMAT, Reason.POINT_IN_TIME, Reason.COUNT,
})  # fmt: skip
"""Reasons for which the body of an answer stays as it came: the report is in its headers alone."""


class FallbackSender:
    """Sends the callers' own searches. Thread-safe."""

    def __init__(self, client: OpenSearchClient, rules: ClientRules) -> None:
        self._client, self._rules = client, rules

    def send(self, call: SearchCall, request: FallbackRequest, report: RerankReport) -> Answer:
        """Send the caller's own search.

        The report goes into the answer's headers, and into its body where that is a JSON answer.
        """
        headers = dict(call.headers)
        if not request.verbatim:
            headers["content-type"] = "application/json"
        method = "POST" if request.body else call.method
        target = append_query(call.path, request.params)
        original = self._client.request(method, target, headers, request.body)
        # Unmodified, a search would show what its client may not be shown.
        unmodified = unmodified_request(call, request) if original.status == 400 and not self._rules else None
        if unmodified:
            return self.send(call, unmodified, report)
        unread = Answer(original.status, original.body, (*original.headers, *report.headers))
        content_type = dict(original.headers).get("content-type", "")
        is_read = request.cause.reason not in _UNREAD
        if not is_read or original.status != 200 or not content_type.startswith("application/json"):
            return unread
        try:
            body = dumps(add_report(raw_object(original.body), report))
        except ValueError:  # not an answer of OpenSearch: whoever reads it judges it
            return unread
        return Answer(200, body, json_headers(original.headers, report))


def unmodified_request(call: SearchCall, request: FallbackRequest) -> FallbackRequest | None:
    """Return the search as it came, for OpenSearch refused it with Attune's fields left out of `_source`.

    OpenSearch 3 does so where an index keeps no `_source`. None where the search was sent so, or has an
    `ext.attune`.
    """
    if request.verbatim or b'"attune"' in call.body:
        return None
    return FallbackRequest(call.body, call.params, request.cause, verbatim=True)
