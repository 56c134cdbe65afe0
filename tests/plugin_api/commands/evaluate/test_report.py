import re
from html.parser import HTMLParser

import pytest

from plugin_api.commands.evaluate.plots import BOTTOM, LEFT, RIGHT, TOP, change_plots, latency_plot, spans
from plugin_api.commands.evaluate.report import render_report
from reranker.evaluation.comparison import (
    Evaluation,
    RankedList,
    System,
    SystemRun,
    compare_runs,
    pool_judgements,
)

VOID = {"meta", "link", "br", "img"}
HOSTILE = "<b>tv & \"radio\"</b><script>alert('x')</script>"
QUERIES = [f"query {number}" for number in range(7)] + [HOSTILE]


class Page(HTMLParser):
    """Reads a page strictly: every element that opens closes, in order."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


def example(systems: int = 3, queries: int = len(QUERIES)) -> Evaluation:
    grades = {query: {"a": 3, "b": 1, "c": 0} for query in QUERIES[:queries]}
    runs = []
    for number in range(systems):
        trained = frozenset(QUERIES[:2]) if number == 0 else frozenset[str]()
        system = System(f"s{number}", f"System {number}", "0123456789ab" if number == 0 else "", trained)
        rankings = {
            query: RankedList(
                ("a", "b", "c") if (place + number) % (number + 1) == 0 else ("c", "b", "a"),
                (0.9, 0.4, 0.1) if number == 0 else (),
                ms=5.0 * (number + 1) + place,
            )
            for place, query in enumerate(grades)
        }
        runs.append(SystemRun(system, rankings, rankings))
    judged = pool_judgements(grades, None, 50)
    notes = ("System 0 was trained on 2 of these 8 queries",)
    return Evaluation("some/judged.csv", "shop", judged, 0.5, 100, compare_runs(runs, judged, 0.5), notes)


@pytest.fixture(scope="module")
def evaluation() -> Evaluation:
    return example()


@pytest.fixture(scope="module")
def html(evaluation: Evaluation) -> str:
    return render_report(evaluation)


def test_the_page_is_whole_and_asks_for_nothing(html: str) -> None:
    page = Page(html)
    assert not {"script", "link", "img", "iframe"} & {name for name, _ in page.elements}
    assert not [attributes for _, attributes in page.elements if {"src", "href"} & attributes.keys()]
    assert not re.search(r"url\(|@import|https?://", html)
    for number in re.findall(r'\s(?:x|y|width|height|x1|y2|cx|cy)="([^"]*)"', html):
        assert re.fullmatch(r"-?\d+(\.\d+)?", number)


def test_what_shoppers_typed_is_no_markup(html: str) -> None:
    page = Page(html)
    assert HOSTILE in page.text
    assert not page.all("script")


def test_tables_have_every_system_and_mark_trained_ones(html: str) -> None:
    page = Page(html)
    for label in ("System 0", "System 1", "System 2", "shop", "50 products", "model 0123456789ab"):
        assert label in page.text
    badges = [attributes for attributes in page.all("span") if attributes.get("class") == "badge"]
    assert len(badges) == 2  # once under each protocol
    assert "System 0 was trained on 2 of these 8 queries" in page.text


def test_every_query_has_a_bar_in_every_comparison(evaluation: Evaluation, html: str) -> None:
    page = Page(html)
    bars = [a for a in page.all("rect") if a.get("fill") in ("var(--won)", "var(--lost)") and "rx" not in a]
    assert len(bars) == 2 * 2 * len(QUERIES)
    (first, _) = change_plots(evaluation.protocols[0])
    assert [bar.change for bar in first.bars] == sorted(bar.change for bar in first.bars)
    for bar in first.bars:
        assert bar.x >= LEFT
        assert bar.x + bar.width <= RIGHT
        assert TOP - 0.01 <= bar.y <= first.zero
        assert bar.y + bar.height <= BOTTOM + 0.01
        assert (bar.y < first.zero) == (bar.change > 0)


def test_slower_is_further_right_and_better_is_higher(evaluation: Evaluation) -> None:
    plot = latency_plot(evaluation.protocols[0].figures)
    assert plot is not None
    fast, slow = plot.dots[0], plot.dots[1]
    assert fast.x < slow.x
    assert fast.y < slow.y  # SVG counts downwards
    assert fast.high <= fast.y <= fast.low
    assert (fast.first, slow.first) == (True, False)
    assert all(LEFT <= tick.at <= RIGHT for tick in plot.x_ticks)


def test_labels_of_equal_systems_do_not_overlap(evaluation: Evaluation) -> None:
    only = evaluation.protocols[0].figures[0]
    plot = latency_plot([only, only, only])
    assert plot is not None
    assert len({(dot.text_x, dot.text_y) for dot in plot.dots}) == 3


def test_spans_share_a_scale_that_holds_no_change(evaluation: Evaluation) -> None:
    found = spans(evaluation.protocols[0].compared)
    assert len({span.zero for span in found.values()}) == 1
    for span in found.values():
        assert 0 <= span.low <= span.mean <= span.high <= 100


@pytest.mark.parametrize(("systems", "queries"), [(1, 8), (2, 1), (1, 1)])
def test_a_single_system_or_query_still_makes_a_page(systems: int, queries: int) -> None:
    page = Page(render_report(example(systems, queries)))
    assert "inf" not in re.sub(r"[a-z]*inf[a-z]+|[a-z]+inf", "", page.text)
    assert "nan" not in page.text.lower()
