"""The page as seen by sample shoppers, beside what everybody sees."""

import pytest
from playwright.sync_api import expect

from mappings.settings import PreviewSettings, ShopperSettings
from tests.fakes.profile_shop import KEY, ShopWithProfiles
from tests.plugin_api.sidecar.preview.page.conftest import Open, Visit

SAMPLES = PreviewSettings(shoppers="anna, ben")
KEYED = ShopperSettings(key=KEY)


@pytest.fixture
def shop() -> ShopWithProfiles:
    shop = ShopWithProfiles()
    shop.remember("anna", "mouse-trackball", "mouse-hp")
    return shop


def _choose(visit: Visit, name: str) -> None:
    visit.page.locator("#shopper").select_option(name)
    visit.page.wait_for_selector("body:not(.searching)")


def test_everybodys_ranking_stands_beside_a_shoppers(open_page: Open) -> None:
    visit = open_page(SAMPLES, shoppers=KEYED)
    visit.search("mouse")
    page = visit.page
    expect(page.locator("#keyword-title")).to_contain_text("Keyword search")
    everybodys = visit.ids("attune")
    _choose(visit, "anna")
    expect(page.locator("#keyword-title")).to_contain_text("Attune, for everybody")
    expect(page.locator("#attune-title")).to_contain_text("Attune, for anna")
    visit.picture("shopper")
    assert visit.ids("keyword") == everybodys
    assert visit.ids("attune")[0] == "mouse-hp"
    assert everybodys[0] != "mouse-hp"
    reason = page.locator("#attune .hit[data-id=mouse-hp] .personal")
    expect(reason).to_contain_text("bought before +")
    expect(page.locator("#keyword .hit[data-id=mouse-hp] .badge").first).to_contain_text("anna: 1")
    assert not page.locator("#keyword .personal").count()
    _choose(visit, "")
    expect(page.locator("#keyword-title")).to_contain_text("Keyword search")
    assert visit.ids("attune") == everybodys


def test_a_shopper_is_recommended_products_with_reasons(open_page: Open) -> None:
    visit = open_page(SAMPLES, shoppers=KEYED)
    page = visit.page
    expect(page.locator("#recommended")).to_be_hidden()
    _choose(visit, "anna")
    first = page.locator(".recommendation").first
    expect(page.locator("#recommended h2")).to_have_text("For anna")
    expect(first.locator(".reason")).to_have_text("you buy it every 7 days")
    assert {
        first.get_attribute("data-id"),
        page.locator(".recommendation").nth(1).get_attribute("data-id"),
    } == {
        "mouse-trackball",
        "mouse-hp",
    }
    visit.picture("recommended")
    page.locator("#recommended select").select_option("trending")
    expect(page.locator("#recommended select")).to_have_value("trending")
    page.locator("#language").click()
    expect(page.locator("#recommended h2")).to_have_text("为 anna 推荐")
    _choose(visit, "")
    expect(page.locator("#recommended")).to_be_hidden()


def test_a_shopper_without_a_history_sees_what_everybody_sees(open_page: Open) -> None:
    visit = open_page(SAMPLES, shoppers=KEYED)
    visit.search("mouse")
    _choose(visit, "ben")
    assert visit.ids("attune") == visit.ids("keyword")


@pytest.mark.parametrize(("preview", "shoppers"), [(SAMPLES, ShopperSettings()), (PreviewSettings(), KEYED)])
def test_without_a_key_or_names_nobody_can_be_chosen(
    open_page: Open, preview: PreviewSettings, shoppers: ShopperSettings
) -> None:
    visit = open_page(preview, shoppers=shoppers)
    visit.search("mouse")
    expect(visit.page.locator("#shopper")).to_be_hidden()
