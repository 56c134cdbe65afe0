"""Whatever a caller sends, and whatever comes back for it: no crash, and nothing of the inside shown."""

import itertools
import json
import logging
import random
from collections.abc import Mapping

import pytest

from mappings.product_key import ProductKey
from mappings.settings import Settings
from plugin_api.opensearch.client import OpenSearchResponse
from plugin_api.search.memory.circuit_breaker import CircuitBreaker
from plugin_api.sidecar.app import create_app
from tests.fakes.shop import StandInModel, stored_bytes
from tests.plugin_api.sidecar.broken_searches import cases

JSON = (("content-type", "application/json; charset=UTF-8"),)
HIT = {
    "_index": "shop-1",
    "_id": "1",
    "_score": 1.5,
    "_source": {"title": "a"},
    "fields": {
        "attune.key": [stored_bytes(ProductKey("1", StandInModel.version, "0" * 16).pack())],
        "attune.tokens": ["gA"],
    },
}
FOUND = {
    "took": 1,
    "timed_out": False,
    "_shards": {"total": 1, "successful": 1, "skipped": 0, "failed": 0},
    "hits": {"total": {"value": 1, "relation": "eq"}, "max_score": 1.5, "hits": [HIT]},
}
ERROR = {"error": {"root_cause": [], "type": "parsing_exception", "reason": "no"}, "status": 400}
INSIDE = (b"Traceback", b'File "', b"site-packages", b"plugin_api", b"c2VjcmV0", b"object at 0x")


class AnyCluster:
    """A client that answers anything with a hit or an error; some answers are themselves broken."""

    def __init__(self, seed: int, broken: float) -> None:
        self._random, self._broken = random.Random(seed), broken

    def request(
        self,
        method: str,
        target: str,
        headers: Mapping[str, str],
        body: bytes = b"",
        timeout_seconds: float | None = None,
    ) -> OpenSearchResponse:
        one = ERROR if self._random.random() < 0.2 else FOUND
        status = 400 if one is ERROR else 200
        if "_msearch" in target:
            lines = [line for line in body.split(b"\n") if line]
            status, reply = 200, {"took": 1, "responses": [{**one, "status": status}] * (len(lines) // 2)}
            text = json.dumps(reply).encode()
        else:
            text = json.dumps(one).encode()
        if self._random.random() < self._broken:
            text = self._random.choice(
                (b"", b"[]", b"<html>", text[:40], b'{"hits": []}', b'{"responses": [1]}')
            )
        return OpenSearchResponse(status, (*JSON, ("content-length", str(len(text)))), text)


@pytest.mark.parametrize("broken", [0.0, 0.3], ids=["sound answers", "broken answers"])
def test_no_search_however_broken_is_a_crash(broken: float, caplog: pytest.LogCaptureFixture) -> None:
    app = create_app(Settings(), AnyCluster(5, broken), StandInModel())
    client = app.test_client()
    caplog.set_level(logging.DEBUG)
    for case in itertools.islice(cases(7, "products"), 400):
        app.extensions["attune"].limiter.breaker = CircuitBreaker()  # an open circuit would spare the rest
        response = client.open(
            case.target,
            method=case.method,
            headers={**case.headers, "Authorization": "Basic c2VjcmV0"},
            data=case.body,
        )
        if broken and response.status_code == 503:  # a list of searches whose answer is no list
            assert response.json["error"]["type"] == "cluster_down_exception"
            continue
        assert response.status_code < 500, (case.kind, case.target, case.body[:500], response.data[:500])
        assert not [word for word in INSIDE if word in response.data], response.data[:2000]
        assert not [value for value in response.headers.values() if "c2VjcmV0" in value]
    assert "c2VjcmV0" not in caplog.text
