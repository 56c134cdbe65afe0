import io
import json
import time
from dataclasses import replace
from typing import Any

import pytest
from opensearchpy import OpenSearch
from rich.console import Console

from mappings.domains import load_domain
from mappings.settings import PreviewSettings, Settings, ShopperSettings, SidecarSettings
from plugin_api.commands.demo.comparison import AttuneHit
from plugin_api.commands.demo.report import show_personal
from plugin_api.commands.demo.shoppers import (
    DEMO_SHOPPERS,
    DemoShopper,
    PersonalComparison,
    compare_shoppers,
    describe_reason,
    is_personal,
    store_histories,
    with_demo_shoppers,
)
from plugin_api.shoppers.profile_store import unpack_profile
from plugin_api.sidecar.app import create_app
from reranker.behaviour.personal_search import PERSONAL_WEIGHTS
from tests.fakes.memory_connection import ClientRequest, open_client
from tests.fakes.preview_shop import shipped_model
from tests.fakes.profile_shop import KEY, ShopWithProfiles
from tests.fakes.shopper_cluster import ShopperCluster

ANNA = PersonalComparison(
    "anna",
    "prints photos",
    "ink [black]",
    ("Plain ink", "Epson ink"),
    (AttuneHit("Epson ink", 2), AttuneHit("Plain ink", 1)),
    ({"bought": 1.8, "maker": 0.2}, {}),
    (("Epson ink", "you buy it every 4 weeks"),),
)


def test_a_key_and_shoppers_of_the_shops_own_are_kept() -> None:
    demo = with_demo_shoppers(Settings(), load_domain("shop"))
    assert demo.shoppers.key
    assert demo.preview.sample_shoppers == ("anna", "ben", "carla")
    own = Settings(shoppers=ShopperSettings(key="own"), preview=PreviewSettings(shoppers="zoe"))
    assert with_demo_shoppers(own, load_domain("shop")) == own


def test_histories_are_stored_once() -> None:
    cluster = ShopperCluster()
    settings = with_demo_shoppers(Settings(), load_domain("shop"))
    bought = sum(sum(shopper.bought.values()) for shopper in DEMO_SHOPPERS)
    assert store_histories(cluster, settings) == bought
    assert store_histories(cluster, settings) == 0
    profiles = [unpack_profile(source) for source in cluster.sources("attune-users")]
    counts = {product: count for profile in profiles for product, count in profile.bought.items()}
    assert counts.keys() == {product for shopper in DEMO_SHOPPERS for product in shopper.bought}
    assert counts["2246842"].orders == 5
    assert counts["2246842"].gap == 30
    assert time.time() / 86_400 - counts["2246842"].last == pytest.approx(12, abs=1.1)


def test_a_shopper_sees_what_they_buy_first_and_is_recommended_it() -> None:
    shop = ShopWithProfiles()
    shop.remember("dan", "mouse-hp")
    settings = Settings(shoppers=ShopperSettings(key=KEY), sidecar=SidecarSettings(deadline_ms=30_000))
    web = create_app(settings, shop, shipped_model()).test_client()

    def answer(request: ClientRequest) -> tuple[int, Any]:
        response = web.open(
            request.path, method=request.method, data=request.body, content_type="application/json"
        )
        return response.status_code, json.loads(response.data)

    sidecar: OpenSearch = open_client(answer)
    dan = DemoShopper("dan", "buys one every week", "mouse", {"mouse-hp": 5})
    (comparison,) = compare_shoppers(sidecar, shop, settings, [dan])
    title = shop.documents["mouse-hp"]["title"]
    assert comparison.personal[0].title == title
    assert comparison.plain[0] != title
    assert comparison.personal[0].keyword_rank == comparison.plain.index(title) + 1
    assert comparison.reasons[0]["bought"] > 0
    assert comparison.recommended[0] == (title, "you buy it every 7 days")
    assert is_personal([comparison])


def test_the_table_shows_both_rankings_and_why() -> None:
    console = Console(file=io.StringIO(), width=120, highlight=False)
    show_personal(console, ANNA)
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    for part in (
        "ink [black]  for anna, who prints photos",
        "▲1 Epson ink",
        "bought before +1.8, maker +0.2",
    ):
        assert part in shown
    assert "recommended: Epson ink  you buy it every 4 weeks" in shown
    assert not is_personal([replace(ANNA, reasons=({}, {}))])


def test_every_feature_of_behaviour_has_words() -> None:
    features = dict.fromkeys((*PERSONAL_WEIGHTS, "popularity"), 0.5)
    assert len(describe_reason(features).split(", ")) == len(features)


@pytest.mark.parametrize("name", ["finance", "medicine"])
def test_the_demo_of_another_domain_stores_no_events(name: str) -> None:
    assert with_demo_shoppers(Settings(), load_domain(name)).shoppers.key == ""
