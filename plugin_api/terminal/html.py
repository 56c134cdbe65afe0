"""Reports as one HTML file each, without a script or a request. Templates include this room's `style.css`."""

from collections.abc import Callable, Mapping
from pathlib import Path

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined

from mappings.errors import EvaluationError


def render_html(
    package: str, template: str, filters: Mapping[str, Callable[..., str]], **values: object
) -> str:
    """Return the HTML of a template that lies in a package's folder."""
    environment = Environment(
        loader=ChoiceLoader([PackageLoader(name, ".") for name in (package, "plugin_api.terminal")]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= dict(filters)
    return environment.get_template(template).render(**values)


def write_html(html: str, path: Path) -> None:
    """Write a report. Raises EvaluationError where the file can't be written."""
    try:
        path.write_text(html, encoding="utf-8")
    except OSError as error:
        raise EvaluationError(f"the report can't be written to {path}: {error.strerror or error}") from error
