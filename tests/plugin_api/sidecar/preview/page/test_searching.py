import json
import urllib.request
from typing import Any

import pytest
from playwright.sync_api import Route, expect

from mappings.settings import PreviewSettings, SearchSettings, SidecarSettings
from tests.fakes.preview_products import EDITED
from tests.fakes.preview_shop import ALIAS, SVG, PreviewShop, other_model, shipped_model
from tests.plugin_api.sidecar.preview.page.conftest import Open, Visit


@pytest.fixture
def visit(open_page: Open) -> Visit:
    visit = open_page()
    visit.page.keyboard.type("wireless mouse")  # the search box has the focus
    visit.page.keyboard.press("Enter")
    visit.page.wait_for_selector("#attune .hit")
    visit.settled()
    return visit


def searched(url: str, body: dict[str, Any]) -> list[str]:
    request = urllib.request.Request(
        f"{url}/{ALIAS}/_search", json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        return [hit["_id"] for hit in json.load(answer)["hits"]["hits"]]


def test_both_rankings_stand_side_by_side(visit: Visit) -> None:
    visit.picture("results")
    attune, keyword = visit.searches
    assert keyword["ext"] == {"attune": {"rerank": False}}
    assert "ext" not in attune
    assert attune["query"] == keyword["query"]
    assert visit.ids("attune") == searched(visit.url, attune)
    assert visit.ids("keyword") == searched(visit.url, keyword)[:10]
    assert visit.ids("attune") != visit.ids("keyword")
    left, right = (visit.page.locator(f"#{name}").bounding_box() for name in ("keyword", "attune"))
    assert left is not None
    assert right is not None
    assert left["x"] + left["width"] < right["x"]
    assert left["y"] == right["y"]
    assert visit.page.locator("#attune .hit").first.locator("mark").all_inner_texts() == ["wireless", "mouse"]
    assert "#q=wireless+mouse&index=products" in visit.page.url


def test_what_is_typed_before_the_sidecar_has_answered_waits_for_enter(open_page: Open) -> None:
    visit = open_page()
    held: list[Route] = []
    visit.page.route("**/_attune/preview", lambda of: held.append(of))
    visit.page.reload()
    visit.page.keyboard.type("wireless mouse")
    held[0].continue_()
    visit.page.wait_for_selector("#option-window", state="attached")
    visit.page.wait_for_timeout(300)
    assert not visit.searches
    visit.page.keyboard.press("Enter")
    visit.page.wait_for_selector("#attune .hit")
    visit.settled()
    assert len(visit.searches) == 2  # one for each ranking


def test_what_moved_is_said_on_each_hit(visit: Visit) -> None:
    before, after = visit.ids("keyword"), visit.ids("attune")
    shown = dict(
        zip(after, visit.page.locator("#attune .badge [aria-hidden]").all_inner_texts(), strict=True)
    )
    for rank, product_id in enumerate(after):
        if product_id not in before:
            assert shown[product_id] == "by vectors"
        elif before.index(product_id) == rank:
            assert shown[product_id] == "="
        else:
            by = before.index(product_id) - rank
            assert shown[product_id] == f"{'↑' if by > 0 else '↓'} {abs(by)}"
    assert len(set(shown.values())) > 2
    left = visit.page.locator("#keyword .badge [aria-hidden]").all_inner_texts()
    assert left == [f"Attune: {after.index(product_id) + 1}" for product_id in before]
    expect(visit.page.locator("#summary")).to_contain_text(
        f"{len(set(after) - set(before))} found by vectors"
    )


def test_time_is_shown_by_stage(visit: Visit) -> None:
    stages = visit.page.locator(".timing li").all_inner_texts()
    names = [stage.rsplit(" ", 2)[0] for stage in stages[:-1]]
    assert names == ["encode", "candidates", "score", "page", "the rest"]
    assert all(float(stage.split()[-2]) > 0 for stage in stages[:-1])
    assert "keyword search" in stages[-1]


def test_a_cached_ranking_is_shown_as_such(visit: Visit) -> None:
    first = visit.ids("attune")
    summary = visit.page.locator("#summary")
    expect(summary).not_to_contain_text("ranked by an earlier search")
    visit.search("wireless mouse")
    visit.search("wireless mouse")
    expect(summary).to_contain_text("ranked by an earlier search")
    visit.picture("cached")
    assert visit.ids("attune") == first
    stages = visit.page.locator(".timing li").all_inner_texts()
    assert [stage.rsplit(" ", 2)[0] for stage in stages[:-1]] == ["page", "the rest"]


def test_filters_hold_for_both_rankings(visit: Visit, shop: PreviewShop) -> None:
    visit.page.get_by_role("checkbox", name="Logitech").check()
    expect(visit.page.locator("#facets summary")).to_contain_text("(1)")
    visit.settled()
    for column in ("keyword", "attune"):
        brands = {shop.documents[product_id]["brand"] for product_id in visit.ids(column)}
        assert brands == {"Logitech"}
    for search in visit.searches[-2:]:
        assert search["query"]["bool"]["filter"] == [{"terms": {"brand.keyword": ["Logitech"]}}]
    expect(visit.page.get_by_role("checkbox", name="Logitech")).to_be_focused()

    visit.page.get_by_label("Price to").fill("20")
    visit.page.keyboard.press("Tab")
    expect(visit.page.locator("#facets summary")).to_contain_text("(2)")
    visit.settled()
    assert visit.searches[-1]["query"]["bool"]["filter"][1] == {"range": {"price": {"lte": 20}}}
    assert all(shop.documents[product_id]["price"] <= 20 for product_id in visit.ids("attune"))

    visit.page.get_by_role("button", name="Clear filters (2)").click()
    visit.settled()
    assert visit.searches[-1]["query"]["bool"]["filter"] == []


def test_attributes_are_filters_too(visit: Visit, shop: PreviewShop) -> None:
    visit.page.get_by_role("checkbox", name="Grey").check()
    visit.settled()
    expect(visit.page.locator("#facets summary")).to_contain_text("(1)")
    assert visit.searches[-1]["query"]["bool"]["filter"] == [{"terms": {"facets": ["colour=Grey"]}}]
    assert {shop.documents[product_id]["attributes"]["colour"] for product_id in visit.ids("attune")} == {
        "Grey"
    }


def test_options_go_with_the_search(visit: Visit) -> None:
    visit.page.get_by_role("button", name="Options").click()
    for name, value in (("window", "3"), ("keyword_weight", "0.5"), ("click_weight", "1.5")):
        slider = visit.page.locator(f"#option-{name}")
        slider.evaluate("(of, to) => { of.value = to; of.dispatchEvent(new Event('input')); }", value)
        slider.dispatch_event("change")
    visit.page.get_by_label("Vectors in the first stage").press("ArrowRight")
    visit.page.get_by_label("Hits shown").select_option("20")
    expect(visit.page.locator("#summary")).to_contain_text("best 3")
    visit.settled()
    assert visit.searches[-2]["ext"]["attune"] == {
        "window": 3, "keyword_weight": 0.5, "click_weight": 1.5, "vector_weight": 0.45,
    }  # fmt: skip
    assert visit.searches[-2]["size"] == 20

    visit.page.reload()
    visit.settled()
    assert visit.searches[-2]["ext"]["attune"]["window"] == 3
    visit.page.get_by_role("button", name="Options").click()
    visit.picture("options")
    visit.page.get_by_role("button", name="Back to the settings").click()
    expect(visit.page.locator("#summary")).not_to_contain_text("best 3 ")
    visit.settled()
    assert "ext" not in visit.searches[-2]


def test_another_model_is_a_choice(visit: Visit) -> None:
    visit.page.get_by_role("button", name="Options").click()
    visit.page.get_by_label("Model").select_option(other_model().version)
    expect(visit.page.locator("#summary")).to_contain_text("Other model: OpenSearch's order")
    expect(visit.page.locator("#summary")).to_contain_text(
        f"index products-1 was made with model {shipped_model().version}, not {other_model().version}: "
    )
    visit.settled()
    assert visit.searches[-2]["ext"]["attune"] == {"model": other_model().version}
    assert visit.ids("attune") == visit.ids("keyword")
    assert visit.page.locator(".probability").count() == 0  # a BM25 score is none
    kept = {"model": "gone", "size": 10, "template": ""}  # of a model that is no longer loaded
    visit.page.evaluate("kept => localStorage.setItem('attune.options', JSON.stringify(kept))", kept)
    visit.page.reload()
    visit.page.wait_for_selector("#summary .reranked")
    assert "ext" not in visit.searches[-2]


def test_the_shops_own_query_is_compared(visit: Visit) -> None:
    visit.page.get_by_role("button", name="Options").click()
    own = visit.page.get_by_label("Query of your shop (JSON)")
    own.fill('{"query": {"match": {"title": "%SearchText%"}}}')
    own.blur()
    visit.settled()
    assert visit.searches[-1]["query"]["bool"]["must"] == [{"match": {"title": "wireless mouse"}}]
    assert visit.searches[-2]["ext"]["attune"] == {"query": "wireless mouse"}
    visit.search('27" monitor')
    assert visit.searches[-1]["query"]["bool"]["must"] == [{"match": {"title": '27" monitor'}}]
    own.fill("{")
    own.blur()
    expect(visit.page.get_by_role("alert")).to_contain_text("The query of your shop is not JSON")


def test_indexes_are_offered(visit: Visit) -> None:
    visit.page.get_by_role("button", name="Options").click()
    visit.page.wait_for_selector("#indexes option", state="attached")
    offered = visit.page.locator("#indexes option").evaluate_all("all => all.map(of => of.value)")
    assert offered == ["products", "products-1"]


def test_back_and_a_link_show_the_search(visit: Visit, open_page: Open) -> None:
    first = visit.ids("attune")
    visit.search("notebook for gaming")
    assert visit.ids("attune") != first
    visit.page.go_back()
    expect(visit.page.locator("#query")).to_have_value("wireless mouse")
    expect(visit.page.locator("#attune .hit").first).to_have_attribute("data-id", first[0])
    linked = open_page(address="#q=wireless+mouse&index=products-1")
    linked.page.wait_for_selector("#attune .hit")
    linked.settled()
    assert linked.ids("attune") == first


def test_only_pictures_of_named_hosts_are_loaded(open_page: Open, shop: PreviewShop) -> None:
    visit = open_page()
    visit.search("wireless mouse")
    for product_id, letter in (("mouse-m185", "L"), ("receiver", "U")):
        expect(visit.page.locator(f"#attune .hit[data-id={product_id}] .picture")).to_have_text(letter)
    assert visit.page.locator(".hit img").count() == 0
    assert not [path for _, path, _, _ in shop.requests if path.startswith("/pictures")]

    other = open_page(preview=PreviewSettings(image_hosts="https://images.example"))
    other.page.route(
        "https://images.example/mx.jpg", lambda of: of.fulfill(content_type="image/svg+xml", body=SVG)
    )
    other.page.route("https://images.example/hp.jpg", lambda of: of.fulfill(status=200, body="no picture"))
    other.search("wireless mouse")
    shown = other.page.locator("#attune .hit[data-id=mouse-mx] img")
    shown.scroll_into_view_if_needed()
    expect(other.page.locator("#attune .hit[data-id=mouse-mx] .picture")).to_have_text("")
    assert shown.evaluate("of => of.naturalWidth") > 0
    expect(other.page.locator("#attune .hit[data-id=mouse-hp] .picture")).to_have_text("H")
    expect(other.page.locator("#attune .hit[data-id=mouse-hp] img")).to_have_count(0)
    assert other.hosts == {other.url, "https://images.example"}
    other.hosts.discard("https://images.example")


def test_markup_in_the_catalogue_is_text(open_page: Open) -> None:
    visit = open_page()
    visit.search("title that looks like markup")
    card = visit.page.locator("#attune .hit[data-id=edited]")
    expect(card.locator("h3")).to_have_text(EDITED)
    expect(card).to_contain_text("<b>Brand</b>")
    visit.explain("edited")
    expect(visit.page.locator("#explanation h2")).to_have_text(EDITED)


def test_nothing_found_is_said(open_page: Open) -> None:
    visit = open_page()
    visit.search("wireless mouse")
    visit.page.get_by_label("Price from").fill("100000")
    visit.page.keyboard.press("Tab")
    expect(visit.page.locator("#summary")).to_contain_text("Nothing found with these filters.")
    expect(visit.page.get_by_role("button", name="Clear filters (1)")).to_be_visible()


@pytest.mark.parametrize(
    ("refusal", "said"),
    [
        (
            (403, "security_exception", "no permissions for [indices:data/read/search]"),
            "You may not do this: no perm",
        ),
        ((429, "rejected_execution_exception", "busy"), "Too busy just now. Try again."),
        (
            (400, "search_phase_execution_exception", "too many clauses"),
            "OpenSearch can't run this query: too many",
        ),
        ((500, "broken", "a shard is lost"), "It failed (500): a shard is lost"),
    ],
)
def test_refusals_are_said_in_words(
    open_page: Open, shop: PreviewShop, refusal: tuple[int, str, str], said: str
) -> None:
    visit = open_page()
    visit.refusals = True
    shop.refuse = {"/_search": refusal, "/_msearch": refusal}
    visit.search("wireless mouse")
    expect(visit.page.get_by_role("alert")).to_contain_text(said)
    shop.refuse = {}
    visit.page.get_by_role("button", name="Search", exact=True).click()
    visit.page.wait_for_selector("#attune .hit")


def test_an_index_that_is_not_there(open_page: Open) -> None:
    visit = open_page(address="#q=mouse&index=nothing")
    visit.refusals = True
    expect(visit.page.get_by_role("alert")).to_have_text("There is no index or alias nothing.")


def test_a_key_and_a_password_are_asked_for(open_page: Open, shop: PreviewShop) -> None:
    shop.password = "Basic w6R0dHVuZTpnZWhlaW0="  # ättune:geheim
    visit = open_page(sidecar=SidecarSettings(deadline_ms=30_000, api_keys="the-key"))
    visit.refusals = True
    dialog = visit.page.locator("#sign-in")
    for key, said in (("wrong", "The sidecar asks for an API key"), ("the-key", "That key was not taken")):
        expect(dialog).to_contain_text(said)
        visit.page.get_by_label("Key", exact=True).fill(key)
        visit.page.keyboard.press("Enter")
    expect(dialog).not_to_be_visible()
    visit.page.locator("#query").fill("wireless mouse")
    visit.page.keyboard.press("Enter")
    for password, said in (("wrong", "Searches run as you"), ("geheim", "That was not taken")):
        expect(dialog).to_contain_text(said)
        visit.page.get_by_label("Name", exact=True).fill("ättune")
        visit.page.get_by_label("Password", exact=True).fill(password)
        visit.page.keyboard.press("Enter")
    visit.page.wait_for_selector("#attune .hit")
    visit.settled()
    visit.explain("mouse-m185")  # by both
    kept = visit.page.evaluate("JSON.stringify([{...localStorage}, {...sessionStorage}])")
    assert "the-key" in kept
    assert "w6R0dHVuZTpnZWhlaW0=" not in kept


def test_a_slider_keeps_the_focus_while_searches_go_on(visit: Visit) -> None:
    visit.page.get_by_role("button", name="Options").click()
    slider, weight = visit.page.get_by_label("Keyword evidence"), SearchSettings().keyword_weight
    for pressed in range(1, 4):
        slider.press("ArrowLeft")
        expect(visit.page.locator("output[for=option-keyword_weight]")).to_have_text(
            f"{weight - pressed / 10:.1f}"
        )
        visit.settled()
        expect(slider).to_be_focused()
    assert visit.searches[-2]["ext"]["attune"] == {"keyword_weight": pytest.approx(weight - 0.3)}
