import pytest

from reranker.evaluation.losses import DEMAND, NO_DEMAND, QUERY_TYPE, QueryKind, report_losses


def test_only_a_fall_beyond_the_margin_is_a_loss_and_the_worst_comes_first() -> None:
    changes = {"laptop": -0.1, "gaming mouse": -0.11, "tv": -0.6, "phone": 0.4}
    report = report_losses(changes, {})
    assert [(one.query, one.change) for one in report.queries] == [("tv", -0.6), ("gaming mouse", -0.11)]
    assert (report.total.lost, report.total.queries, report.total.share.mean) == (2, 4, 0.5)


def test_the_interval_is_wilsons() -> None:
    none = report_losses({f"query {n}": 0.0 for n in range(57)}, {}).total.share
    # Nothing lost of n: the upper bound is z²/(n + z²).
    assert (none.mean, none.low) == (0.0, pytest.approx(0.0, abs=1e-12))
    assert none.high == pytest.approx(1.96**2 / (57 + 1.96**2), abs=1e-4)


def test_losses_are_grouped_by_what_queries_look_like_and_demand() -> None:
    changes = {"27 inch white monitor": -0.5, "red mouse": 0.0, "toner for hl-2140": -0.2, "tv": 0.1}
    kinds = {
        "27 inch white monitor": QueryKind.of("27 inch white monitor", ("measure", "colour", "colour")),
        "red mouse": QueryKind.of("red mouse", ("colour",)),
        "tv": QueryKind.of("tv", ()),
    }
    report = report_losses(changes, kinds)
    types = {kind: (lost.lost, lost.queries) for kind, lost in report.by_kind[QUERY_TYPE].items()}
    assert types == {"head": (0, 2), "phrase": (1, 1), "model": (1, 1)}
    demands = {kind: (lost.lost, lost.queries) for kind, lost in report.by_kind[DEMAND].items()}
    assert demands == {"colour": (1, 2), "measure": (1, 1), NO_DEMAND: (0, 1)}


def test_no_demands_are_reported_where_none_are_known() -> None:
    assert set(report_losses({"tv": 0.1}, {}).by_kind) == {QUERY_TYPE}
