"""An evaluation by behaviour as JSON for programs and as tables for a terminal."""

import math

from rich.table import Table
from rich.text import Text

from mappings.types import JsonObject
from plugin_api.commands.evaluate.behaviour.evaluation import BehaviourEvaluation, BehaviourPart
from plugin_api.commands.evaluate.table import SIGNIFICANT, format_bounds, format_interval, format_share
from plugin_api.terminal import output_console
from reranker.behaviour.evaluation.ranking_values import RankingFigures

HEADINGS_OF_ORDERS = {"recall": "recall@20", "precision": "P@20", "ndcg": "nDCG@20", "mrr": "MRR@20"}
"""Measure → heading."""

CAVEATS = (
    "means over shoppers; ± is half a 95 % bootstrap interval over shoppers",
    "change: recall@20 of the first ranking less that of this one; p by sign randomisation, corrected for "
    "all comparisons of a table (Holm)",
    "coverage: share of the products bought that a ranking ever shows; novelty: mean surprise of a product "
    "shown, in bits",
)


def tabulate_behaviour(evaluation: BehaviourEvaluation) -> JsonObject:
    """Return everything that was measured; what isn't known is null."""
    return {
        "title": evaluation.title,
        "counted": dict(evaluation.counted),
        "notes": list(evaluation.notes),
        "parts": [
            {
                "name": part.title,
                "explanation": part.explanation,
                "rankings": [
                    {"name": name, **_tabulate_figures(figures)} for name, figures in part.figures.items()
                ],
            }
            for part in evaluation.parts
        ],
    }


def _tabulate_figures(figures: RankingFigures) -> JsonObject:
    compared = figures.compared
    return {
        "measures": {name: format_interval(value) for name, value in figures.means.items()},
        "shoppers": figures.shoppers,
        "different_products": figures.different_products,
        "coverage": round(figures.coverage, 4),
        "novelty_bits": round(figures.novelty, 3),
        "diversity": None if figures.diversity is None else round(figures.diversity, 4),
        "first_less_this": compared
        and {**format_interval(compared.change), "p_holm": round(compared.p_holm, 5)},
    }


def print_behaviour(evaluation: BehaviourEvaluation) -> None:
    """Print a table a part, and the notes."""
    console = output_console(plain_width=130)
    counted = ", ".join(f"{count:,} {name}" for name, count in evaluation.counted.items())
    console.print(Text(f"{evaluation.title}: {counted}", style="bold"))
    for part in evaluation.parts:
        console.print()
        console.print(Text(part.title, style="bold") + Text(f"   {part.explanation}", style="dim"))
        console.print(_table(part))
    console.print()
    for note in (*CAVEATS, *evaluation.notes):
        console.print(Text(f"· {note}", style="dim"))


def _table(part: BehaviourPart) -> Table:
    table = Table(box=None, header_style="dim", padding=(0, 1, 0, 0))
    table.add_column("")
    for heading in (*HEADINGS_OF_ORDERS.values(), "coverage", "novelty", "diversity", "change", "95 %", "p"):
        table.add_column(heading, justify="right", no_wrap=True)
    for name, figures in part.figures.items():
        compared = figures.compared
        style = ""
        if compared and compared.p_holm < SIGNIFICANT:
            style = "green" if compared.change.mean > 0 else "red"
        table.add_row(
            Text(name),
            *(_cell(figures, measure) for measure in HEADINGS_OF_ORDERS),
            format_share(figures.coverage),
            f"{figures.novelty:.1f}",
            "–" if figures.diversity is None else f"{figures.diversity:.3f}",
            Text(f"{compared.change.mean:+.4f}" if compared else "", style=style),
            format_bounds(compared.change) if compared else "",
            f"{compared.p_holm:.3f}" if compared else "",
        )
    return table


def _cell(figures: RankingFigures, measure: str) -> Text:
    value = figures.means[measure]
    shown = Text(f"{value.mean:.3f}")
    if measure == "recall" and math.isfinite(value.low):
        shown += Text(f" ±{(value.high - value.low) / 2:.3f}", style="dim")
    return shown
