import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from plugin_api.commands.evaluate.plots import draw_changes, draw_latency
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
    for _, attributes in page.elements:
        assert "src" not in attributes
        assert (attributes.get("href") or "#").startswith("#")
    assert not re.search(r"url\((?!#)|@import|https?://", html)
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))


def test_the_same_figures_make_the_same_page(html: str) -> None:
    assert render_report(example()) == html


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


def test_every_query_has_a_bar_in_every_comparison(evaluation: Evaluation) -> None:
    protocol = evaluation.protocols[0]
    plots = draw_changes(protocol)
    assert plots.keys() == protocol.compared.keys()
    for name, plot in plots.items():
        changes = protocol.compared[name].changes.values()
        won, lost = (plot.count(f"fill: var(--{side})") for side in ("won", "lost"))
        assert won == sum(change > 0 for change in changes)
        assert won + lost == len(QUERIES)


def test_latency_names_every_system_once(evaluation: Evaluation) -> None:
    figures = evaluation.protocols[0].figures
    plot = draw_latency(figures)
    assert plot is not None
    for found in figures:
        assert plot.count(f">{found.system.label}: ") == 1
    assert draw_latency([replace(found, latency=None) for found in figures]) is None


def test_plots_follow_the_page_and_take_names_as_they_are(evaluation: Evaluation) -> None:
    figures = evaluation.protocols[0].figures[0]
    named = replace(figures, system=replace(figures.system, label="<b>$run$ & co</b>"))
    plot = draw_latency([named])
    assert plot is not None
    assert "&lt;b&gt;$run$ &amp; co&lt;/b&gt;: " in plot
    assert "var(--first)" in plot
    assert "#0102" not in plot


@pytest.mark.parametrize(("systems", "queries"), [(1, 8), (2, 1), (1, 1)])
def test_a_single_system_or_query_still_makes_a_page(systems: int, queries: int) -> None:
    page = Page(render_report(example(systems, queries)))
    assert "inf" not in re.sub(r"[a-z]*inf[a-z]+|[a-z]+inf", "", page.text)
    assert "nan" not in page.text.lower()
