"""A cluster that wants Amazon's request signing, behind a proxy that signs with the sidecar's own role."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from flask.testing import FlaskClient

from mappings.settings import OpenSearchSettings, Settings, SidecarSettings
from plugin_api.opensearch.client import OpenSearchResponse
from plugin_api.opensearch.http_client import HttpClient
from plugin_api.search.timing import SearchTiming
from plugin_api.sidecar.app import create_app
from plugin_api.sidecar.serving.asgi import select_headers
from tests.fakes.shop import Shop, StandInModel
from tests.fakes.signing import Role, signed_cluster, signing_proxy

OWN = Role("AKIDSIDECAR", "the sidecar's secret")
CALLER = Role("AKIDCALLER", "the caller's secret")
MOUSE = {"query": {"match": {"title": "mouse"}}, "size": 2}


class Cluster:
    """The shop's answers to searches, and an echo of everything else. `came` has the headers of each."""

    def __init__(self, shop: Shop) -> None:
        self._shop = shop
        self.came: list[Mapping[str, str]] = []

    def answer(self, method: str, target: str, headers: Mapping[str, str], body: bytes) -> OpenSearchResponse:
        self.came.append(headers)
        if "_search" in target or "_msearch" in target or "_mapping" in target:
            return self._shop.request(method, target, headers, body)
        echo = json.dumps({"method": method, "target": target, "body": body.decode()})
        return OpenSearchResponse(200, (("content-type", "application/json"),), echo.encode())


@pytest.fixture
def cluster(shop: Shop) -> Cluster:
    shop.products = {"a": 10, "b": 200}
    return Cluster(shop)


@pytest.fixture
def url(cluster: Cluster) -> Iterator[str]:
    with signed_cluster(OWN, cluster.answer) as url:
        yield url


@pytest.fixture
def web(url: str) -> Iterator[FlaskClient]:
    """The sidecar, behind it the signing proxy, behind that the cluster."""
    with signing_proxy(OWN, url) as proxy:
        yield sidecar(proxy)


def sidecar(url: str) -> FlaskClient:
    settings = Settings(opensearch=OpenSearchSettings(url=url), sidecar=SidecarSettings(deadline_ms=60_000))
    timing = SearchTiming(settle_seconds=0.0)
    client = HttpClient(settings.opensearch)
    return create_app(settings, client, StandInModel(), timing=timing).test_client()


def signed(method: str, path: str, body: bytes, moment: str) -> dict[str, str]:
    """What a caller sends who signs for the sidecar's host."""
    return CALLER.sign(method, path, {"host": "localhost"}, body, moment) | {
        "content-type": "application/json",
        "x-amz-security-token": "of the caller's session",
    }


def ask(web: FlaskClient, moment: str = "20260101T110000Z") -> Any:
    body = json.dumps(MOUSE).encode()
    headers = signed("POST", "/shop/_search", body, moment)
    return web.post("/shop/_search", data=body, headers=headers)


def test_the_stub_signs_as_amazons_own_example() -> None:
    """The case get-vanilla of the published test suite."""
    role = Role("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", "us-east-1", "service")
    made = role.sign("GET", "/", {"host": "example.amazonaws.com"}, b"", "20150830T123600Z")
    signature = made["authorization"].rpartition("=")[2]
    assert signature == "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"


def test_a_signed_search_is_reranked(web: FlaskClient, cluster: Cluster) -> None:
    answer = json.loads(ask(web).data)
    assert answer["ext"]["attune"]["rerank_status"] == "reranked"
    assert [hit["_id"] for hit in answer["hits"]["hits"]] == ["b", "a"]
    assert cluster.came
    for headers in cluster.came:
        assert "Credential=AKIDSIDECAR/" in headers["authorization"]
        assert "x-amz-security-token" not in headers


def test_callers_share_a_ranking_however_they_sign(web: FlaskClient) -> None:
    """To the cluster all of them are one: the sidecar's role."""
    answers = [json.loads(ask(web, f"20260101T11000{second}Z").data) for second in range(3)]
    assert answers[-1]["ext"]["attune"]["cached"] is True


@pytest.mark.parametrize(
    ("method", "target", "body"),
    [
        ("GET", "/shop/_doc/a%2Fb%20c?_source=title&refresh", b""),
        ("PUT", "/shop/_doc/%C3%A4", b'{"title": "mouse"}'),
        ("POST", "/_bulk", b'{"index": {"_index": "shop"}}\n{"title": "mouse"}\n'),
    ],
)
def test_what_passes_through_is_signed_too(web: FlaskClient, method: str, target: str, body: bytes) -> None:
    headers = signed(method, target, body, "20260101T110000Z")
    answer = web.open(target, method=method, data=body, headers=headers)
    assert json.loads(answer.data) == {"method": method, "target": target, "body": body.decode()}


def test_without_the_proxy_the_cluster_refuses(url: str) -> None:
    """A caller's own signature can't be passed on: it is of another host, and of other bytes."""
    answer = ask(sidecar(url))
    assert answer.status_code == 403
    assert b"signature" in answer.data


def test_only_a_signature_is_left_out() -> None:
    def sent(*headers: tuple[bytes, bytes]) -> list[str]:
        return [name for name, _ in select_headers({"headers": headers, "http_version": "1.1"})]

    date = (b"x-amz-date", b"20260101T110000Z")
    assert sent((b"authorization", b"AWS4-HMAC-SHA256 Credential=A"), date, (b"x-opaque-id", b"7")) == [
        "x-opaque-id"
    ]
    assert sent((b"authorization", b"Basic YTpi"), date) == ["authorization", "x-amz-date"]
