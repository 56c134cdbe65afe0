"""Reports as one HTML file each, without a script or a request."""

from collections.abc import Callable, Mapping
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from mappings.errors import EvaluationError
from plugin_api.commands.evaluate.table import format_bounds, format_share


def render_html(template: str, filters: Mapping[str, Callable[..., str]], **values: object) -> str:
    """Return the HTML of a template in this folder. `filters` come beside those of shares and bounds."""
    environment = Environment(
        loader=PackageLoader("plugin_api.commands.evaluate", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"share": format_share, "bounds": format_bounds, **filters}
    return environment.get_template(template).render(**values)


def write_html(html: str, path: Path) -> None:
    """Write a report. Raises EvaluationError where the file can't be written."""
    try:
        path.write_text(html, encoding="utf-8")
    except OSError as error:
        raise EvaluationError(f"the report can't be written to {path}: {error.strerror or error}") from error
