"""What came of an experiment, as the page shows it."""

import pytest
from playwright.sync_api import expect

from mappings.settings import ExperimentSettings, ShopperSettings
from plugin_api.shoppers.experiments.tag import ExperimentTag
from tests.fakes.experiment_cluster import KEY, ExperimentCluster
from tests.fakes.preview_shop import stocked_shop
from tests.plugin_api.sidecar.preview.page.conftest import Open

BANDIT = ExperimentSettings("words", "bandit", second="keyword_weight=1.5; user_strength=3")
KEYED = ShopperSettings(key=KEY)


@pytest.fixture
def shop() -> ExperimentCluster:
    return ExperimentCluster(stocked_shop())


def test_the_variants_of_an_experiment_are_shown(open_page: Open, shop: ExperimentCluster) -> None:
    for number in range(6_000):
        variant, propensity = ("first", 0.2) if number % 5 == 0 else ("second", 0.8)
        tag = ExperimentTag("words", variant, propensity=propensity, took_ms=40)
        shop.search(tag, *[("click", "mouse-hp", 1)] * (number % 4 == 0))
    shop.states["words"] = {"stopped": {"third": "more searches are slow"}}
    visit = open_page(experiment=BANDIT, shoppers=KEYED)
    page = visit.page
    page.locator("#experiment-button").click()
    dialog = page.locator("#experiment")
    expect(dialog.locator("h2")).to_have_text("Experiment words")
    expect(dialog).to_contain_text("The third variant is stopped: more searches are slow.")
    expect(dialog).to_contain_text("keyword_weight=1.5")
    first = dialog.locator("[data-variant=first]")
    expect(first).to_contain_text("1,200")
    expect(first).to_contain_text("25%")
    visit.picture("experiment")
    dialog.locator(".close").click()
    page.locator("#language").click()
    page.locator("#experiment-button").click()
    expect(dialog.locator("h2")).to_have_text("实验 words")


def test_an_experiment_without_events_says_so(open_page: Open) -> None:
    visit = open_page(experiment=BANDIT, shoppers=KEYED)
    visit.page.locator("#experiment-button").click()
    expect(visit.page.locator("#experiment")).to_contain_text("No stored event is of this experiment yet.")


def test_without_an_experiment_there_is_no_button(open_page: Open) -> None:
    visit = open_page()
    expect(visit.page.locator("#experiment-button")).to_be_hidden()
