import json
from collections.abc import Mapping

import pytest

from mappings.settings import Settings
from plugin_api.opensearch.client import OpenSearchResponse
from plugin_api.sidecar.app import create_app
from tests.fakes.shop import Shop, StandInModel

MOUSE = {"query": {"match": {"title": "mouse"}}}
SORTED = {**MOUSE, "sort": ["price"]}
CHALLENGE = 'Basic realm="OpenSearch Security"'


class Locked(Shop):
    """A cluster that knows nobody, and says so in plain text, as the security plugin does."""

    def request(
        self,
        method: str,
        target: str,
        headers: Mapping[str, str],
        body: bytes = b"",
        timeout_seconds: float | None = None,
    ) -> OpenSearchResponse:
        super().request(method, target, headers, body, timeout_seconds)
        kind = ("content-type", "text/plain; charset=UTF-8")
        return OpenSearchResponse(401, (kind, ("www-authenticate", CHALLENGE)), b"Unauthorized")


@pytest.mark.parametrize("searches", [[MOUSE], [MOUSE, SORTED], [SORTED, MOUSE], [SORTED]])
def test_whom_opensearch_does_not_know_gets_its_answer_for_the_whole_list(
    searches: list[Mapping[str, object]],
) -> None:
    web = create_app(Settings(), Locked(), StandInModel()).test_client()
    lines = "".join(f"{{}}\n{json.dumps(search)}\n" for search in searches)
    answer = web.post("/shop/_msearch", data=lines, content_type="application/x-ndjson")
    assert (answer.status_code, answer.data) == (401, b"Unauthorized")
    assert answer.headers["www-authenticate"] == CHALLENGE
    assert answer.content_type == "text/plain; charset=UTF-8"
