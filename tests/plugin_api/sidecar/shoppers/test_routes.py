import json

import pytest
from flask.testing import FlaskClient

from mappings.settings import Settings, ShopperSettings, SidecarSettings
from plugin_api.sidecar.app import create_app
from tests.fakes.shop import StandInModel
from tests.fakes.shopper_cluster import ShopperCluster

CLICK = {"action_name": "click", "client_id": "c1", "event_attributes": {"object": {"object_id": "tea"}}}


def _web(cluster: ShopperCluster, keys: str = "", **shoppers: object) -> FlaskClient:
    own = ShopperSettings(**{"key": "secret", **shoppers})  # type: ignore[arg-type]
    settings = Settings(shoppers=own, sidecar=SidecarSettings(api_keys=keys))
    return create_app(settings, cluster, StandInModel()).test_client()


@pytest.fixture
def cluster() -> ShopperCluster:
    return ShopperCluster()


def test_events_are_stored(cluster: ShopperCluster) -> None:
    response = _web(cluster).post("/_attune/events", json=[CLICK, {"action_name": "click"}])
    assert response.status_code == 200
    assert response.json is not None
    assert (response.json["stored"], response.json["duplicates"]) == (1, 0)
    assert response.json["rejected"] == [{"place": 1, "reason": "neither client_id nor user_id"}]
    assert len(cluster.sources("attune-events-*")) == 1


def test_a_beacon_is_one_document_of_any_content_type(cluster: ShopperCluster) -> None:
    beacon = _web(cluster).post("/_attune/events", data=json.dumps(CLICK), content_type="text/plain")
    assert beacon.json is not None
    assert beacon.json["stored"] == 1


@pytest.mark.parametrize("header", [("Sec-GPC", "1"), ("DNT", "1"), ("X-Attune-Personal", "off")])
def test_who_opts_out_is_not_stored(cluster: ShopperCluster, header: tuple[str, str]) -> None:
    response = _web(cluster).post("/_attune/events", json=CLICK, headers=[header])
    assert response.json == {"stored": 0, "duplicates": 0, "rejected": [], "opted_out": True}
    assert not cluster.requests


@pytest.mark.parametrize("body", [b"{", b"3", b"[1]", b"\xff"])
def test_bodies_that_are_no_documents_are_refused(cluster: ShopperCluster, body: bytes) -> None:
    assert _web(cluster).post("/_attune/events", data=body).status_code == 400


def test_only_broken_documents_are_a_bad_request(cluster: ShopperCluster) -> None:
    assert _web(cluster).post("/_attune/events", json=[{}]).status_code == 400


def test_too_many_events_are_refused(cluster: ShopperCluster) -> None:
    web = _web(cluster, events_per_minute=2)
    assert web.post("/_attune/events", json=[CLICK, {**CLICK, "query_id": "2"}]).status_code == 200
    assert web.post("/_attune/events", json=CLICK).status_code == 429


def test_without_a_key_nothing_is_stored(cluster: ShopperCluster) -> None:
    response = _web(cluster, key="").post("/_attune/events", json=CLICK)
    assert response.status_code == 400
    assert "shoppers.key" in response.get_data(as_text=True)
    assert not cluster.sources("attune-*")


def test_pages_of_the_shop_may_send_events_without_an_api_key(cluster: ShopperCluster) -> None:
    web = _web(cluster, "k1", origins="https://shop.example.com")
    allowed = web.post("/_attune/events", json=CLICK, headers={"Origin": "https://shop.example.com"})
    assert allowed.status_code == 200
    assert allowed.headers["Access-Control-Allow-Origin"] == "https://shop.example.com"
    other = web.post("/_attune/events", json=CLICK, headers={"Origin": "https://evil.example.com"})
    assert "Access-Control-Allow-Origin" not in other.headers
    before = web.options("/_attune/events", headers={"Origin": "https://shop.example.com"})
    assert before.status_code == 200
    assert before.headers["Access-Control-Allow-Methods"] == "POST"
    assert web.delete("/_attune/users/c1").status_code == 401


def test_the_collector_is_small_and_for_every_page(cluster: ShopperCluster) -> None:
    web = _web(cluster, "k1")
    response = web.get("/_attune/collector.js")
    assert response.status_code == 200
    assert response.mimetype == "text/javascript"
    assert response.headers["Cross-Origin-Resource-Policy"] == "cross-origin"
    assert len(response.data) < 3_000
    again = web.get("/_attune/collector.js", headers={"If-None-Match": response.headers["ETag"]})
    assert again.status_code == 304


def test_a_shopper_is_forgotten(cluster: ShopperCluster) -> None:
    web = _web(cluster)
    web.post("/_attune/events", json=CLICK)
    response = web.delete("/_attune/users/c1")
    assert response.json == {
        "profiles_removed": 1,
        "events_removed": 1,
        "queries_removed": 0,
        "documents_left": 0,
    }
    assert not cluster.sources("attune-*")


@pytest.mark.parametrize(
    ("call", "reason"),
    [
        ({"kind": "guess"}, "guess"),
        ({"size": 0}, "size"),
        ({"colour": 1}, "colour"),
        ({"index": "a,b"}, "index"),
        ({"kind": "similar"}, "needs `products`"),
    ],
)
def test_broken_calls_say_what_is_wrong(
    cluster: ShopperCluster, call: dict[str, object], reason: str
) -> None:
    response = _web(cluster).post("/_attune/recommend", json=call)
    assert response.status_code == 400
    assert reason in response.get_data(as_text=True)


def test_unknown_parameters_of_a_get_are_refused(cluster: ShopperCluster) -> None:
    assert _web(cluster).get("/_attune/recommend?colour=red").status_code == 400


@pytest.mark.parametrize("path", ["/_attune/events", "/_attune/recommend"])
def test_bodies_of_too_many_values_are_refused_before_they_are_read(
    cluster: ShopperCluster, path: str
) -> None:
    response = _web(cluster).post(path, data=json.dumps({"products": [[]] * 400_000}))
    assert response.status_code == 400
    assert "more than 300000 values" in response.get_data(as_text=True)
