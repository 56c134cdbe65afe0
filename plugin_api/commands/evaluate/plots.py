"""The report's plots, drawn by matplotlib (extra `evaluate`) as SVG that stands inside a page.

The same figures give the same bytes: there is no date, and ids come from a fixed salt. Colours are the page's
CSS variables, so that plots follow its light and dark themes.
"""

import io
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib as mpl
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from reranker.evaluation.calibration import Calibration
from reranker.evaluation.comparison import HEADLINE, Figures, Protocol
from reranker.evaluation.interval import Interval
from reranker.evaluation.losses import LOSS_MARGIN

_WIDE, _WIDTH, _HEIGHT = 10.0, 4.4, 2.8  # inches; the page scales them
_MARKERS = "osD^vPXp"
_THEME = {
    "#010203": "var(--first)",
    "#010204": "var(--other)",
    "#010205": "var(--won)",
    "#010206": "var(--lost)",
    "#010207": "var(--grid)",
    "#010208": "var(--soft)",
    "#010209": "var(--ink)",
}
"""Colours as they are drawn → the page's own."""
_FIRST, _OTHER, _WON, _LOST, _GRID, _SOFT, _INK = _THEME

_STYLE: dict[Any, Any] = {
    "axes.axisbelow": True,
    "axes.edgecolor": _OTHER,
    "axes.grid": True,
    "axes.labelcolor": _SOFT,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "figure.constrained_layout.use": True,
    "font.size": 9,
    "grid.color": _GRID,
    "legend.frameon": False,
    "legend.labelcolor": _INK,
    "savefig.transparent": True,
    "svg.fonttype": "none",
    "text.parse_math": False,  # a name with dollar signs is not a formula
    "xtick.color": _SOFT,
    "ytick.color": _SOFT,
}


def draw_changes(protocol: Protocol) -> dict[str, Markup]:
    """Draw every query's change from each other system, worst first. All plots have one scale.

    A dotted line marks the change from which on a query counts as lost.
    """
    changes = {name: list(paired.changes.values()) for name, paired in protocol.compared.items()}
    reach = max([0.2, *(abs(change) for query_changes in changes.values() for change in query_changes)])
    plots = {}
    with mpl.rc_context(_STYLE):
        for name, values in changes.items():
            figure, axes = _new_plot(_HEIGHT * 0.75)
            colours = [_WON if value > 0 else _LOST for value in values]
            axes.bar(range(len(values)), values, color=colours)
            axes.axhline(0, color=_OTHER)
            axes.axhline(-LOSS_MARGIN, color=_OTHER, linestyle="dotted", linewidth=1)
            axes.set_ylim(-1.05 * reach, 1.05 * reach)
            axes.set_xticks([])
            plots[name] = _write_svg(figure, f"{protocol.title}: change from {name}, query by query")
    return plots


def draw_intervals(protocol: Protocol) -> Markup:
    """Draw the mean change from each other system with its 95 % interval."""
    compared = protocol.compared
    labels = {one.system.name: one.system.label for one in protocol.figures}
    with mpl.rc_context(_STYLE):
        figure, axes = _new_plot(0.6 + 0.3 * len(compared), _WIDE)
        names = list(compared)[::-1]
        for row, name in enumerate(names):
            change = compared[name].change
            low, high = _bound(change.low, change.mean), _bound(change.high, change.mean)
            colour = _WON if low > 0 else _LOST if high < 0 else _OTHER
            axes.plot([low, high], [row, row], color=colour, linewidth=2)
            axes.plot([change.mean], [row], marker="o", color=colour)
        axes.axvline(0, color=_OTHER, linestyle="dashed")
        axes.set_yticks(range(len(names)), [labels[name] for name in names])
        axes.set_ylim(-0.6, len(names) - 0.4)
        axes.grid(axis="y", visible=False)
        return _write_svg(figure, f"{protocol.title}: mean change and 95 % interval from each other system")


def draw_means(means: Mapping[str, Interval], title: str) -> Markup:
    """Draw the mean of each ranking with its 95 % interval; the first stands out."""
    with mpl.rc_context(_STYLE):
        figure, axes = _new_plot(0.6 + 0.3 * len(means), _WIDE)
        for row, value in enumerate(list(means.values())[::-1]):
            colour = _FIRST if row == len(means) - 1 else _OTHER
            bounds = [_bound(value.low, value.mean), _bound(value.high, value.mean)]
            axes.plot(bounds, [row, row], color=colour, linewidth=2)
            axes.plot([value.mean], [row], marker="o", color=colour)
        axes.set_yticks(range(len(means)), list(means)[::-1])
        axes.set_ylim(-0.6, len(means) - 0.4)
        axes.grid(axis="y", visible=False)
        return _write_svg(figure, title)


def draw_latency(figures: Sequence[Figures]) -> Markup | None:
    """Draw every system by its latency, on a logarithmic axis, and nDCG. None where no latency is known."""
    timed = [(one, one.latency) for one in figures if one.latency]
    if not timed:
        return None
    with mpl.rc_context(_STYLE):
        figure, axes = _new_plot(_HEIGHT + 0.2 * len(timed))
        for number, (one, latency) in enumerate(timed):
            value = one.values[HEADLINE]
            colour = _FIRST if one is figures[0] else _OTHER
            bounds = [_bound(value.low, value.mean), _bound(value.high, value.mean)]
            axes.plot([latency.mean] * 2, bounds, color=colour, alpha=0.45, linewidth=2)
            axes.plot(
                [latency.mean],
                [value.mean],
                linestyle="none",
                marker=_MARKERS[number % len(_MARKERS)],
                color=colour,
                label=f"{one.system.label}: {value.mean:.3f}, {latency.mean:.1f} ms",
            )
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter("{x:g}")
        axes.xaxis.set_minor_formatter("{x:g}")
        axes.set_xlabel("milliseconds")
        figure.legend(loc="outside lower left")
        return _write_svg(figure, "nDCG@10 against latency")


def draw_reliability(label: str, calibration: Calibration) -> Markup:
    """Draw the share of good products against the probability. Bars tell how many pairs each bin has."""
    bins = [one for one in calibration.bins if one.pairs]
    most = max(one.pairs for one in bins)
    with mpl.rc_context(_STYLE):
        figure, axes = _new_plot(_HEIGHT)
        heights = [0.2 * one.pairs / most for one in bins]
        middles = [(one.low + one.high) / 2 for one in bins]
        axes.bar(middles, heights, width=0.09, color=_OTHER, alpha=0.55)
        axes.plot([0, 1], [0, 1], color=_OTHER, linestyle="dashed")
        axes.plot([one.expected for one in bins], [one.observed for one in bins], marker="o", color=_FIRST)
        axes.set_xlim(-0.02, 1.02)
        axes.set_ylim(-0.02, 1.04)
        axes.set_xlabel("probability returned (bars: how many pairs)")
        return _write_svg(figure, f"Reliability diagram of {label}")


def _new_plot(height: float, width: float = _WIDTH) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(width, height))
    return figure, figure.subplots()


def _write_svg(figure: Figure, title: str) -> Markup:
    """Return the figure as an SVG element that can stand inside a page."""
    buffer = io.StringIO()
    with mpl.rc_context({"svg.hashsalt": f"attune {title}"}):  # ids differ from plot to plot
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    svg = buffer.getvalue()
    svg = svg[svg.index("<svg") :]
    head, body = svg.split(">", 1)
    head = re.sub(r' (?:xmlns(?::xlink)?|version|width|height)="[^"]*"', "", head)
    body = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>", "", body, flags=re.DOTALL)
    body = re.sub(r'<g id="[^"]*"', "<g", body).replace("xlink:href=", "href=")
    svg = f"{head}>{body}"
    for drawn, themed in _THEME.items():
        svg = svg.replace(drawn, themed)
    label = Markup.escape(title)
    return Markup(svg.replace("<svg", f'<svg role="img" aria-label="{label}"', 1))


def _bound(bound: float, mean: float) -> float:
    """Return an interval's bound, or the mean where a single query gives no interval."""
    return bound if math.isfinite(bound) else mean
