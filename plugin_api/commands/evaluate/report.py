"""An evaluation as one HTML file. It has no script and makes no request; its plots are inline SVG."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from markupsafe import Markup

from plugin_api.commands.evaluate.losses import find_baseline, format_range, list_kinds
from plugin_api.commands.evaluate.plots import (
    draw_changes,
    draw_intervals,
    draw_latency,
    draw_reliability,
)
from plugin_api.commands.evaluate.table import (
    HEADINGS,
    SIGNIFICANT,
    format_bounds,
    format_share,
    list_caveats,
    select_columns,
)
from plugin_api.terminal.html import render_html, write_html
from reranker.evaluation.comparison import HEADLINE, Evaluation, Figures, Protocol
from reranker.evaluation.losses import LOSS_MARGIN, LossReport, LostShare
from reranker.evaluation.measures import GOOD
from reranker.evaluation.significance import PairedComparison

ENDS = 5
"""How many of the most lost and most won queries are named."""


@dataclass(frozen=True, slots=True)
class Section:
    """One protocol with what is drawn of it. `best` has each measure's greatest mean, rounded as shown."""

    protocol: Protocol
    columns: Mapping[str, str]
    best: Mapping[str, float]
    intervals: Markup
    changes: Mapping[str, Markup]

    @property
    def first(self) -> Figures:
        """The system that the others are compared with."""
        return self.protocol.figures[0]

    @property
    def rival(self) -> Figures | None:
        """The best of the others."""
        others = self.protocol.figures[1:]
        return max(others, key=lambda one: one.values[HEADLINE].mean) if others else None

    @property
    def baseline(self) -> str:
        """The system that losses are told against; empty for none."""
        return find_baseline(self.protocol)

    @property
    def losses(self) -> LossReport:
        """The queries that the first system answers clearly worse than the baseline does."""
        return self.protocol.losses[self.baseline]

    @property
    def kinds(self) -> list[tuple[str, LostShare]]:
        """The share that is lost of all queries, then of each kind, with its label."""
        return [("all", self.losses.total), *list_kinds(self.losses.by_kind)]

    @property
    def labels(self) -> dict[str, str]:
        """Name of each system → its label."""
        return {one.system.name: one.system.label for one in self.protocol.figures}


def write_report(evaluation: Evaluation, path: Path) -> None:
    """Write the report. Raises EvaluationError where the file can't be written."""
    write_html(render_report(evaluation), path)


def render_report(evaluation: Evaluation) -> str:
    """Return the report's HTML."""
    sections = [_section(protocol) for protocol in evaluation.protocols]
    pool = evaluation.protocols[-1]
    clicks = evaluation.clicks
    filters: dict[str, Callable[..., str]] = {
        "fixed": _fixed,
        "signed": _signed,
        "range": format_range,
        "share": format_share,
        "bounds": format_bounds,
    }
    return render_html(
        "plugin_api.commands.evaluate",
        "report.html",
        filters,
        evaluation=evaluation,
        name=Path(evaluation.judgements).name,
        sections=sections,
        headline=HEADLINE,
        good=GOOD,
        columns=HEADINGS,
        margin=LOSS_MARGIN,
        clicks=clicks,
        click_kinds=[("all", clicks.total), *list_kinds(clicks.by_kind)] if clicks else [],
        significant=SIGNIFICANT,
        reading=list_caveats(evaluation),
        latency=draw_latency(evaluation.protocols[0].figures),
        reliability=[
            (one.system.label, one.calibration, draw_reliability(one.system.label, one.calibration))
            for one in pool.figures
            if one.calibration
        ],
        ends=_ends,
        finite=math.isfinite,
    )


def _section(protocol: Protocol) -> Section:
    names = select_columns(protocol)
    best = {
        name: max(round(one.values[name].mean, 3) for one in protocol.figures if name in one.values)
        for name in names
    }
    intervals = draw_intervals(protocol) if protocol.compared else Markup()
    return Section(protocol, names, best, intervals, draw_changes(protocol))


def _ends(paired: PairedComparison) -> tuple[list[tuple[str, float]], list[tuple[str, float]]]:
    """The queries most lost, worst first, and most won, best first."""
    changes = list(paired.changes.items())
    lost = [item for item in changes[:ENDS] if item[1] < 0]
    won = [item for item in reversed(changes[-ENDS:]) if item[1] > 0]
    return lost, won


def _fixed(value: float, digits: int = 3) -> str:
    return f"{value:.{digits}f}"


def _signed(value: float, digits: int = 3) -> str:
    return f"{value:+.{digits}f}".replace("-", "−")
