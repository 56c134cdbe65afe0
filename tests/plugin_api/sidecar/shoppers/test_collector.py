"""The collector in a real browser, on a page of another origin than the sidecar."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from flask import Flask
from playwright.sync_api import Browser, Page

from mappings.settings import Settings, ShopperSettings
from plugin_api.sidecar.app import create_app
from tests.fakes.chromium import open_chromium
from tests.fakes.preview_shop import served
from tests.fakes.shop import StandInModel
from tests.fakes.shopper_cluster import ShopperCluster

PAGE = """<!doctype html><script src="{sidecar}/_attune/collector.js" data-application="shop"></script>
<ul><li data-attune-id="tea"><b>Tea</b> <button data-attune-action="add_to_cart">Buy</button></li>
<li data-attune-id="milk" data-attune-title="Whole milk">Milk</li></ul><p>Nothing</p>"""

OpenPage = Callable[..., Page]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with open_chromium() as opened:
        yield opened


@pytest.fixture
def cluster() -> ShopperCluster:
    return ShopperCluster()


@pytest.fixture
def open_page(browser: Browser, cluster: ShopperCluster) -> Iterator[OpenPage]:
    """Open the shop's page; `script` runs before the page's own."""
    shop = Flask("shop")
    with served(shop) as address:
        settings = Settings(shoppers=ShopperSettings(key="secret", origins=address))
        with served(create_app(settings, cluster, StandInModel())) as sidecar:
            shop.add_url_rule("/", view_func=lambda: PAGE.format(sidecar=sidecar))
            context = browser.new_context()

            def opened(script: str = "") -> Page:
                page = context.new_page()
                page.set_default_timeout(20_000)
                page.add_init_script(script)
                page.goto(address)
                return page

            yield opened
            context.close()


def _send(page: Page, *actions: Callable[[], object]) -> list[dict[str, Any]]:
    """Return the documents that the page sends after the actions."""
    with page.expect_request_finished(lambda request: request.url.endswith("/_attune/events")) as finished:
        for action in actions:
            action()
    response = finished.value.response()
    assert response is not None
    assert response.status == 200
    documents: list[dict[str, Any]] = finished.value.post_data_json
    return documents


def test_a_search_a_click_and_a_purchase_are_stored_under_a_pseudonym(
    open_page: OpenPage, cluster: ShopperCluster
) -> None:
    page = open_page("window.rests = []; window.setTimeout = (send) => rests.push(send)")
    sent = _send(
        page,
        lambda: page.evaluate("attune.query('te', ['milk'])"),  # typed on before the shopper rested
        lambda: page.evaluate("attune.query('tea', ['milk', 'tea'], {from: 10})"),
        lambda: page.click("li[data-attune-id=tea] b"),
        lambda: page.click("button"),
        lambda: page.click("p"),
        lambda: page.evaluate("attune.event('purchase', ['tea', 'jam'], 'A-17')"),
        lambda: page.evaluate("rests.at(-1)()"),
    )
    query, *events = sent
    assert (query["user_query"], query["query_response_hit_ids"]) == ("tea", ["milk", "tea"])
    said = [
        (event["action_name"], event["event_attributes"], event.get("query_id") == query["query_id"])
        for event in events
    ]
    tea = {"object": {"object_id": "tea"}, "position": {"ordinal": 12}}
    assert said == [
        ("click", tea, True),
        ("add_to_cart", tea, True),
        ("purchase", {**tea, "order_id": "A-17"}, True),
        ("purchase", {"object": {"object_id": "jam"}, "order_id": "A-17"}, False),
    ]
    client = page.evaluate("attune.client")
    assert {document["client_id"] for document in sent} == {client}
    assert {document["application"] for document in sent} == {"shop"}
    assert len(cluster.sources("attune-events-*")) == 4
    assert len(cluster.sources("attune-queries-*")) == 1
    assert client not in str(cluster.documents)


def test_a_title_on_the_page_comes_with_the_click(open_page: OpenPage, cluster: ShopperCluster) -> None:
    page = open_page()
    (event,) = _send(page, lambda: page.click("li[data-attune-id=milk]"))
    assert event["event_attributes"]["object"] == {"object_id": "milk", "description": "Whole milk"}
    (profile,) = cluster.sources("attune-users")
    assert profile["texts"] == ["Whole milk"]


def test_the_next_page_knows_the_search_that_led_to_it(open_page: OpenPage) -> None:
    first = open_page()
    (query,) = _send(first, lambda: first.evaluate("attune.query('tea', ['tea'])"))
    second = open_page()
    (event,) = _send(second, lambda: second.evaluate("attune.event('add_to_cart', 'tea')"))
    assert event["query_id"] == query["query_id"]
    assert event["client_id"] == query["client_id"]


def test_what_waits_is_sent_when_the_page_is_left(open_page: OpenPage, cluster: ShopperCluster) -> None:
    page = open_page("window.setTimeout = () => 0")  # no rest ever comes
    page.click("li[data-attune-id=milk]")
    page.goto("about:blank")
    for _ in range(1_000):  # the browser tells nobody when such a request ends
        if events := cluster.sources("attune-events-*"):
            break
        page.wait_for_timeout(20)
    assert [event["event_attributes"]["object"]["object_id"] for event in events] == ["milk"]


@pytest.mark.parametrize(
    "wish",
    [
        "Object.defineProperty(navigator, 'globalPrivacyControl', {value: true})",
        "Object.defineProperty(navigator, 'doNotTrack', {value: '1'})",
        "addEventListener('DOMContentLoaded', () => attune.optOut())",
    ],
)
def test_who_opts_out_sends_and_stores_nothing(
    open_page: OpenPage, cluster: ShopperCluster, wish: str
) -> None:
    page = open_page(wish)
    sent: list[str] = []
    page.on("request", lambda request: sent.append(request.url))
    page.evaluate("attune.query('tea', ['tea'])")
    page.click("li[data-attune-id=milk]")
    assert page.evaluate("attune.headers") == {"X-Attune-Personal": "off"}
    assert page.evaluate("attune.client") is None
    page.goto("about:blank")
    assert not any("/_attune/" in url for url in sent)
    assert not cluster.documents


def test_who_changes_their_mind_is_somebody_new(open_page: OpenPage) -> None:
    page = open_page()
    (before,) = _send(page, lambda: page.click("li[data-attune-id=tea]"))
    page.evaluate("attune.optOut()")
    page.click("li[data-attune-id=tea]")
    page.evaluate("attune.optOut(false)")
    (after,) = _send(page, lambda: page.click("li[data-attune-id=tea]"))
    assert after["client_id"] != before["client_id"]
    assert page.evaluate("attune.headers") == {}
