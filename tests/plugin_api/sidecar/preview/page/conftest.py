"""A browser on the preview page of a real sidecar. `TESTS_SCREENSHOTS` names a folder to keep pictures in."""

import os
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page

from mappings.domains import SHOP_DOMAIN
from mappings.settings import (
    DomainSettings,
    ExperimentSettings,
    PictureSettings,
    PreviewSettings,
    Settings,
    ShopperSettings,
    SidecarSettings,
    SpeechSettings,
)
from plugin_api.opensearch.client import OpenSearchClient
from plugin_api.search.pictures.tower import PictureSearchTower
from plugin_api.search.timing import SearchTiming
from plugin_api.sidecar.app import create_app
from reranker.speech.transcriber import Transcriber
from tests.fakes.chromium import open_chromium
from tests.fakes.preview_shop import PreviewShop, other_model, served, shipped_model, stocked_shop


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with open_chromium() as opened:
        yield opened


@pytest.fixture
def shop() -> PreviewShop:
    """The cluster behind the sidecar."""
    return stocked_shop()


@dataclass
class Visit:
    """A page of a sidecar, and what went on in it."""

    page: Page
    url: str
    hosts: set[str] = field(default_factory=set)
    searches: list[dict[str, Any]] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)
    refusals: bool = False  # whether answers of 400 and above are what the test is about

    @property
    def unexpected(self) -> list[str]:
        """Complaints that the test is not about."""
        return [of for of in self.complaints if not (self.refusals and "Failed to load resource" in of)]

    def search(self, text: str) -> None:
        """Type a query, press Enter, and wait for its hits."""
        self.page.locator("#query").fill(text)
        self.page.keyboard.press("Enter")
        self.settled()

    def settled(self) -> None:
        """Wait until hits are shown and no search is under way."""
        self.page.wait_for_selector(".hit, #summary p", state="attached")
        self.page.wait_for_selector("body:not(.searching)")

    def ids(self, column: str) -> list[str]:
        """Ids of the products in a column, from the top."""
        found: list[str] = self.page.locator(f"#{column} .hit").evaluate_all(
            "all => all.map(of => of.dataset.id)"
        )
        return found

    def explain(self, product_id: str, column: str = "attune") -> None:
        """Open a hit's explanation."""
        self.page.locator(f"#{column} .hit[data-id='{product_id}'] button[aria-haspopup=dialog]").click()
        self.page.wait_for_selector("#explanation .map td")

    def explain_picture(self, product_id: str) -> None:
        """Open the explanation of a hit that a picture alone found."""
        self.page.locator(f"#attune .hit[data-id='{product_id}'] button[aria-haspopup=dialog]").click()
        self.page.wait_for_selector("#explanation .causes")

    def picture(self, name: str) -> None:
        """Keep a screenshot where they are wanted."""
        if folder := os.environ.get("TESTS_SCREENSHOTS"):
            self.page.screenshot(path=Path(folder) / f"{name}.png")


Open = Callable[..., Visit]


@pytest.fixture
def open_page(browser: Browser, shop: OpenSearchClient) -> Iterator[Open]:
    """Open the page of a new sidecar: `preview` and `sidecar` are its settings, the rest the browser's.

    At the end no page may have complained in its console, nor asked anything of another host.
    """
    visits: list[Visit] = []
    with ExitStack() as stack:

        def opened(
            preview: PreviewSettings | None = None,
            sidecar: SidecarSettings | None = None,
            address: str = "",
            shoppers: ShopperSettings | None = None,
            experiment: ExperimentSettings | None = None,
            domain: str = SHOP_DOMAIN,
            pictures: PictureSearchTower | None = None,
            transcriber: Transcriber | None = None,
            **context: Any,
        ) -> Visit:
            settings = Settings(
                preview=preview or PreviewSettings(),
                sidecar=sidecar or SidecarSettings(deadline_ms=30_000),
                shoppers=shoppers or ShopperSettings(),
                experiment=experiment or ExperimentSettings(),
                domain=DomainSettings(domain),
                pictures=PictureSettings(search=pictures is not None),
                speech=SpeechSettings(search=transcriber is not None),
            )
            timing = SearchTiming(settle_seconds=0.0)
            app = create_app(
                settings,
                shop,
                shipped_model(),
                [other_model()],
                timing=timing,
                pictures=pictures,
                transcriber=transcriber,
            )
            url = stack.enter_context(served(app))
            viewport = {"width": 1360, "height": 900}
            window: BrowserContext = browser.new_context(
                **{"locale": "en-US", "viewport": viewport, **context}
            )
            stack.callback(window.close)
            visit = Visit(window.new_page(), url)
            visits.append(visit)
            _watch(visit)
            visit.page.set_default_timeout(20_000)
            visit.page.goto(f"{url}/_attune/{address}")
            while any("ERR_NETWORK_CHANGED" in of for of in visit.complaints):  # containers come and go
                visit.complaints.clear()
                visit.page.reload()
            return visit

        yield opened
    for visit in visits:
        assert not visit.unexpected
        assert visit.hosts <= {visit.url}


def _watch(visit: Visit) -> None:
    def noted(message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            visit.complaints.append(message.text)

    def asked(url: str, body: dict[str, Any] | None) -> None:
        host = re.match(r"\w+://[^/]+", url)
        if host:
            visit.hosts.add(host[0])
        if url.endswith("/_search") and body:
            visit.searches.append(body)

    visit.page.on("console", noted)
    visit.page.on("pageerror", lambda error: visit.complaints.append(str(error)))
    visit.page.on("request", lambda of: asked(of.url, of.post_data_json if of.method == "POST" else None))
