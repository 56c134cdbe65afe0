"""An evaluation by behaviour as one HTML file, without a script or a request."""

from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from mappings.errors import EvaluationError
from plugin_api.commands.evaluate.behaviour.evaluation import BehaviourEvaluation
from plugin_api.commands.evaluate.behaviour.table import CAVEATS, HEADINGS_OF_ORDERS
from plugin_api.commands.evaluate.plots import draw_means
from plugin_api.commands.evaluate.table import SIGNIFICANT, format_bounds, format_share


def write_behaviour_report(evaluation: BehaviourEvaluation, path: Path) -> None:
    """Write the report. Raises EvaluationError where the file can't be written."""
    environment = Environment(
        loader=PackageLoader("plugin_api.commands.evaluate", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"share": format_share, "bounds": format_bounds}
    plots = {
        part.title: draw_means(
            {name: figures.means["recall"] for name, figures in part.figures.items()},
            f"{part.title}: mean recall@20 and 95 % interval of each ranking",
        )
        for part in evaluation.parts
    }
    html = environment.get_template("behaviour/report.html").render(
        evaluation=evaluation,
        columns=HEADINGS_OF_ORDERS,
        plots=plots,
        significant=SIGNIFICANT,
        caveats=CAVEATS,
    )
    try:
        path.write_text(html, encoding="utf-8")
    except OSError as error:
        raise EvaluationError(f"the report can't be written to {path}: {error.strerror or error}") from error
