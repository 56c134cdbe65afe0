import math
from dataclasses import replace
from itertools import count

import numpy as np
import pytest

from mappings.errors import LabelsError
from mappings.settings import ClickSettings
from reranker.training.clicks.click_labels import ClickEvidence, ClickSummary, derive_click_evidence
from reranker.training.clicks.click_log import ClickLog, LoggedAction, LoggedSearch, UnusableRecord

DAY = 86_400.0
EXAMINATION = np.array([1.0, 0.6, 0.4, 0.3, 0.2, 0.15])
ATTRACTION = {"usb hub": (0.1, 0.5, 0.3, 0.05, 0.4, 0.2), "laptop": (0.3, 0.05, 0.1, 0.6, 0.2, 0.45)}
BUYS = {"usb hub": (0.5, 0.1, 0.1, 0.1, 0.6, 0.1), "laptop": (0.1, 0.1, 0.1, 0.4, 0.1, 0.1)}


class Simulated:
    """A log of shoppers, one search a day each, to which the tests add what else logs hold."""

    def __init__(self, searches: int = 1500, seed: int = 3) -> None:
        random = np.random.default_rng(seed)
        self.searches: list[LoggedSearch | UnusableRecord] = []
        self.actions: list[LoggedAction | UnusableRecord] = []
        self.numbers = count()
        for i in range(searches):
            for query, attraction in ATTRACTION.items():
                order = np.argsort(np.arange(6) + random.normal(0, 1.0, 6))  # the ranker's taste is a, b, c …
                clicks = random.random(6) < EXAMINATION * np.array(attraction)[order]
                clicked = [int(product) for product in order[clicks]]
                bought = [product for product in clicked if random.random() < BUYS[query][product]]
                shown = "".join("abcdef"[product] for product in order)
                self.add(f"shopper {i % 200}", query, shown, i * DAY, clicked, bought)

    def add(
        self,
        client: str,
        query: str,
        shown: str,
        at: float,
        clicked: list[int],
        bought: list[int] = [],  # noqa: B006
        seconds: float = 30.0,
    ) -> None:
        query_id = str(next(self.numbers))
        self.searches.append(LoggedSearch(query_id, client, query, tuple(shown), at))
        for step, product in enumerate(clicked, 1):
            when = at + seconds * step
            self.actions.append(LoggedAction("click", query_id, client, ("abcdef"[product],), 0, when))
            if product in bought:
                self.actions.append(
                    LoggedAction("purchase", query_id, client, ("abcdef"[product],), 0, when + 1)
                )

    def log(self) -> ClickLog:
        return ClickLog(iter(self.searches), iter(self.actions))


@pytest.fixture(scope="module")
def simulated() -> Simulated:
    return Simulated()


@pytest.fixture(scope="module")
def learnt(simulated: Simulated) -> tuple[list[ClickEvidence], ClickSummary]:
    return derive_click_evidence(simulated.log(), ClickSettings())


def ranked(scores: dict[str, float]) -> str:
    return "".join(sorted(scores, key=lambda product: -scores[product]))


def raw_rates(simulated: Simulated, query: str) -> dict[str, float]:
    """Return clicks by shows: what positions spoil."""
    searches = {s.query_id: s for s in simulated.searches if isinstance(s, LoggedSearch) and s.query == query}
    clicks = [
        a.ids[0]
        for a in simulated.actions
        if isinstance(a, LoggedAction) and a.name == "click" and a.query_id in searches
    ]
    return {product: clicks.count(product) / len(searches) for product in "abcdef"}


@pytest.mark.parametrize("query", ATTRACTION)
def test_finds_the_order_that_click_rates_get_wrong(
    simulated: Simulated, learnt: tuple[list[ClickEvidence], ClickSummary], query: str
) -> None:
    truth = ranked(dict(zip("abcdef", ATTRACTION[query], strict=True)))
    assert ranked(raw_rates(simulated, query)) != truth
    mine = [e for e in learnt[0] if e.query == query]
    assert "".join(e.product_id for e in mine) == truth
    found = {e.product_id: e.click for e in mine}
    assert [found[product] for product in "abcdef"] == pytest.approx(ATTRACTION[query], abs=0.1)


def test_purchases_have_an_order_of_their_own(
    simulated: Simulated, learnt: tuple[list[ClickEvidence], ClickSummary]
) -> None:
    evidence, summary = learnt
    bought = {e.product_id: e.purchase for e in evidence if e.query == "usb hub"}
    truth = [a * b for a, b in zip(ATTRACTION["usb hub"], BUYS["usb hub"], strict=True)]
    assert ranked(bought)[0] == "e"
    assert [bought[product] for product in "abcdef"] == pytest.approx(truth, abs=0.05)
    assert summary.purchases == sum(
        isinstance(a, LoggedAction) and a.name == "purchase" for a in simulated.actions
    )


def test_without_purchases_in_the_log_there_is_no_telling(simulated: Simulated) -> None:
    clicks = [a for a in simulated.actions if isinstance(a, LoggedAction) and a.name == "click"]
    evidence, summary = derive_click_evidence(
        ClickLog(iter(simulated.searches), iter(clicks)), ClickSettings()
    )
    assert all(math.isnan(e.purchase) for e in evidence)
    assert summary.purchases == 0


def test_the_summary_has_the_curve_and_says_what_it_stands_on(
    learnt: tuple[list[ClickEvidence], ClickSummary],
) -> None:
    evidence, summary = learnt
    assert [band.name for band in summary.examination] == ["1", "2", "3", "4", "5", "6"]
    assert [band.examined for band in summary.examination] == pytest.approx(EXAMINATION, abs=0.06)
    assert [band.shown for band in summary.examination] == [3000] * 6
    assert (summary.queries, summary.pairs, summary.searches) == (2, 12, 3000)
    assert summary.clicks == summary.actions["click"]
    assert summary.compared == summary.clicks
    examined = sum(e.shown for e in evidence if e.query == "laptop")
    assert examined == pytest.approx(1500 * EXAMINATION.sum(), rel=0.1)
    text = "\n".join(summary.lines())
    assert "3000 searches" in text
    assert "1 1.00, 2 0." in text
    assert "assumed" not in text


def test_robots_and_bursts_change_nothing() -> None:
    clean, attacked = Simulated(300), Simulated(300)
    for i in range(500):  # one client that promotes product f, faster than people, and one in bursts
        attacked.add("grabber", "laptop", "fedcba", 4000 * DAY + i, [5], [5])
    for i in range(20):
        attacked.add("clicker", "laptop", "fedcba", (5000 + i) * DAY, [0, 1, 2, 3, 4, 5], seconds=0.5)
    attacked.add("nightly-bot", "laptop", "fedcba", 0.0, [5])
    expected, _ = derive_click_evidence(clean.log(), ClickSettings())
    found, summary = derive_click_evidence(attacked.log(), ClickSettings())
    assert found == expected
    assert summary.dropped["searches by robots"] == 501
    assert summary.dropped["searches with bursts of clicks"] == 20
    assert summary.robots == (("grabber", 500), ("nightly-bot", 1))
    lax = ClickSettings(robot_searches_per_minute=10**6, robot_searches_per_day=10**6, session_minutes=0)
    spoilt, _ = derive_click_evidence(attacked.log(), lax)
    assert next(e.product_id for e in spoilt if e.query == "laptop") == "f"


def test_too_little_evidence_is_dropped() -> None:
    simulated = Simulated(100)
    for i in range(9):
        simulated.add(f"client {i}", "too few searches", "abc", i * DAY, [0])
    for i in range(12):
        simulated.add(f"client {i % 2}", "too few clients", "abc", i * DAY, [0])
        simulated.add(f"client {i}", "too few clicks", "abc", i * DAY, [0] if i < 2 else [])
        simulated.add(f"client {i}", "Enough", "ab" + "cdef" * (i == 0), i * DAY, [0, 1] if i < 3 else [])
    evidence, summary = derive_click_evidence(simulated.log(), ClickSettings())
    assert {e.query for e in evidence} == {"usb hub", "laptop", "Enough"}
    assert {e.product_id for e in evidence if e.query == "Enough"} == {"a", "b"}
    assert summary.dropped["queries with too few searches, clients or clicks"] == 3
    assert summary.dropped["pairs that were looked at too seldom"] == 4


def test_nothing_left_is_an_error_that_says_why() -> None:
    simulated = Simulated(0)
    for i in range(200):
        simulated.add("web frontend", "laptop", "abc", float(i), [0])
    simulated.add("ann", "hub", "", 0.0, [])
    with pytest.raises(LabelsError) as raised:
        derive_click_evidence(simulated.log(), ClickSettings())
    for part in ("201 searches, 200 actions", "200 searches by robots", "client web frontend alone made 200"):
        assert part in str(raised.value)
    assert "1 searches that showed nothing" in str(raised.value)
    with pytest.raises(LabelsError, match="no usable search: it is empty"):
        derive_click_evidence(ClickLog(iter(()), iter(())), ClickSettings())
    with pytest.raises(LabelsError, match="no usable search: a line 1: broken JSON"):
        derive_click_evidence(
            ClickLog(iter([UnusableRecord("a line 1", "broken JSON")]), iter(())), ClickSettings()
        )


def test_a_curve_that_is_assumed_is_called_so() -> None:
    simulated = Simulated(0)
    for i in range(20):
        simulated.add(f"client {i}", "laptop", "abc", i * DAY, [i % 3])
    _, summary = derive_click_evidence(simulated.log(), replace(ClickSettings(), min_examined=1.0))
    assert "only 0 clicks are on products that stood at several positions" in "\n".join(summary.lines())


def test_the_logs_products_become_the_catalogues(simulated: Simulated) -> None:
    ids = {name: f"id-{name}" for name in "abcde"}
    evidence, summary = derive_click_evidence(simulated.log(), ClickSettings(), ids)
    assert {e.product_id for e in evidence} == set(ids.values())
    assert summary.dropped["pairs of products that the catalogue lacks"] == 2
    with pytest.raises(LabelsError, match=r"none of the 6 products .* such as a, .* clicks\.id_column"):
        derive_click_evidence(simulated.log(), ClickSettings(), {"1": "1"})
