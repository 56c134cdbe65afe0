"""Writes the table of all settings, mappings/SETTINGS.md.

    python -m plugin_api.commands.config.settings_table

The descriptions are the docstrings beside the fields in mappings/settings/sections.py.
"""

import ast
import inspect
from collections.abc import Iterator
from itertools import groupby, pairwise
from pathlib import Path

import click

from mappings.settings import list_settings, sections

TARGET = Path(__file__).parents[3] / "mappings" / "SETTINGS.md"

_HEAD = """\
# Settings

<!-- Made from mappings/settings/sections.py by `python -m plugin_api.commands.config.settings_table`. -->

Settings come from their defaults, then from one TOML file (`--config FILE` or `ATTUNE_CONFIG`), then from
environment variables. The last one wins.

```toml
[search]        # or ATTUNE_SEARCH_WINDOW=50
window = 50
```

- Unknown keys in the file are refused, with the nearest known key. A variable that looks like a misspelt
  setting is refused as well. Other variables that begin with `ATTUNE_` are ignored.
- `attune config` prints the settings in force and where each value came from, without passwords and keys.
- Downloads and the embedded node's data are in the folder `ATTUNE_HOME` (`~/.attune`; for root
  `/var/lib/attune`).
"""


def settings_markdown() -> str:
    """Return the text of SETTINGS.md."""
    return _HEAD + "".join(_tables())


def _tables() -> Iterator[str]:
    descriptions = _descriptions()
    for section, settings in groupby(list_settings(), lambda setting: setting.name.partition(".")[0]):
        yield f"\n## {section}\n\n{descriptions[section]}\n\n"
        yield "| setting | default | allowed | description |\n|---|---|---|---|\n"
        for setting in settings:
            default = _code(setting.default) if setting.default != "" else ""
            yield f"| `{setting.name}` | {default} | {setting.allowed} | {descriptions[setting.name]} |\n"


def _descriptions() -> dict[str, str]:
    """The docstrings of sections by section name, and of their settings by `section.key`."""
    classes = {
        node.name: node
        for node in ast.parse(inspect.getsource(sections)).body
        if isinstance(node, ast.ClassDef)
    }
    texts: dict[str, str] = {}
    for name, kind in sections.SECTIONS.items():
        node = classes[kind.__name__]
        texts[name] = _one_line(ast.get_docstring(node) or "")
        for field, after in pairwise(node.body):
            match field, after:
                case ast.AnnAssign(target=ast.Name(id=key)), ast.Expr(value=ast.Constant(value=str(text))):
                    texts[f"{name}.{key}"] = _one_line(text)
    return texts


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _code(value: object) -> str:
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


if __name__ == "__main__":
    TARGET.write_text(settings_markdown(), encoding="utf-8")
    click.echo(f"wrote {TARGET}", err=True)
