"""Where every mark of the report's plots goes: figures in, SVG units out. The template draws them."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from reranker.evaluation.calibration import Calibration
from reranker.evaluation.comparison import HEADLINE, Figures, Protocol
from reranker.evaluation.significance import PairedComparison

WIDTH, HEIGHT = 420.0, 250.0
LEFT, RIGHT, TOP, BOTTOM = 42.0, 408.0, 12.0, 206.0
"""The plotting area within WIDTH x HEIGHT; axes' labels are around it."""

CHARACTER, LINE = 6.2, 14.0
"""Width and height of a label's text, as estimated for keeping labels apart."""


@dataclass(frozen=True, slots=True)
class Tick:
    """A mark on an axis."""

    at: float
    label: str


@dataclass(frozen=True, slots=True)
class Bar:
    """A query's change, as a bar from the line of no change."""

    x: float
    y: float
    width: float
    height: float
    change: float
    query: str


@dataclass(frozen=True, slots=True)
class ChangePlot:
    """Every query's change against one other system, worst first."""

    name: str
    label: str
    zero: float
    bars: tuple[Bar, ...]
    ticks: tuple[Tick, ...]


@dataclass(frozen=True, slots=True)
class Dot:
    """A system by its latency and nDCG; `low` and `high` are the ends of its interval."""

    label: str
    first: bool
    x: float
    y: float
    low: float
    high: float
    text_x: float
    text_y: float
    title: str


@dataclass(frozen=True, slots=True)
class LatencyPlot:
    """nDCG against latency, which has a logarithmic axis."""

    dots: tuple[Dot, ...]
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]


@dataclass(frozen=True, slots=True)
class Point:
    """A bin of the reliability diagram: its point, and its bar in the histogram below."""

    x: float
    y: float
    bar_x: float
    bar_y: float
    bar_width: float
    bar_height: float
    title: str


@dataclass(frozen=True, slots=True)
class ReliabilityPlot:
    """Share of good products against probability; the diagonal is where they agree."""

    label: str
    error: float
    pairs: int
    points: tuple[Point, ...]
    ticks: tuple[Tick, ...]
    shares: tuple[Tick, ...]


@dataclass(frozen=True, slots=True)
class Span:
    """A comparison's mean change and interval, on the one scale of its table: 0 to 100 along a line."""

    zero: float
    low: float
    mean: float
    high: float


def change_plots(protocol: Protocol) -> list[ChangePlot]:
    """One plot for each other system, all on one scale."""
    labels = {found.system.name: found.system.label for found in protocol.figures}
    all_changes = [abs(change) for paired in protocol.compared.values() for change in paired.changes.values()]
    reach = max(0.2, math.ceil(max(all_changes, default=0.0) * 5) / 5)

    def height(change: float) -> float:
        return _scaled(change, -reach, reach, BOTTOM, TOP)

    plots = []
    for name, paired in protocol.compared.items():
        step = (RIGHT - LEFT) / max(len(paired.changes), 1)
        bars = tuple(
            Bar(
                LEFT + place * step + 0.1 * step,
                min(height(change), height(0)),
                0.8 * step,
                abs(height(change) - height(0)),
                change,
                query,
            )
            for place, (query, change) in enumerate(paired.changes.items())
        )
        values = (-reach, -reach / 2, 0.0, reach / 2, reach)
        ticks = tuple(Tick(height(value), f"{value:+.1f}" if value else "0") for value in values)
        plots.append(ChangePlot(name, labels[name], height(0), bars, ticks))
    return plots


def latency_plot(figures: Sequence[Figures]) -> LatencyPlot | None:
    """Place every system whose latency is known; None for none."""
    timed = [(found, found.latency) for found in figures if found.latency]
    if not timed:
        return None
    slow, fast = max(time.mean for _, time in timed), min(time.mean for _, time in timed)
    least, most = math.log10(fast / 1.6), math.log10(slow * 1.6)
    intervals = [found.values[HEADLINE] for found, _ in timed]
    bounds = [_finite(bound, i.mean) for i in intervals for bound in (i.low, i.high)]
    low, high = math.floor(min(bounds) * 10) / 10, math.ceil(max(bounds) * 10) / 10
    low = min(low, high - 0.1)

    def across(ms: float) -> float:
        return _scaled(math.log10(ms), least, most, LEFT, RIGHT)

    def up(value: float) -> float:
        return _scaled(value, low, high, BOTTOM, TOP)

    places = [(across(time.mean), up(found.values[HEADLINE].mean)) for found, time in timed]
    texts = _apart([found.system.label for found, _ in timed], places)
    dots = tuple(
        Dot(
            label=found.system.label,
            first=found is figures[0],
            x=x,
            y=y,
            low=up(_finite(value.low, value.mean)),
            high=up(_finite(value.high, value.mean)),
            text_x=text_x,
            text_y=text_y,
            title=f"{found.system.label}: nDCG@10 {value.mean:.3f}, {time.mean:.1f} ms",
        )
        for (found, time), value, (x, y), (text_x, text_y) in zip(
            timed, intervals, places, texts, strict=True
        )
    )
    steps = [scale * 10**power for power in range(-3, 6) for scale in (1, 2, 5)]
    x_ticks = tuple(Tick(across(ms), f"{ms:g}") for ms in steps if least <= math.log10(ms) <= most)
    tenths = range(round(low * 10), round(high * 10) + 1)
    return LatencyPlot(dots, x_ticks, tuple(Tick(up(tenth / 10), f"{tenth / 10:.1f}") for tenth in tenths))


def reliability_plot(label: str, found: Calibration) -> ReliabilityPlot:
    """Place the bins that hold pairs; the histogram takes the lowest fifth."""
    floor = BOTTOM - (BOTTOM - TOP) * 0.2
    tallest = max(b.pairs for b in found.bins)

    def across(value: float) -> float:
        return _scaled(value, 0, 1, LEFT, RIGHT)

    def up(value: float) -> float:
        return _scaled(value, 0, 1, floor - 8, TOP)

    points = tuple(
        Point(
            x=across(b.expected),
            y=up(b.observed),
            bar_x=across(b.low) + 2,
            bar_y=_scaled(b.pairs, 0, tallest, BOTTOM, floor),
            bar_width=across(b.high) - across(b.low) - 4,
            bar_height=_scaled(b.pairs, 0, tallest, 0, BOTTOM - floor),
            title=f"{b.pairs} pairs: probability {b.expected:.2f}, good {b.observed:.2f}",
        )
        for b in found.bins
        if b.pairs
    )
    marks = (0.0, 0.25, 0.5, 0.75, 1.0)
    return ReliabilityPlot(
        label,
        found.error,
        found.pairs,
        points,
        tuple(Tick(across(mark), f"{mark:g}") for mark in marks),
        tuple(Tick(up(mark), f"{mark:g}") for mark in marks),
    )


def spans(compared: Mapping[str, PairedComparison]) -> dict[str, Span]:
    """Place each comparison's change and interval on one scale that holds them all, and no change."""
    changes = {name: paired.change for name, paired in compared.items()}
    bounds = [0.0, *(_finite(b, c.mean) for c in changes.values() for b in (c.low, c.high))]
    low, high = min(bounds), max(bounds)
    margin = 0.05 * max(high - low, 0.01)

    def along(value: float) -> float:
        return _scaled(value, low - margin, high + margin, 0, 100)

    return {
        name: Span(
            along(0),
            along(_finite(change.low, change.mean)),
            along(change.mean),
            along(_finite(change.high, change.mean)),
        )
        for name, change in changes.items()
    }


def _apart(labels: Sequence[str], places: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Where each label's text begins (left end of its base line), clear of dots and of other labels."""
    dots = [(x - 5, y - 5, x + 5, y + 5) for x, y in places]
    taken = list(dots)
    found = [(0.0, 0.0)] * len(places)
    # From the top down, each label to its dot's side or below the ones before: none seems to be another's.
    for number in sorted(range(len(places)), key=lambda number: places[number][1]):
        (x, y), width = places[number], CHARACTER * len(labels[number])
        sides = [(x + 9, y + 4), (x - 9 - width, y + 4)]
        spots = [
            (left, base + shift) for shift in (0, LINE, -LINE, 2 * LINE, -2 * LINE) for left, base in sides
        ]
        inside = [
            spot
            for spot in spots
            if LEFT <= spot[0] <= WIDTH - width and TOP + LINE / 2 <= spot[1] <= BOTTOM - 2
        ]
        free = [spot for spot in inside if not any(_overlap(_box(spot, width), box) for box in taken)]
        found[number] = (free or inside or spots)[0]
        taken.append(_box(found[number], width))
    return found


def _box(spot: tuple[float, float], width: float) -> tuple[float, float, float, float]:
    return spot[0], spot[1] - LINE + 3, spot[0] + width, spot[1] + 3


def _overlap(one: tuple[float, float, float, float], other: tuple[float, float, float, float]) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def _scaled(value: float, low: float, high: float, start: float, end: float) -> float:
    return round(start + (value - low) / (high - low) * (end - start), 2)


def _finite(bound: float, mean: float) -> float:
    return bound if math.isfinite(bound) else mean
