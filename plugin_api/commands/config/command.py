"""`attune config`: the settings in force."""

import json

import click
from rich.console import Console
from rich.table import Table

from plugin_api.commands.context import CommandContext


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON: a list of {setting, value, origin}.")
@click.pass_obj
def config(context: CommandContext, as_json: bool) -> None:
    """Show the settings in force and where each came from.

    \b
    Settings come from defaults, then a TOML file (--config or ATTUNE_CONFIG), then the environment:
      [search]                   ATTUNE_SEARCH_WINDOW=50
      window = 50
    """
    rows = list(context.settings.rows())
    if as_json:
        click.echo(
            json.dumps(
                [dict(zip(("setting", "value", "origin"), row, strict=True)) for row in rows], indent=2
            )
        )
        return
    table = Table("Setting", "Value", "Origin", box=None)
    for name, value, origin in rows:
        table.add_row(name, json.dumps(value, ensure_ascii=False), origin)
    Console().print(table, markup=False)
