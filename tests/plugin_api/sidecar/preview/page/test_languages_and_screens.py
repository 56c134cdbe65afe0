import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from mappings.settings import SidecarSettings
from plugin_api.search.reasons import Reason, RerankStatus
from reranker.behaviour.personal_search import PERSONAL_WEIGHTS
from reranker.fusion import FEATURES, HEADS
from reranker.understanding.demands import KINDS
from tests.fakes.preview_shop import other_model
from tests.plugin_api.sidecar.preview.page.conftest import Open

STRINGS = Path(__file__).parents[5] / "plugin_api/sidecar/preview/static/strings.js"
PHONE = {
    "viewport": {"width": 390, "height": 844}, "is_mobile": True, "has_touch": True, "device_scale_factor": 2,
}  # fmt: skip

OVERFLOWING = """() => {
  const screens = [document.documentElement, ...document.querySelectorAll("dialog[open]")];
  return screens.some((of) => of.scrollWidth > of.clientWidth);
}"""

SMALL_TARGETS = """() => [...document.querySelectorAll("button, select, summary, input, textarea")]
  .map((of) => of.matches("[type=checkbox], [type=radio]") ? of.closest("label") : of)
  .filter((of) => of.checkVisibility() && !of.matches("[type=range]"))
  .map((of) => [of.outerHTML.slice(0, 70), of.getBoundingClientRect()])
  .filter(([, box]) => box.height < 43.5 || box.width < 43.5)
  .map(([of, box]) => `${of} ${box.width}x${box.height}`)"""

FAINT = """() => {
  const context = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const over = (colours) => {
    for (const colour of colours) { context.fillStyle = colour; context.fillRect(0, 0, 1, 1); }
    return [...context.getImageData(0, 0, 1, 1).data].slice(0, 3);
  };
  const linear = (of) => of <= 0.04045 ? of / 12.92 : ((of + 0.055) / 1.055) ** 2.4;
  const light = ([r, g, b]) => 0.2126 * linear(r / 255) + 0.7152 * linear(g / 255) + 0.0722 * linear(b / 255);
  const faint = new Set();
  const walker = document.createTreeWalker(document.querySelector("dialog[open]") ?? document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const text = walker.currentNode.textContent.trim(), at = walker.currentNode.parentElement;
    if (!text || !at.checkVisibility() || at.closest(".unseen, .skip, option, noscript")) continue;
    const grounds = [];
    for (let of = at; of; of = of.parentElement) grounds.unshift(getComputedStyle(of).backgroundColor);
    const ground = light(over(["white", ...grounds]));
    const ink = light(over([getComputedStyle(at).color]));
    const contrast = (Math.max(ground, ink) + 0.05) / (Math.min(ground, ink) + 0.05);
    if (contrast < 4.5) faint.add(`${contrast.toFixed(2)} ${at.tagName} ${at.className} ${text.slice(0, 30)}`);
  }
  return [...faint];
}"""  # noqa: E501

NAMELESS = """() => {
  const named = (of) => of.ariaLabel || of.textContent.trim() || [...(of.labels ?? [])].some((of) => of.textContent.trim());
  const controls = [...document.querySelectorAll("button, a, input, select, textarea, dialog[open], section.column")];
  const at = (of) => document.getElementById(of.getAttribute("aria-labelledby"))?.textContent;
  const ids = [...document.querySelectorAll("[id]")].map((of) => of.id);
  return [
    ...controls.filter((of) => of.checkVisibility() && !named(of) && !at(of)).map((of) => of.outerHTML.slice(0, 80)),
    ...ids.filter((id, i) => ids.indexOf(id) !== i),
  ];
}"""  # noqa: E501

OWN_WORDS = """() => {
  const copy = document.body.cloneNode(true);
  const shops = ".what h3, .what .soft, .letter, #facets span, legend, small, .skip, script, noscript";
  for (const of of copy.querySelectorAll(shops)) of.remove();
  const labels = [...document.querySelectorAll("[aria-label]:not(.hit, .hit *)")];
  return copy.textContent + labels.map((of) => of.getAttribute("aria-label"));
}"""


def words(text: str) -> set[str]:
    return set(re.findall(r"(?<![A-Za-z0-9])[A-Za-z]{3,}(?![A-Za-z0-9])", text))  # no part of a version


def strings(language: str) -> dict[str, str]:
    block = STRINGS.read_text(encoding="utf-8").split(f"  {language}: {{")[1].split("\n  },")[0]
    return dict(re.findall(r'(?:^|[ ,])([a-z]\w*): "((?:[^"\\]|\\.)*)"', block))


def test_both_languages_have_the_same_strings() -> None:
    english, chinese = strings("en"), strings("zh")
    assert len(english) > 150
    assert english.keys() == chinese.keys()
    for key, text in english.items():
        places = set(re.findall(r"{\w+}", text))
        assert set(re.findall(r"{\w+}", chinese[key])) == places, key


def test_whatever_the_sidecar_may_say_has_words() -> None:
    wanted = {
        *(f"feature_{name}" for name in (*FEATURES, "interaction", "keyword")),
        *(f"head_{name}" for name in HEADS),
        *(f"personal_{name}" for name in (*PERSONAL_WEIGHTS, "popularity")),
        *(f"status_{status.value}" for status in RerankStatus),
        *(f"reason_{reason.value}" for reason in Reason),
        *(f"not_{why}" for why in ("no_vectors", "other_model", "other_text", "same", "reranked")),
        *(f"kind_{kind}" for kind in KINDS),
        *(f"outcome_{outcome}" for outcome in ("satisfied", "near", "contradicted", "unknown")),
        *(f"field_{name}" for name in ("title", "brand", "category", "description", "attributes", "other")),
    }
    assert wanted <= strings("en").keys()


def test_every_string_is_used_and_every_used_one_is_there() -> None:
    english = strings("en").keys()
    code = "".join(
        path.read_text(encoding="utf-8")
        for path in STRINGS.parent.iterdir()
        if path.suffix in (".js", ".html") and path != STRINGS
    )
    literal = set(re.findall(r'\bt\("(\w+)"', code)) | set(re.findall(r'data-t(?:-\w+)?="(\w+)"', code))
    assert literal <= english
    built = (*re.findall(r"t\(`(\w+_)\$\{", code), "keyword_column", "attune_column")
    named = set(re.findall(r'"(\w+)"', code))
    assert {key for key in english - named if not key.startswith(built)} == set()


def test_chinese_is_for_whoever_reads_it_and_a_choice_for_all(open_page: Open) -> None:
    visit = open_page(locale="zh-CN")
    expect(visit.page.locator("html")).to_have_attribute("lang", "zh-CN")
    visit.search("wireless mouse")
    visit.page.get_by_role("button", name="选项").click()
    visit.picture("chinese")
    shop = {
        "Attune",
        "OpenSearch",
        "JSON",
        "SearchText",
        "products",
        "wireless",
        "mouse",
        "Switch",
        "English",
    }
    assert words(visit.page.evaluate(OWN_WORDS)) <= shop
    visit.explain("mouse-m185")
    visit.picture("chinese explanation")
    said = visit.page.locator("#explanation").locator("h3, .says, p, .causes thead, .causes tbody th")
    assert words(" ".join(said.all_inner_texts())) <= {"mouse", "wireless", "Wireless"}
    visit.page.keyboard.press("Escape")
    visit.page.get_by_role("button", name="Switch to English").click()
    expect(visit.page.get_by_role("button", name="Options")).to_be_visible()
    expect(visit.page.locator("#attune-title")).to_contain_text("8 hits")
    visit.page.reload()
    expect(visit.page.locator("html")).to_have_attribute("lang", "en")


def test_why_not_is_said_in_chinese_too(open_page: Open) -> None:
    visit = open_page(locale="zh-CN")
    visit.search("苹果手机")
    expect(visit.page.locator("#summary .notice")).to_contain_text("模型不认识此查询的大部分内容")
    visit.page.get_by_role("button", name="选项").click()
    visit.page.get_by_label("模型").select_option(other_model().version)
    visit.search("wireless mouse")
    expect(visit.page.locator("#summary .notice")).to_contain_text("索引由另一个模型生成")
    late = open_page(locale="zh-CN", sidecar=SidecarSettings(deadline_ms=1))
    late.search("wireless mouse")
    expect(late.page.locator("#summary .notice")).to_contain_text("期限")


def test_everything_has_a_name(open_page: Open) -> None:
    visit = open_page()
    assert visit.page.evaluate(NAMELESS) == []
    visit.search("wireless mouse")
    visit.page.get_by_role("button", name="Options").click()
    assert visit.page.evaluate(NAMELESS) == []
    visit.explain("mouse-m185")
    assert visit.page.evaluate(NAMELESS) == []


def fits(page: Page) -> None:
    """Nothing is cut off at the side, and everything can be hit with a thumb."""
    assert not page.evaluate(OVERFLOWING)
    assert page.evaluate(SMALL_TARGETS) == []


@pytest.mark.parametrize("locale", ["en-US", "zh-CN"])
def test_a_phone(open_page: Open, locale: str) -> None:
    visit = open_page(locale=locale, **PHONE)
    fits(visit.page)
    visit.search("wireless mouse")
    visit.picture(f"phone {locale}")
    fits(visit.page)
    expect(visit.page.locator("#attune")).to_be_visible()
    expect(visit.page.locator("#keyword")).to_be_hidden()
    visit.page.locator("#view label").first.tap()
    expect(visit.page.locator("#attune")).to_be_hidden()
    expect(visit.page.locator("#keyword .hit").first).to_be_visible()
    visit.page.locator("#view label").last.tap()
    visit.page.locator("#facets summary").tap()
    fits(visit.page)
    visit.page.locator("#facets label", has_text="Logitech").tap()
    expect(visit.page.locator("#facets summary")).to_contain_text("(1)")
    visit.settled()
    fits(visit.page)
    visit.page.locator("#facets summary").tap()
    visit.page.locator("#attune .hit").first.locator("[data-grade='3']").tap()
    expect(visit.page.locator("#attune [aria-pressed=true]")).to_have_text("3")
    fits(visit.page)
    visit.page.locator("#options-button").tap()
    fits(visit.page)
    visit.page.locator("#options-button").tap()
    visit.page.locator("#attune .hit button[aria-haspopup=dialog]").first.tap()
    visit.page.wait_for_selector("#explanation .map td")
    visit.picture(f"phone explanation {locale}")
    fits(visit.page)
    visit.page.locator("#explanation .close").tap()
    visit.page.locator("#help-button").tap()
    fits(visit.page)


@pytest.mark.parametrize("width", [320, 768, 1024, 2560])
def test_other_screens(open_page: Open, width: int) -> None:
    visit = open_page(viewport={"width": width, "height": 700})
    visit.search("AA batteries for wireless mouse")
    visit.page.get_by_role("button", name="Options").click()
    assert not visit.page.evaluate(OVERFLOWING)
    visit.explain("battery")
    assert not visit.page.evaluate(OVERFLOWING)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_all_text_can_be_read(open_page: Open, scheme: str) -> None:
    visit = open_page(color_scheme=scheme)
    assert visit.page.evaluate(FAINT) == []
    visit.search("wireless mouse")
    visit.page.locator("#attune .hit").first.locator("[data-grade='3']").click()
    visit.page.get_by_role("button", name="Options").click()
    visit.picture(f"results {scheme}")
    assert visit.page.evaluate(FAINT) == []
    for product_id in ("mouse-m185", "mouse-mx"):
        visit.explain(product_id)
        visit.picture(f"explanation {scheme} {product_id}")
        assert visit.page.evaluate(FAINT) == []
        visit.page.get_by_label("Cosine").check()
        assert visit.page.evaluate(FAINT) == []
        visit.page.keyboard.press("Escape")
    visit.search("苹果手机")
    assert visit.page.evaluate(FAINT) == []


def test_no_motion_where_none_is_wanted(open_page: Open) -> None:
    visit = open_page(reduced_motion="reduce")
    assert visit.page.locator("main").evaluate("of => getComputedStyle(of).transitionDuration") == "0s"
