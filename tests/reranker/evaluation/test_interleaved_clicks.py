import json
import random
from pathlib import Path

import pytest

from mappings.errors import LabelsError
from reranker.evaluation.interleaved_clicks import (
    ClickReport,
    InterleavedSearch,
    read_interleaved_searches,
    report_clicks,
)
from reranker.evaluation.losses import DEMAND, QUERY_TYPE, QueryKind
from reranker.experiments.interleaving import interleave

FIRST, SECOND = ["a", "b", "c"], ["d", "e", "f"]


def click(query: str, clicked: str, times: int) -> list[InterleavedSearch]:
    """Return searches of which each shows both rankings, and has one click."""
    pages = [interleave(FIRST, SECOND, 6, f"{query} {number}") for number in range(times)]
    return [InterleavedSearch(query, page, (clicked,)) for page in pages]


def test_clicks_decide_searches_and_queries() -> None:
    searches = [
        *click("laptop", "a", 30),
        *click("Laptop ", "d", 10),
        *click("tv", "d", 12),
        *click("tv", "x", 5),
    ]
    report = report_clicks(searches)
    assert (report.total.searches, report.total.wins, report.total.losses) == (57, 30, 22)
    assert report.total.share.low < 30 / 52 < report.total.share.high
    assert [(one.query, one.wins, one.losses) for one in report.queries] == [("tv", 0, 12)]
    assert (report.total.lost.lost, report.total.lost.queries) == (1, 2)


def test_a_query_with_few_searches_is_not_lost() -> None:
    report = report_clicks(click("tv", "d", 4))
    assert (report.queries, report.total.lost.queries) == ((), 0)


def test_equal_rankings_lose_no_query_but_by_chance() -> None:
    chooser = random.Random(5)
    reports: list[ClickReport] = []
    for trial in range(20):
        searches = [
            InterleavedSearch(
                f"query {q}", interleave(FIRST, SECOND, 6, f"{trial} {q} {n}"), (chooser.choice("ad"),)
            )
            for q in range(30)
            for n in range(20)
        ]
        reports.append(report_clicks(searches))
    assert sum(bool(report.queries) for report in reports) <= 3


def test_kinds_are_those_of_the_queries() -> None:
    searches = [*click("white keyboard", "a", 6), *click("hl-2140", "d", 6)]
    report = report_clicks(searches, lambda text: QueryKind.of(text, ("colour",) if "white" in text else ()))
    assert {kind: one.losses for kind, one in report.by_kind[QUERY_TYPE].items()} == {"head": 0, "model": 6}
    assert {kind: one.wins for kind, one in report.by_kind[DEMAND].items()} == {"colour": 6, "none": 0}


def test_a_log_is_read_as_it_was_drawn(tmp_path: Path) -> None:
    page = interleave(FIRST, SECOND, 4, "seed")
    line = {
        "query": "tv",
        "first": sorted(page.first),
        "second": sorted(page.second),
        "clicked": ["a"],
        "at": 1,
    }
    path = tmp_path / "clicks.jsonl"
    path.write_text(json.dumps(line) + "\n\n")
    (search,) = read_interleaved_searches(path)
    assert (search.query, search.clicked) == ("tv", ("a",))
    assert search.ranking.credit(["a"]) == page.credit(["a"])


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("", "holds no search"),
        ('{"query": "tv", "first": ["a"]}', r"line 1 is not an interleaved search: .*second"),
        ('\n{"query": "tv", "first": ["a"], "second": ["a"]}', "line 2: a is of both rankings"),
        ("nonsense", "line 1 is not"),
    ],
)
def test_broken_logs_are_named_by_line(tmp_path: Path, text: str, what: str) -> None:
    path = tmp_path / "clicks.jsonl"
    path.write_text(text)
    with pytest.raises(LabelsError, match=what):
        read_interleaved_searches(path)


def test_a_missing_log_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(LabelsError, match="can't be read"):
        read_interleaved_searches(tmp_path / "none.jsonl")
