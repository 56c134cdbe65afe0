import csv
import json
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

from mappings.settings import PreviewSettings
from mappings.types import Judgement
from reranker.evaluation.judgements import read_judgements
from reranker.fusion import FEATURES
from reranker.understanding import learn_vocabulary
from tests.fakes.preview_products import PRODUCTS
from tests.fakes.preview_shop import ALIAS, PreviewShop
from tests.plugin_api.sidecar.preview.page.conftest import Open, Visit


def explained(visit: Visit, product_id: str) -> dict[str, Any]:
    """What the sidecar says of a hit of the page's last search."""
    body = {
        "index": ALIAS,
        "id": product_id,
        "query": "wireless mouse",
        "search": visit.searches[-2]["query"],
    }
    request = urllib.request.Request(
        f"{visit.url}/_attune/explain", json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        found: dict[str, Any] = json.load(answer)
        return found


def shown(number: float) -> str:
    return f"{number:+.2f}".replace("-", "−").replace("+0.00", "0.00").replace("−0.00", "0.00")


@pytest.fixture
def visit(open_page: Open) -> Visit:
    visit = open_page()
    visit.search("wireless mouse")
    return visit


def test_a_hit_is_explained_in_words_by_cause_and_as_a_map(visit: Visit) -> None:
    found = explained(visit, "mouse-m185")
    visit.explain("mouse-m185")
    dialog = visit.page.locator("#explanation")
    visit.picture("explanation")
    expect(dialog.locator("h2")).to_have_text("Logitech M185 wireless mouse")
    listed = visit.page.locator(
        "#attune .hit[data-id=mouse-m185] .probability [aria-hidden]"
    ).last.inner_text()
    expect(dialog.locator(".headline b")).to_have_text(listed)
    said = dialog.locator(".says li").all_inner_texts()
    assert said[:4] == [
        "Both have it at number 1.",
        "Its keyword score is 100% of the best one, which moves it up.",
        "It is number 1 of the nearest product vectors.",
        "It has every word of the query.",
    ]
    assert any(of.startswith("“mouse” attends most to “mouse” in the title (") for of in said)

    rows = dialog.locator(".causes").first.locator("tbody tr")
    names = rows.locator("th").all_inner_texts()
    assert len(names) == len(set(names)) == len(FEATURES) + 2  # the interaction, the keyword evidence
    effects = rows.locator(".diverging > span:last-child").all_inner_texts()
    causes = [*found["features"], {"log_odds": found["evidence"]["log_odds"]}]
    by_weight = sorted((cause["log_odds"] for cause in causes), key=abs, reverse=True)
    assert effects == [shown(value) for value in by_weight]
    width = rows.first.locator(".axis > span").evaluate("of => of.style.width")
    assert width == "50%"  # the weightiest takes the whole half

    words = dialog.locator(".causes").nth(1).locator("tr").all_inner_texts()
    assert [row.split("\t")[0] for row in words] == ["wireless", "mouse"]
    assert [row.split()[-1] for row in words] == [shown(word["log_odds"]) for word in found["words"]]

    cells = dialog.locator(".map tbody tr").nth(1).locator("td")
    assert dialog.locator(".map .word").all_inner_texts() == [
        of["text"] for of in found["attention"]["product"]
    ]
    weights = found["attention"]["weights"][1]
    assert cells.evaluate_all("all => all.map(of => Number(of.style.getPropertyValue('--heat')))") == weights
    assert cells.nth(weights.index(max(weights))).inner_text() == f"{max(weights) * 100:.0f}"
    dialog.get_by_label("Cosine").check()
    assert cells.nth(3).inner_text() == f"{found['attention']['cosines'][1][3]:.1f}"


def test_a_hit_that_only_vectors_find_is_explained(visit: Visit) -> None:
    visit.explain("mouse-mx")
    said = visit.page.locator("#explanation .says li").all_inner_texts()
    rank = visit.ids("attune").index("mouse-mx") + 1
    assert said[:2] == [
        f"Attune has it at number {rank}; the keyword search does not find it.",
        "It has no keyword score, which moves it down.",
    ]
    assert "It has wireless, not mouse." in said
    assert any(of.startswith("“mouse” attends most to “Mice” in the category") for of in said)


def test_words_that_the_model_reads_in_pieces_are_said_whole(visit: Visit) -> None:
    visit.search("toner for HL-2140")
    visit.explain("toner")
    rows = visit.page.locator("#explanation .map tbody th").all_inner_texts()
    assert rows == ["tone", "r", "for", "H", "L", "-", "214", "0"]
    said = [of for of in visit.page.locator("#explanation .says li").all_inner_texts() if "attends" in of]
    assert [of.split("”")[0] for of in said] == ["“toner", "“for", "“HL-2140"]


def test_an_explanation_says_what_it_does_not_explain(visit: Visit, shop: PreviewShop) -> None:
    shop.hidden = {"description"}
    visit.explain("mouse-m185")
    expect(visit.page.locator("#explanation .notice")).to_contain_text(
        "text of this product that is not shown to you"
    )
    visit.page.keyboard.press("Escape")
    shop.reset()
    shop.models["mouse-m185"] = "0000"
    visit.explain("mouse-m185")
    expect(visit.page.locator("#explanation .notice")).to_contain_text(
        "The index was made with another model"
    )
    visit.page.keyboard.press("Escape")
    shop.reset()
    visit.search("苹果手机")  # which the shipped model can't read
    visit.explain("phone-cn")
    expect(visit.page.locator("#explanation .notice")).to_contain_text("This search was not reranked")


def test_demands_and_corrections_are_shown(open_page: Open, shop: PreviewShop) -> None:
    shop.vocabulary = learn_vocabulary(PRODUCTS).to_text()
    visit = open_page()
    visit.search("black moues under 20")  # until the vocabulary is read, nothing is understood
    visit.explain("mouse-mx")
    visit.page.keyboard.press("Escape")
    visit.search("black moues under 20")
    summary = visit.page.locator("#summary")
    expect(summary).to_contain_text("Ranked by “black mouse under 20” in place of “black moues under 20”.")
    expect(summary).to_contain_text("“black” (colour)")
    visit.explain("mouse-mx")
    visit.picture("demands")
    rows = visit.page.locator("#explanation .demands tr").all_inner_texts()
    said = [row.split("\t")[:2] for row in rows]
    assert ["“black” (colour)", "satisfied"] in said
    assert ["“under 20” (price)", "contradicted"] in said


def test_an_explanation_that_fails_says_so(visit: Visit, shop: PreviewShop) -> None:
    visit.refusals = True
    shop.refuse = {"/_msearch": (403, "security_exception", "no permissions for [indices:data/read/msearch]")}
    visit.page.locator("#attune .hit button[aria-haspopup=dialog]").first.click()
    expect(visit.page.locator("#explanation [role=alert]")).to_contain_text(
        "You may not do this: no permissions"
    )


def test_everything_goes_by_keyboard(open_page: Open, tmp_path: Path) -> None:
    path = tmp_path / "judged.csv"
    visit = open_page(preview=PreviewSettings(judgements=str(path)))
    visit.page.keyboard.type("wireless mouse")
    visit.page.keyboard.press("Enter")
    visit.page.wait_for_selector("#attune .hit")
    visit.settled()
    keys = visit.page.keyboard
    focused = "document.activeElement.closest('.column').id + ' ' + document.activeElement.dataset.id"
    before, after = visit.ids("keyword"), visit.ids("attune")

    keys.press("ArrowDown")
    assert visit.page.evaluate(focused) == f"attune {after[0]}"
    keys.press("j")
    keys.press("ArrowDown")
    assert visit.page.evaluate(focused) == f"attune {after[2]}"
    keys.press("ArrowLeft")
    assert visit.page.evaluate(focused) == f"keyword {after[2]}"
    assert visit.page.locator(".same-product").count() == 2
    keys.press("k")
    assert visit.page.evaluate(focused) == f"keyword {before[before.index(after[2]) - 1]}"
    keys.press("j")

    keys.press("2")
    grades = visit.page.locator(f".hit[data-id={after[2]}] [data-grade='2']")
    for i in range(2):
        expect(grades.nth(i)).to_have_attribute("aria-pressed", "true")
    expect(visit.page.locator("#said")).to_have_text("Judged 2, good")
    expect(visit.page.locator("#judged")).to_contain_text(
        "1 product of this query is judged, saved by the sidecar"
    )
    keys.press("k")
    judged = visit.page.evaluate(focused).split()[1]
    keys.press("0")
    expect(visit.page.locator("#judged")).to_contain_text("2 products")
    keys.press("0")
    expect(visit.page.locator("#said")).to_have_text("Judgement taken back")
    keys.press("3")
    expect(visit.page.locator("#said")).to_have_text("Judged 3, perfect")
    assert read_judgements(path) == [
        Judgement("wireless mouse", after[2], 2), Judgement("wireless mouse", judged, 3),
    ]  # fmt: skip

    keys.press("e")
    visit.page.wait_for_selector("#explanation .map td")
    keys.press("Escape")
    assert visit.page.evaluate(focused) == f"keyword {judged}"
    keys.press("?")
    expect(visit.page.locator("#help")).to_be_visible()
    visit.page.get_by_label("Single keys work").uncheck()
    keys.press("Escape")
    visit.page.locator("#attune .hit").first.focus()
    keys.press("1")
    keys.press("/")
    keys.press("?")
    assert visit.page.evaluate(focused) == f"attune {after[0]}"
    visit.page.evaluate("localStorage.clear()")
    keys.press("/")
    expect(visit.page.locator("#query")).to_be_focused()
    keys.press("End")
    keys.type("/?e")
    expect(visit.page.locator("#query")).to_have_value("wireless mouse/?e")
    keys.press("Escape")
    expect(visit.page.locator("#query")).not_to_be_focused()
    assert len(read_judgements(path)) == 2

    visit.page.reload()
    visit.page.wait_for_selector("#attune .hit")
    visit.settled()
    expect(visit.page.locator(f"#attune .hit[data-id={after[2]}] [aria-pressed=true]")).to_have_text("2")


def test_judgements_in_the_browser_are_taken_along(visit: Visit, tmp_path: Path) -> None:
    visit.page.locator("#attune .hit[data-id=pad] [data-grade='1']").click()
    visit.page.locator("#keyword .hit[data-id=mouse-m185] [data-grade='3']").click()
    expect(visit.page.locator("#judged")).to_contain_text(
        "2 products of this query are judged, kept in this browser"
    )
    visit.search('27" monitor, Dell')
    visit.page.locator("#attune .hit[data-id=monitor] [data-grade='3']").click()
    with visit.page.expect_download() as downloaded:
        visit.page.get_by_role("button", name="Download all 3 as CSV").click()
    assert downloaded.value.suggested_filename == "judgements.csv"
    path = tmp_path / "judgements.csv"
    downloaded.value.save_as(path)
    assert read_judgements(path) == [
        Judgement("wireless mouse", "pad", 1),
        Judgement("wireless mouse", "mouse-m185", 3),
        Judgement('27" monitor, Dell', "monitor", 3),
    ]
    with path.open(encoding="utf-8", newline="") as file:
        assert next(csv.reader(file)) == ["query", "product_id", "grade"]

    visit.page.reload()
    visit.page.wait_for_selector("#attune .hit")
    visit.settled()
    expect(visit.page.locator("#attune .hit[data-id=monitor] [aria-pressed=true]")).to_have_text("3")
    visit.page.once("dialog", lambda dialog: dialog.accept())
    visit.page.get_by_role("button", name="Forget them").click()
    expect(visit.page.locator("[aria-pressed=true]")).to_have_count(0)
    expect(visit.page.locator("#judged")).to_be_empty()


def test_a_judgement_that_is_not_saved_is_said(open_page: Open, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "judged.csv").write_text("query,product_id,grade\n")
    visit = open_page(preview=PreviewSettings(judgements=str(tmp_path / "judged.csv")))
    visit.refusals = True
    visit.search("wireless mouse")
    (tmp_path / "judged.csv").write_text("something else\n")
    visit.page.locator("#attune .hit").first.locator("[data-grade='3']").click()
    expect(visit.page.locator("#judged [role=alert]")).to_contain_text(
        "The judgement was not saved: It failed (500)"
    )
    assert visit.page.locator("[aria-pressed=true]").count() == 0
