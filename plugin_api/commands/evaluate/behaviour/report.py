"""An evaluation by behaviour as one HTML file, without a script or a request."""

from pathlib import Path

from plugin_api.commands.evaluate.behaviour.evaluation import BehaviourEvaluation
from plugin_api.commands.evaluate.behaviour.table import CAVEATS, HEADINGS_OF_ORDERS
from plugin_api.commands.evaluate.plots import draw_means
from plugin_api.commands.evaluate.table import SIGNIFICANT, format_bounds, format_share
from plugin_api.terminal.html import render_html, write_html


def write_behaviour_report(evaluation: BehaviourEvaluation, path: Path) -> None:
    """Write the report. Raises EvaluationError where the file can't be written."""
    plots = {
        part.title: draw_means(
            {name: figures.means["recall"] for name, figures in part.figures.items()},
            f"{part.title}: mean recall@20 and 95 % interval of each ranking",
        )
        for part in evaluation.parts
    }
    html = render_html(
        "plugin_api.commands.evaluate.behaviour",
        "report.html",
        {"share": format_share, "bounds": format_bounds},
        evaluation=evaluation,
        columns=HEADINGS_OF_ORDERS,
        plots=plots,
        significant=SIGNIFICANT,
        caveats=CAVEATS,
    )
    write_html(html, path)
