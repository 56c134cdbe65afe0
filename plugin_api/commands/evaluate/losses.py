"""The queries that lose against the shop's own search, and what clicks say: as JSON and as tables."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import TypeVar

from rich.console import Console
from rich.table import Table
from rich.text import Text

from mappings.types import JsonObject
from plugin_api.commands.evaluate.systems import SHOP
from plugin_api.terminal import format_count
from reranker.evaluation.comparison import Protocol
from reranker.evaluation.interleaved_clicks import FEWEST_DECIDED, ClickReport, Preference
from reranker.evaluation.interval import Interval
from reranker.evaluation.losses import LOSS_MARGIN, QUERY_TYPE, LossReport, LostShare, QueryKind
from reranker.types import QueryType

TYPE_LABELS = {
    QueryType.HEAD: "one or two words",
    QueryType.PHRASE: "three or four words",
    QueryType.SENTENCE: "sentence",
    QueryType.MODEL: "model number",
}

_Count = TypeVar("_Count", LostShare, Preference)

_SHOWN = 20
"""Lost queries that the terminal names."""


def find_baseline(protocol: Protocol) -> str:
    """Return the system that losses are told against: the shop's own search, else the first other one."""
    return SHOP if SHOP in protocol.losses else next(iter(protocol.losses), "")


def tabulate_losses(report: LossReport) -> JsonObject:
    """Return the report for programs."""
    return {
        "margin": LOSS_MARGIN,
        **_lost_json(report.total),
        "by_kind": {
            _key(way): {kind: _lost_json(lost) for kind, lost in groups.items()}
            for way, groups in report.by_kind.items()
        },
        "lost_queries": [
            {"query": one.query, "change": round(one.change, 4), **_kind_json(one.kind)}
            for one in report.queries
        ],
    }


def tabulate_clicks(report: ClickReport) -> JsonObject:
    """Return the report for programs."""
    return {
        **_preference_json(report.total),
        "p": round(report.p, 5),
        "by_kind": {
            _key(way): {kind: _preference_json(one) for kind, one in groups.items()}
            for way, groups in report.by_kind.items()
        },
        "lost_queries": [
            {"query": one.query, "wins": one.wins, "losses": one.losses, "p_holm": round(one.p, 5)}
            | _kind_json(one.kind)
            for one in report.queries
        ],
    }


def print_losses(console: Console, protocol: Protocol) -> None:
    """Print how many queries the first system loses against the shop's own search, by kind, and which."""
    baseline = find_baseline(protocol)
    if not baseline:
        return
    report, first = protocol.losses[baseline], protocol.figures[0].system.label
    against = protocol.get_label(baseline)
    table = _new_table(f"{first}: queries that lose more than {LOSS_MARGIN} nDCG@10 to {against}")
    for heading in ("queries", "lost", "share", "95 %"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_row("all", *_lost_cells(report.total))
    for label, lost in list_kinds(report.by_kind):
        table.add_row(label, *_lost_cells(lost))
    console.print(table)
    _print_queries(console, [f"{one.query} {one.change:+.2f}" for one in report.queries])


def print_clicks(console: Console, report: ClickReport) -> None:
    """Print what logged clicks say of the first ranking."""
    table = _new_table("Interleaved clicks: searches that the first ranking wins, of the decided")
    for heading in ("searches", "won", "lost", "share", "95 %", "queries lost"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_row("all", *_preference_cells(report.total))
    for label, one in list_kinds(report.by_kind):
        table.add_row(label, *_preference_cells(one))
    console.print(table)
    console.print(Text(f"p {report.p:.3f}, valid however often it is read", style="dim"))
    _print_queries(console, [f"{one.query} {one.wins}:{one.losses}" for one in report.queries])


def list_kinds(by_kind: Mapping[str, Mapping[str, _Count]]) -> Iterator[tuple[str, _Count]]:
    """Yield each kind's label and what is told of it."""
    for way, groups in by_kind.items():
        for kind, value in groups.items():
            yield (TYPE_LABELS[QueryType(kind)] if way == QUERY_TYPE else f"{way}: {kind}"), value


def describe_clicks() -> str:
    """Return how the table of clicks is to be read."""
    return (
        f"clicks: a query counts as lost where more of its decided searches are lost than chance explains "
        f"(binomial, Holm), of the queries with {FEWEST_DECIDED} decided searches or more"
    )


def format_range(value: Interval) -> str:
    """Return the bounds of a share's interval in per cent."""
    return f"{100 * value.low:.1f} to {100 * value.high:.1f} %"


def _lost_cells(lost: LostShare) -> tuple[str, ...]:
    return (
        str(lost.queries),
        str(lost.lost),
        f"{100 * lost.share.mean:.1f} %",
        format_range(lost.share),
    )


def _preference_cells(one: Preference) -> tuple[str, ...]:
    decided = one.wins + one.losses
    share = (f"{100 * one.share.mean:.1f} %", format_range(one.share)) if decided else ("–", "–")
    lost = f"{one.lost.lost} of {one.lost.queries}"
    return str(one.searches), str(one.wins), str(one.losses), *share, lost


def _print_queries(console: Console, queries: list[str]) -> None:
    if not queries:
        return
    hidden = len(queries) - _SHOWN
    more = f" and {format_count(hidden, 'other')} (--json has all)" if hidden > 0 else ""
    console.print(Text(f"lost: {', '.join(queries[:_SHOWN])}{more}", style="dim"))


def _new_table(title: str) -> Table:
    table = Table(box=None, header_style="dim", padding=(0, 1, 0, 0))
    table.add_column(title)
    return table


def _key(way: str) -> str:
    return way.replace(" ", "_")


def _lost_json(lost: LostShare) -> JsonObject:
    return {"queries": lost.queries, "lost": lost.lost, "share": _rounded(lost.share)}


def _preference_json(one: Preference) -> JsonObject:
    counts = {"searches": one.searches, "wins": one.wins, "losses": one.losses}
    share = _rounded(one.share) if one.wins + one.losses else None
    return {**counts, "won_share": share, "queries_lost": _lost_json(one.lost)}


def _rounded(value: Interval) -> JsonObject:
    return {name: round(number, 4) for name, number in asdict(value).items()}


def _kind_json(kind: QueryKind) -> JsonObject:
    return {"query_type": kind.query_type, "demands": None if kind.demands is None else list(kind.demands)}
