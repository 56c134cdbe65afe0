"""What came of an experiment as one HTML file, without a script or a request."""

from pathlib import Path

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined

from mappings.errors import EvaluationError
from mappings.settings import ExperimentSettings, list_variants
from plugin_api.shoppers.experiment_results import ExperimentResult


def write_experiment_report(result: ExperimentResult, settings: ExperimentSettings, path: Path) -> None:
    """Write the report. Raises EvaluationError where the file can't be written."""
    loaders = [PackageLoader(f"plugin_api.commands.{name}", ".") for name in ("experiment", "evaluate")]
    environment = Environment(
        loader=ChoiceLoader(loaders),  # the style is that of the evaluation's report
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["share"] = "{:.1%}".format
    written = list_variants(settings) if result.name == settings.name else {}
    html = environment.get_template("experiment.html").render(result=result, written=written)
    try:
        path.write_text(html, encoding="utf-8")
    except OSError as error:
        raise EvaluationError(f"the report can't be written to {path}: {error.strerror or error}") from error
