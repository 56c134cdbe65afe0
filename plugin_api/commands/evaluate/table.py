"""An evaluation as JSON for programs and as tables for a terminal."""

import math
from collections.abc import Mapping
from dataclasses import asdict

from rich.table import Table
from rich.text import Text

from mappings.types import JsonObject
from plugin_api.commands.evaluate.losses import (
    describe_clicks,
    print_clicks,
    print_losses,
    tabulate_clicks,
    tabulate_losses,
)
from plugin_api.terminal import format_count, output_console
from reranker.evaluation.comparison import HEADLINE, JUDGED_PRODUCTS, Evaluation, Figures, Protocol
from reranker.evaluation.interval import Interval
from reranker.evaluation.significance import PairedComparison

HEADINGS = {
    "ndcg@10": "nDCG@10",
    "precision@10": "P@10",
    "recall@100": "R@100",
    "mrr": "MRR",
    "map": "MAP",
    "precision": "P≥t",
    "recall": "R≥t",
    "f1": "F1≥t",
    "judged@10": "judged@10",
}
"""Measure → heading."""

SIGNIFICANT = 0.05


def tabulate_evaluation(evaluation: Evaluation) -> JsonObject:
    """Return everything that was measured; what isn't known is null."""
    judged = evaluation.judged
    return {
        "judgements": evaluation.judgements,
        "index": evaluation.index or None,
        "queries": {"judged": judged.queries, "measured": len(judged.counted)},
        "products": judged.products,
        "judged_products_missing": judged.missing,
        "threshold": evaluation.threshold,
        "depth": evaluation.depth,
        "notes": list(evaluation.notes),
        **{protocol.name: _protocol(protocol) for protocol in evaluation.protocols},
        "interleaved_clicks": tabulate_clicks(evaluation.clicks) if evaluation.clicks else None,
    }


def _protocol(protocol: Protocol) -> JsonObject:
    return {
        "systems": [_system(figures) for figures in protocol.figures],
        "compared": {
            name: _paired(paired) | {"lost_clearly": tabulate_losses(protocol.losses[name])}
            for name, paired in protocol.compared.items()
        },
    }


def _system(figures: Figures) -> JsonObject:
    return {
        "name": figures.system.name,
        "label": figures.system.label,
        "model": figures.system.model or None,
        "trained_on": figures.trained,
        "measures": {name: format_interval(value) for name, value in figures.values.items()},
        "products_shown": figures.shown,
        "coverage": figures.coverage and round(figures.coverage, 4),
        "latency_ms": figures.latency and {k: round(v, 2) for k, v in asdict(figures.latency).items()},
        "calibration": figures.calibration and asdict(figures.calibration),
        "queries": {q: {k: round(v, 4) for k, v in values.items()} for q, values in figures.by_query.items()},
    }


def _paired(paired: PairedComparison) -> JsonObject:
    return {
        "change": format_interval(paired.change),
        "p": round(paired.p, 5),
        "p_holm": round(paired.p_holm, 5),
        "wins": paired.wins,
        "losses": paired.losses,
        "ties": paired.ties,
        "changes": {query: round(change, 4) for query, change in paired.changes.items()},
    }


def format_interval(value: Interval) -> JsonObject:
    """Return a mean and the bounds of its interval; a bound that isn't known is null."""
    bounds = {"low": value.low, "high": value.high}
    known = {name: round(bound, 4) if math.isfinite(bound) else None for name, bound in bounds.items()}
    return {"mean": round(value.mean, 4), **known}


def print_tables(evaluation: Evaluation) -> None:
    """Print both protocols' tables, the comparisons and the notes."""
    console = output_console(plain_width=130)
    judged = evaluation.judged
    where = f" over {evaluation.index}" if evaluation.index else ""
    console.print(
        Text(
            f"{evaluation.judgements}{where}, {format_count(len(judged.counted), 'query', 'queries')}",
            style="bold",
        )
    )
    for protocol in evaluation.protocols:
        console.print()
        console.print(Text(protocol.title, style="bold"))
        console.print(_figures_table(protocol))
        if protocol.compared:
            console.print(_compared_table(protocol))
            print_losses(console, protocol)
    console.print()
    if evaluation.clicks:
        print_clicks(console, evaluation.clicks)
        console.print()
    for note in (*list_caveats(evaluation), *evaluation.notes):
        console.print(Text(f"· {note}", style="dim"))


def list_caveats(evaluation: Evaluation) -> list[str]:
    """Return what has to be known to read the figures."""
    caveats = [
        "± is half a 95 % bootstrap interval over queries; p is by sign randomisation, corrected for all "
        "comparisons of a table (Holm)",
        "whole catalogue: unjudged products count as irrelevant, so read nDCG together with judged@10",
    ]
    if evaluation.protocols[0].losses:
        caveats.append("a share's interval is Wilson's; a query with several demands counts under each")
    if evaluation.clicks:
        caveats.append(describe_clicks())
    if any("f1" in one.values for one in evaluation.protocols[0].figures):
        caveats.append(f"≥t: products whose probability is {evaluation.threshold:g} or more")
    return caveats


def select_columns(protocol: Protocol) -> dict[str, str]:
    """Return measure → heading of the measures to show: those that some system has, and that can differ."""
    all_judged = protocol.name == JUDGED_PRODUCTS
    return {
        name: heading
        for name, heading in HEADINGS.items()
        if any(name in figures.values for figures in protocol.figures)
        and not (all_judged and name == "judged@10")
    }


def _figures_table(protocol: Protocol) -> Table:
    table = Table(box=None, header_style="dim", padding=(0, 1, 0, 0))
    table.add_column("")
    names = select_columns(protocol)
    for heading in names.values():
        table.add_column(heading, justify="right", no_wrap=True)
    latency = any(figures.latency for figures in protocol.figures)
    coverage = any(figures.coverage is not None for figures in protocol.figures)
    calibrated = any(figures.calibration for figures in protocol.figures)
    extra = [("coverage", coverage), ("ms", latency), ("p95", latency), ("ECE", calibrated)]
    for heading, there in extra:
        if there:
            table.add_column(heading, justify="right", no_wrap=True)
    best = {name: max(_rounded(figures, name) for figures in protocol.figures) for name in names}
    for figures in protocol.figures:
        cells = [_cell(figures, name, best) for name in names]
        cells += [Text(format_share(figures.coverage))] if coverage else []
        if latency:
            cells += [Text(f"{ms:.1f}" if ms else "–") for ms in _times(figures)]
        if calibrated:
            cells.append(Text(f"{figures.calibration.error:.3f}" if figures.calibration else "–"))
        mark = f" [trained on {figures.trained}]" if figures.trained else ""
        table.add_row(Text(figures.system.label) + Text(mark, style="yellow"), *cells)
    return table


def _compared_table(protocol: Protocol) -> Table:
    first = protocol.figures[0].system.label
    labels = {figures.system.name: figures.system.label for figures in protocol.figures}
    table = Table(box=None, header_style="dim", padding=(0, 1, 0, 0))
    table.add_column(f"{first}, {HEADINGS[HEADLINE]}, compared with")
    for heading in ("change", "95 %", "p", "won", "lost", "tied"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("most lost, most won", ratio=1)
    for name, paired in protocol.compared.items():
        style = "" if paired.p_holm >= SIGNIFICANT else "green" if paired.change.mean > 0 else "red"
        changes = list(paired.changes.items())
        table.add_row(
            Text(labels[name]),
            Text(f"{paired.change.mean:+.3f}", style=style),
            format_bounds(paired.change),
            f"{paired.p_holm:.3f}",
            str(paired.wins),
            str(paired.losses),
            str(paired.ties),
            Text(
                ", ".join(f"{query} {change:+.2f}" for query, change in (changes[0], changes[-1])),
                style="dim",
            ),
        )
    return table


def _cell(figures: Figures, name: str, best: Mapping[str, float]) -> Text:
    if name not in figures.values:
        return Text("–")
    value = figures.values[name]
    shown = Text(f"{value.mean:.3f}", style="bold" if _rounded(figures, name) == best[name] else "")
    if name == HEADLINE and math.isfinite(value.low):
        shown += Text(f" ±{(value.high - value.low) / 2:.3f}", style="dim")
    return shown


def _rounded(figures: Figures, name: str) -> float:
    return round(figures.values[name].mean, 3) if name in figures.values else -1.0


def _times(figures: Figures) -> tuple[float, float]:
    return (figures.latency.mean, figures.latency.p95) if figures.latency else (0.0, 0.0)


def format_bounds(value: Interval) -> str:
    """Return an interval's bounds, or a dash where a single query gives no interval."""
    return f"{value.low:+.3f} {value.high:+.3f}" if math.isfinite(value.low) else "–"


def format_share(value: float | None) -> str:
    """Return a share as per cent, or a dash where it isn't known."""
    return "–" if value is None else f"{100 * value:.1f} %"
