"""What a domain adds to the page: its wording, and clients as whom it searches."""

from pathlib import Path

from playwright.sync_api import expect

from mappings.domains import load_domain
from tests.plugin_api.sidecar.preview.page.conftest import Open


def test_the_page_has_the_domains_wording_and_searches_for_its_clients(open_page: Open) -> None:
    visit, domain = open_page(domain="finance"), load_domain("finance")
    page, client = visit.page, domain.demo.clients[0]
    expect(page.locator("#page-title")).to_have_text(domain.page.title)
    expect(page.locator("#domain-notice")).to_have_text(domain.page.notice)
    expect(page.locator("#query")).to_have_attribute("placeholder", domain.page.placeholder)
    visit.search("mouse")
    assert all("client" not in search.get("ext", {}).get("attune", {}) for search in visit.searches)
    visit.searches.clear()
    visit.refusals = True  # the shop of these tests has no risk classes
    page.locator("#client").select_option(client.name)
    visit.settled()
    visit.picture("client")
    assert visit.searches
    assert all(search["ext"]["attune"]["client"] == client.values for search in visit.searches)


def test_a_shops_page_has_no_clients_and_no_notice(open_page: Open) -> None:
    page = open_page().page
    page.wait_for_selector("#page-title")
    expect(page.locator("#client")).to_be_hidden()
    expect(page.locator("#domain-notice")).to_be_hidden()


def test_every_hit_says_where_its_facts_are_from(open_page: Open, tmp_path: Path) -> None:
    (tmp_path / "domain.toml").write_text('[page]\nevidence = "brand"\n', encoding="utf-8")
    visit = open_page(domain=str(tmp_path))
    visit.search("mouse")
    hits = visit.page.locator("#attune .hit")
    assert hits.count() > 0
    expect(visit.page.locator("#attune .hit .evidence")).to_have_count(hits.count())
    assert all(visit.page.locator("#attune .hit .evidence").all_inner_texts())


def test_a_shops_hits_have_no_evidence(open_page: Open) -> None:
    visit = open_page()
    visit.search("mouse")
    expect(visit.page.locator(".evidence")).to_have_count(0)
