"""What came of an experiment as one HTML file."""

from pathlib import Path

from mappings.settings import ExperimentSettings, list_variants
from plugin_api.shoppers.experiments.results import ExperimentResult
from plugin_api.terminal.html import render_html, write_html


def write_experiment_report(result: ExperimentResult, settings: ExperimentSettings, path: Path) -> None:
    """Write the report. Raises EvaluationError where the file can't be written."""
    written = list_variants(settings) if result.name == settings.name else {}
    filters = {"share": "{:.1%}".format}
    package = "plugin_api.commands.experiment"
    html = render_html(package, "experiment.html", filters, result=result, written=written)
    write_html(html, path)
