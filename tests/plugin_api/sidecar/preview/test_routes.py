import threading
from collections.abc import Mapping
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from pathlib import Path

import pytest
from flask.testing import FlaskClient

from mappings.settings import OpenSearchSettings, PreviewSettings, SearchSettings, Settings, SidecarSettings
from plugin_api.opensearch.client import OpenSearchClient, OpenSearchResponse
from plugin_api.opensearch.http_client import HttpClient
from plugin_api.search.query.keyword_query import keyword_query
from plugin_api.sidecar.app import create_app
from plugin_api.sidecar.preview.routes import EXPLAIN_WAITING
from tests.fakes.preview_shop import ALIAS, PreviewShop, shipped_model, stocked_shop
from tests.fakes.shop import VERSION, StandInModel

MOUSE = {"index": ALIAS, "id": "mouse-m185", "query": "wireless mouse"}
FILES = sorted(
    path.name
    for path in (Path(__file__).parents[4] / "plugin_api/sidecar/preview/static").iterdir()
    if path.suffix in (".js", ".css", ".svg", ".html")
)


@pytest.fixture
def shop() -> PreviewShop:
    return stocked_shop()


def web(client: OpenSearchClient, **sections: object) -> FlaskClient:
    settings = Settings(**{"sidecar": SidecarSettings(deadline_ms=30_000), **sections})  # type: ignore[arg-type]
    return create_app(settings, client, shipped_model()).test_client()


def test_the_page_may_load_nothing_of_others(shop: PreviewShop) -> None:
    page = web(shop).get("/_attune/")
    assert page.status_code == 200
    assert page.content_type == "text/html; charset=utf-8"
    assert page.headers["Content-Security-Policy"] == (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    assert page.headers["X-Content-Type-Options"] == "nosniff"
    assert page.headers["Referrer-Policy"] == "no-referrer"
    assert page.headers["Cross-Origin-Opener-Policy"] == "same-origin"


def test_image_hosts_are_the_only_others(shop: PreviewShop) -> None:
    client = web(shop, preview=PreviewSettings(image_hosts="https://images.example, *.shop.example"))
    policy = client.get("/_attune/").headers["Content-Security-Policy"]
    assert "img-src 'self' data: https://images.example *.shop.example;" in policy
    config = client.get("/_attune/preview").json
    assert config is not None
    assert config["image_hosts"] == ["https://images.example", "*.shop.example"]


@pytest.mark.parametrize("name", FILES)
def test_files_are_asked_for_again_only_when_they_change(shop: PreviewShop, name: str) -> None:
    client = web(shop)
    first = client.get(f"/_attune/assets/{name}")
    assert first.status_code == 200
    again = client.get(f"/_attune/assets/{name}", headers={"If-None-Match": first.headers["ETag"]})
    assert (again.status_code, again.data) == (304, b"")
    assert not shop.requests


@pytest.mark.parametrize("name", ["nothing.js", "preview.py", "..%2fapp.py", "__init__.py"])
def test_there_are_no_other_files(shop: PreviewShop, name: str) -> None:
    assert web(shop).get(f"/_attune/assets/{name}").status_code == 404
    assert not shop.requests


def test_the_address_without_a_slash_leads_to_the_page(shop: PreviewShop) -> None:
    moved = web(shop).get("/_attune")
    assert (moved.status_code, moved.headers["Location"]) == (308, "_attune/")


def test_configuration_is_what_is_in_force(shop: PreviewShop) -> None:
    settings = Settings(search=SearchSettings(alias="shop", window=50, keyword_weight=1.5))
    others = [StandInModel()]
    client = create_app(settings, shop, shipped_model(), others).test_client()  # type: ignore[arg-type,list-item]
    assert client.get("/_attune/preview").json == {
        "alias": "shop",
        "models": [shipped_model().version, VERSION],
        "window": 50,
        "keyword_weight": 1.5,
        "relevance_weight": 1.0,
        "click_weight": 0.5,
        "purchase_weight": 0.5,
        "judgements": "browser",
        "pictures": False,
        "speech": False,
        "image_hosts": [],
        "shoppers": [],
        "experiment": "",
        "domain": {"title": "", "placeholder": "", "notice": "", "evidence": "", "clients": {}},
    }


@pytest.mark.parametrize("text", ["buy wireless mouse", "苹果手机", "", "a" * 5000])
def test_the_keyword_query_is_the_one_that_attune_search_asks(shop: PreviewShop, text: str) -> None:
    answer = web(shop).get("/_attune/query", query_string={"text": text})
    assert answer.json == {"query": keyword_query(text[:2000])}
    assert answer.headers["Cache-Control"] == "no-store"


KEYED = SidecarSettings(api_keys="first-key,second-key", deadline_ms=30_000)


@pytest.mark.parametrize("path", ["/_attune/", "/_attune", "/_attune/assets/page.js"])
def test_whoever_has_no_key_yet_can_type_one_in(shop: PreviewShop, path: str) -> None:
    assert web(shop, sidecar=KEYED).get(path).status_code in (200, 308)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/_attune/preview"),
        ("GET", "/_attune/query"),
        ("POST", "/_attune/explain"),
        ("POST", "/_attune/judgements"),
        ("POST", "/_attune/grades"),
    ],
)
def test_routes_ask_for_a_key(shop: PreviewShop, method: str, path: str) -> None:
    client = web(shop, sidecar=KEYED)
    refused = client.open(path, method=method, json=MOUSE if method == "POST" else None)
    assert refused.status_code == 401
    assert "X-Attune-From-OpenSearch" not in refused.headers
    assert not shop.requests


def test_the_key_does_not_reach_opensearch_but_the_callers_password_does(shop: PreviewShop) -> None:
    headers = {"X-Api-Key": "second-key", "Authorization": "Basic c2hvcDpzZWNyZXQ=", "X-Opaque-Id": "7"}
    assert web(shop, sidecar=KEYED).post("/_attune/explain", json=MOUSE, headers=headers).status_code == 200
    assert "/_msearch" in [target for _, target, _, _ in shop.requests]
    for _, _, _, sent in shop.requests:
        assert sent["authorization"] == "Basic c2hvcDpzZWNyZXQ="
        assert sent["x-opaque-id"] == "7"
        assert "second-key" not in str(sent)


def test_opensearchs_refusal_is_told_from_the_sidecars(shop: PreviewShop) -> None:
    shop.password = "Basic c2hvcDpzZWNyZXQ="
    refused = web(shop).post("/_attune/explain", json=MOUSE)
    assert refused.status_code == 401
    assert refused.headers["X-Attune-From-OpenSearch"] == "true"
    assert refused.json is not None
    assert refused.json["error"]["type"] == "security_exception"


def test_an_index_that_is_not_there_is_opensearchs_error(shop: PreviewShop) -> None:
    shop.refuse["_msearch"] = (404, "index_not_found_exception", "no such index [nothing]")
    refused = web(shop).post("/_attune/explain", json={**MOUSE, "index": "nothing"})
    assert refused.status_code == 404
    assert refused.json is not None
    assert refused.json["error"]["type"] == "index_not_found_exception"


def test_an_opensearch_that_is_too_slow(shop: PreviewShop) -> None:
    shop.late = True
    late = web(shop).post("/_attune/explain", json=MOUSE)
    assert late.status_code == 504
    assert late.json is not None
    assert late.json["error"]["reason"] == "OpenSearch did not answer in time"


def test_an_opensearch_that_is_not_there() -> None:
    settings = OpenSearchSettings(url="http://127.0.0.1:9")
    nobody = HttpClient(settings)
    down = web(nobody, opensearch=settings).post("/_attune/explain", json=MOUSE)
    nobody.close()
    assert down.status_code == 503
    assert down.json is not None
    assert down.json["error"]["type"] == "cluster_down_exception"


@pytest.mark.parametrize("path", ["explain", "judgements", "grades"])
@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b"null", b'{"query": 1}', b'{"unknown": true}', b"\xff", b"[" * 100_000],
    ids=["empty", "cut", "list", "null", "number", "unknown", "not UTF-8", "deep"],
)
def test_bodies_that_are_none_are_refused(shop: PreviewShop, path: str, body: bytes) -> None:
    refused = web(shop).post(f"/_attune/{path}", data=body, content_type="application/json")
    assert refused.status_code == 400
    assert refused.json is not None
    assert refused.json["error"]["reason"].startswith("the body can't be read: ")
    assert not shop.requests


@pytest.mark.parametrize(
    "content_type", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data"]
)
@pytest.mark.parametrize("path", ["explain", "judgements", "grades"])
def test_what_other_sites_pages_can_send_unasked_is_refused(
    shop: PreviewShop, tmp_path: Path, path: str, content_type: str
) -> None:
    client = web(shop, preview=PreviewSettings(judgements=str(tmp_path / "judged.csv")))
    body = b'{"query": "mouse", "product_id": "pad", "grade": 3}'
    assert client.post(f"/_attune/{path}", data=body, content_type=content_type).status_code == 400
    assert not list(tmp_path.iterdir())


def test_a_body_that_is_too_large_is_refused(shop: PreviewShop) -> None:
    small = SidecarSettings(max_body_bytes=1000)
    assert (
        web(shop, sidecar=small).post("/_attune/explain", json={**MOUSE, "query": "x" * 1500}).status_code
        == 413
    )


class _Gated:
    """A cluster that answers once it is let."""

    def __init__(self, shop: PreviewShop) -> None:
        self._shop = shop
        self.open = threading.Event()
        self.arrived = threading.Semaphore(0)

    def request(
        self,
        method: str,
        target: str,
        headers: Mapping[str, str],
        body: bytes = b"",
        timeout_seconds: float | None = None,
    ) -> OpenSearchResponse:
        self.arrived.release()
        self.open.wait(60)
        return self._shop.request(method, target, headers, body, timeout_seconds)


def test_explanations_wait_in_a_short_line(shop: PreviewShop) -> None:
    gate = _Gated(shop)
    client = web(gate, sidecar=SidecarSettings(threads=1))

    def explained() -> int:
        return client.application.test_client().post("/_attune/explain", json=MOUSE).status_code

    with ThreadPoolExecutor(EXPLAIN_WAITING + 2) as people:
        first = people.submit(explained)
        gate.arrived.acquire(timeout=60)  # it has its turn
        waiting = [people.submit(explained) for _ in range(EXPLAIN_WAITING + 1)]
        # One too many: it is told so while all the others still wait.
        refused, _ = wait(waiting, timeout=60, return_when=FIRST_COMPLETED)
        gate.open.set()
        assert [each.result() for each in refused] == [429]
        assert first.result() == 200
        # On a slow machine the last of the line may wait for longer than EXPLAIN_SECONDS.
        assert {each.result() for each in waiting} == {200, 429}
